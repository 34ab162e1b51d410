"""HTTP with a server that speaks JSON, where every failure is one clear line."""

from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import LocationParseError

from outbound_slo.vocabulary.mistakes import UserMistake

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Refused(UserMistake):
    """The server answered, and the answer was no.

    Attributes:
        status: HTTP status of the answer.
        reason: The server's own words.
        kind: What Prometheus calls the error (`errorType`); empty where another server speaks.

    """

    def __init__(self, service: str, path: str, status: int, reason: str, kind: str = "") -> None:
        super().__init__(f"{service} refused {path} with {status}: {reason}", "")
        self.status = status
        self.reason = reason
        self.kind = kind


class JsonApi:
    """A server's base address and the connection to it.

    Args:
        service: What people call the server.
        url: Base URL, with or without a slash at its end; the attribute of this name is without
            the password that it may hold.
        timeout: Seconds that one answer may take.

    """

    def __init__(self, service: str, url: str, timeout: float = 10.0) -> None:
        self.service = service
        self._base = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        # The proxy that the environment may name does not lead back to this machine.
        try:
            parts = urlsplit(url)
            _ = parts.port
            self._session.trust_env = parts.hostname not in _LOOPBACK
            # A name and a password before the host are for the server alone.
            self.url = self._base.replace(
                f"//{parts.netloc}", f"//{parts.netloc.rpartition('@')[2]}"
            )
        except ValueError as error:
            raise UserMistake(
                f"{url} is no address: {error}", "Write it as http://host:port"
            ) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            # `localhost:9090` is an address whose scheme is "localhost" to a parser.
            place = url.rpartition("@")[2]
            meant = "" if "://" in place else place.strip("/")
            raise UserMistake(
                f"{service}'s address {place!r} is not http:// or https:// and a host",
                f"Write it as http://{meant or 'host:port'}",
            )

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON is anything
        """GET a path and decode its JSON.

        Raises:
            UserMistake: The server can't be reached or does not answer with JSON.
            Refused: It answered with a status of 400 or more.

        """
        return self._decode(path, self._send("GET", path, parameters, None))

    def post(self, path: str, body: object = None, **parameters: str) -> None:
        """POST a JSON body (or none); raises as `get` does."""
        self._send("POST", path, parameters, body)

    def answers(self, path: str) -> bool:
        """Tell whether GET `path` succeeds now."""
        try:
            self._send("GET", path, {}, None)
        except UserMistake:
            return False
        return True

    def _send(
        self, method: str, path: str, parameters: dict[str, str], body: object
    ) -> requests.Response:
        try:
            response = self._session.request(
                method, f"{self._base}{path}", params=parameters, json=body, timeout=self._timeout
            )
        except (requests.RequestException, LocationParseError, ValueError) as failure:
            raise UserMistake(
                f"{self.service} does not answer at {self.url}: {_name_failure(failure)}",
                "Check that it runs and that the address is right",
            ) from None
        if not response.ok:
            raise Refused(
                self.service,
                path,
                response.status_code,
                _read_reason(response),
                _read_kind(response),
            )
        return response

    def _decode(self, path: str, response: requests.Response) -> Any:  # noqa: ANN401 - as above
        try:
            return response.json()
        except (requests.JSONDecodeError, RecursionError):
            raise UserMistake(
                f"What answers at {self.url}{path} is not {self.service}: it sends no JSON",
                "Check the address",
            ) from None


def _name_failure(failure: Exception) -> str:
    """Name a failure in words; the library's text nests three exceptions."""
    if isinstance(failure, requests.Timeout):
        return "no answer in time"
    if isinstance(failure, requests.ConnectionError):
        return "connection refused or lost"
    if isinstance(failure, LocationParseError | UnicodeError):
        return "the host's name is none"
    return type(failure).__name__


def _read_reason(response: requests.Response) -> str:
    """Find the server's own words: Prometheus has `error`, Alertmanager a string or `message`."""
    try:
        body = response.json()
    except (requests.JSONDecodeError, RecursionError):
        body = response.text
    if isinstance(body, dict):
        body = body.get("error") or body.get("message") or body
    return str(body).strip() or response.reason


def _read_kind(response: requests.Response) -> str:
    try:
        body = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return ""
    return str(body.get("errorType", "")) if isinstance(body, dict) else ""
