"""Addresses of live pages: where they are served, what they ask for, and Grafana's in our words."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, unquote, urlencode

from outbound_slo.vocabulary.mistakes import UserMistake

LOOPBACK = "127.0.0.1"

GRAFANAS = "/d/"
"""How paths of Grafana's dashboards begin."""

_LONGEST_QUERY = 2_000
_LONGEST_VALUE = 200
_HIGHEST_PORT = 65_535


class RefusedError(Exception):
    """What a client asked for can't be; `status` is the answer's."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def parse_place(text: str) -> tuple[str, int]:
    """Read `[HOST:]PORT`; the host is loopback where none is named.

    Raises:
        UserMistake: It is no place.

    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal():
        raise UserMistake(f"--serve {text!r} has no port", "Write it as 8080 or 127.0.0.1:8080")
    if int(port) > _HIGHEST_PORT:
        raise UserMistake(f"--serve {text}: no port is above {_HIGHEST_PORT}", "Choose another")
    return host.strip("[]") or LOOPBACK, int(port)


def translate(path: str, known: Mapping[str, Collection[str]]) -> str:
    """Translate an address of Grafana's, such as our alerts carry, into ours.

    Range and variables stay, a panel becomes the place to look at, and the rest is Grafana's own.

    Args:
        path: It, without the host.
        known: Variables by the dashboard's uid; like Grafana, forget the others.

    Raises:
        RefusedError: Its parameters can't be read.

    """
    place, _, query = path.removeprefix(GRAFANAS).partition("?")
    parameters = read_parameters(query)
    uid = unquote(place.partition("/")[0])
    names = {"from", "to", *(f"var-{name}" for name in known.get(uid, ()))}
    kept = urlencode([pair for pair in parameters.items() if pair[0] in names])
    panel = quote(parameters.get("viewPanel", ""), safe="")
    return f"/{quote(uid, safe='')}" + (f"?{kept}" if kept else "") + (f"#{panel}" if panel else "")


def read_parameters(query: str) -> Mapping[str, str]:
    """Read a query string.

    Raises:
        RefusedError: It is too long, or holds what can't be read or shown.

    """
    if len(query) > _LONGEST_QUERY:
        raise RefusedError(HTTPStatus.REQUEST_URI_TOO_LONG, "The query is too long")
    try:
        pairs = parse_qsl(query, max_num_fields=20, errors="strict", keep_blank_values=False)
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "The query can't be read") from None
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "A parameter is given twice")
    for name, value in pairs:
        if len(value) > _LONGEST_VALUE or not value.isprintable():
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"The value of {name[:40]!r} is no good")
    return dict(pairs)
