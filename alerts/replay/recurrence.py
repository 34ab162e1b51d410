"""Recordings that read what they recorded before, evaluated one instant after the other.

A range query can't answer them, since each instant needs the one before. So an empty Prometheus is
given the samples as time goes on, by its remote-write door, and what a rule yields at an instant is
written back before the next one is asked: the same as Prometheus's own rule evaluation.
"""

import http.client
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

from alerts.replay.tape import Labels, Series, Tape, sort_labels
from alerts.rule_files import WrittenRule
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake

RECEIVE_FLAG: Final = "--web.enable-remote-write-receiver"
"""Prometheus takes samples only with this."""

_PATIENCE_S: Final = 60.0
_HEADERS: Final = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_LONGEST_LITERAL: Final = 65_536


def evaluate_stepwise(
    api: PrometheusApi, rules: Sequence[WrittenRule], tape: Tape, read: Sequence[Series]
) -> Sequence[Series]:
    """Evaluate recordings that read themselves, at every instant of a tape.

    Args:
        api: A Prometheus without data, started with `RECEIVE_FLAG`.
        rules: Recordings, none of which reads another one of them.
        tape: Whose instants count.
        read: The series that they read besides their own.

    Raises:
        UserMistake: Prometheus refuses an expression.

    """
    shown = [(_encode_labels(each.name, each.labels), each.values) for each in read]
    made: dict[tuple[str, Labels], list[float | None]] = {}
    heads: dict[tuple[str, Labels], bytes] = {}
    written: list[bytes] = []
    with _Connection(api.url) as connection:
        for index in range(tape.steps):
            at_s = tape.instant(index)
            written += [
                _encode_sample(head, value, at_s)
                for head, values in shown
                if (value := values[index]) is not None
            ]
            connection.write(written)
            written = []
            for rule in rules:
                for labels, value in connection.query(rule.expression, at_s):
                    key = (str(rule.record), sort_labels(dict(labels) | dict(rule.labels)))
                    if key not in made:
                        made[key] = [None] * tape.steps
                        heads[key] = _encode_labels(*key)
                    made[key][index] = value
                    written.append(_encode_sample(heads[key], value, at_s))
    return [Series(name, labels, values) for (name, labels), values in made.items()]


class _Connection:
    """One connection that is kept: thousands of small questions go over it."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._http = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=_PATIENCE_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def write(self, samples: Sequence[bytes]) -> None:
        if samples:
            self._post("/api/v1/write", _frame(b"".join(samples)), _HEADERS)

    def query(self, expression: str, at_s: int) -> Iterator[tuple[Labels, float]]:
        body = urlencode({"query": expression, "time": str(at_s)}).encode()
        answer = json.loads(self._post("/api/v1/query", body, _FORM))
        for found in answer["data"]["result"]:
            yield sort_labels(found["metric"]), float(found["value"][1])

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        self._http.request("POST", path, body, headers)
        response = self._http.getresponse()
        told = response.read()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise UserMistake(
                f"Prometheus refuses {path}: {told.decode(errors='replace').strip()}",
                "Correct the rule's expression",
            )
        return told


def _encode_labels(name: str, labels: Labels) -> bytes:
    """Encode a series' labels as fields of prompb.TimeSeries; Prometheus wants them in order."""
    pairs = sorted({"__name__": name, **dict(labels)}.items())
    return b"".join(
        _field(1, _field(1, key.encode()) + _field(2, value.encode())) for key, value in pairs
    )


def _encode_sample(head: bytes, value: float, at_s: int) -> bytes:
    """Encode one sample of a series as a field of prompb.WriteRequest."""
    # A double under 1, milliseconds under 2.
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at_s * 1000)
    return _field(1, head + _field(2, sample))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _frame(content: bytes) -> bytes:
    """Wrap bytes as a block of snappy that holds them as they are."""
    return _varint(len(content)) + b"".join(_literals(content))


def _literals(content: bytes) -> Iterable[bytes]:
    for begin in range(0, len(content), _LONGEST_LITERAL):
        part = content[begin : begin + _LONGEST_LITERAL]
        # 61: the length less one follows in two bytes.
        yield bytes([61 << 2]) + (len(part) - 1).to_bytes(2, "little") + part
