"""A collector that speaks OTLP over HTTP, with protobuf."""

import gzip
import threading
from urllib.parse import urlsplit

import requests

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.collector import Answer, Posted, count_rejected, keep_trying
from tracing.options import CollectorOptions
from tracing.privacy import scrub_url

PROTOBUF = "application/x-protobuf"

_TRACES_PATH = "/v1/traces"
_AGENT = "outbound-slo"
# OTLP's list of answers that are worth another try.
_PASSING = frozenset({429, 502, 503, 504})
_LONGEST_ANSWER = 65536
# Spans repeat themselves: the fastest level gives most of what the best one does.
_GZIP_LEVEL = 1


class HttpCollector:
    """Posts export requests over a kept connection; used by one thread."""

    def __init__(self, endpoint: str, options: CollectorOptions) -> None:
        """Take the collector's address, as `resolve_address` does.

        Raises:
            UserMistake: It is no http or https address.

        """
        self.url, host = resolve_address(endpoint, exact=options.exact)
        self._timeout_s = options.timeout_s
        self._gzip = options.compresses_for(host)
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": _AGENT, "Content-Type": PROTOBUF})
        self._session.headers.update(options.headers)
        if self._gzip:
            self._session.headers["Content-Encoding"] = "gzip"
        if options.certificate:
            self._session.verify = options.certificate
        if options.client_certificate:
            key = options.client_key
            certificate = options.client_certificate
            self._session.cert = (certificate, key) if key else certificate

    def post(self, body: bytes, stopping: threading.Event) -> Posted:
        """Deliver one request, as `Collector.post` says."""
        if self._gzip:
            body = gzip.compress(body, _GZIP_LEVEL)
        return keep_trying(lambda seconds: self._try(body, seconds), self._timeout_s, stopping)

    def close(self) -> None:
        """Close the kept connection."""
        self._session.close()

    def _try(self, body: bytes, timeout_s: float) -> Answer:
        try:
            with self._session.post(
                self.url, data=body, timeout=timeout_s, allow_redirects=False, stream=True
            ) as response:
                if response.ok and not response.is_redirect:
                    answer = response.raw.read(_LONGEST_ANSWER, decode_content=True)
                    return Answer(Posted(count_rejected(answer)))
                fault = Posted(fault=f"HTTP {response.status_code}")
                if response.status_code in _PASSING:
                    return Answer(fault, _read_wait(response.headers.get("Retry-After")))
                return Answer(fault)
        except requests.RequestException as error:
            return Answer(Posted(fault=type(error).__name__), 0.0)
        except Exception as error:  # noqa: BLE001 - urllib3's own, from a broken answer: the thread must go on
            return Answer(Posted(fault=type(error).__name__))


def resolve_address(endpoint: str, *, exact: bool) -> tuple[str, str]:
    """Give the URL to post to, and its host.

    Args:
        endpoint: The collector's address.
        exact: It is the URL of traces itself; otherwise `/v1/traces` is added, unless it ends so.

    Raises:
        UserMistake: It is no http or https address.

    """
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not host:
        raise UserMistake(
            f"trace collector address {scrub_url(endpoint)!r} is not an http(s) URL",
            "Give one like http://127.0.0.1:4318, or none to export nothing",
        )
    path = parts.path.rstrip("/")
    if exact or path.endswith(_TRACES_PATH):
        return endpoint, host
    return parts._replace(path=path + _TRACES_PATH).geturl(), host


def _read_wait(header: str | None) -> float:
    try:
        return max(float(header or 0), 0.0)
    except ValueError:
        return 0.0
