"""Grafana's HTTP API, as much of it as putting dashboards into it takes (runbook 000 uses curl)."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import LocationParseError

from dashboards.words import tame
from outbound_slo.vocabulary.mistakes import UserMistake

TOKEN_VARIABLE: Final = "GRAFANA_API_KEY"  # noqa: S105 - names the variable (000), holds no secret
URL_VARIABLE: Final = "GRAFANA_URL"

_TIMEOUT_SECONDS = 10.0
_FOLDERS_AT_ONCE: Final = 1000
_LONGEST_REASON: Final = 200

_MENDS: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: f"Check the token in {TOKEN_VARIABLE}",
    HTTPStatus.FORBIDDEN: "Give the token's service account the role Editor",
    HTTPStatus.NOT_FOUND: "Check the address, and whether the folder is still there",
    HTTPStatus.CONFLICT: "Run the import again: it looks at what is there now",
    HTTPStatus.PRECONDITION_FAILED: "Run the import again: it looks at what is there now",
    HTTPStatus.TOO_MANY_REQUESTS: "Wait a minute and run the import again",
}
# What a 412 is about, by the word that Grafana puts beside its message.
_CONFLICTS: Final[Mapping[str, str]] = {
    "version-mismatch": "Somebody saved it in between: run the import again to replace that",
    "name-exists": "Rename or remove the other dashboard of this title in the folder",
    "plugin-dashboard": "Remove the plugin's dashboard of this uid",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """A dashboard as Grafana keeps it.

    Attributes:
        document: Its JSON; Grafana adds `id` and `version`.
        folder: Uid of its folder; empty for the top.
        provisioned: Whether Grafana reads it from a file; then it saves no other.

    """

    document: Mapping[str, Any]
    folder: str
    provisioned: bool

    @property
    def version(self) -> int:
        """Counts how often it was saved."""
        found = self.document.get("version")
        return found if isinstance(found, int) else 0


@dataclass(frozen=True, slots=True)
class Saved:
    """A dashboard that was saved; `url` is its address for a browser."""

    version: int
    url: str


class _Bearer(requests.auth.AuthBase):
    """Sends the token; as an auth object, since a .netrc would replace a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class GrafanaApi:
    """Speaks with one Grafana; every method raises `UserMistake` when that fails."""

    def __init__(self, address: str, token: str) -> None:
        """Keep the address and the token, which no message ever shows.

        Raises:
            UserMistake: The address is none, or holds a password; the token can't be sent.

        """
        self._base = _check_address(address)
        if not token.isascii() or not token.isprintable() or " " in token:
            raise UserMistake(
                f"{TOKEN_VARIABLE} holds characters that no token has", "Copy the token again"
            )
        self._auth = _Bearer(token)

    def find_dashboard(self, uid: str) -> Stored | None:
        """Read the dashboard with this uid; None where there is none."""
        answer = self._ask("GET", f"/api/dashboards/uid/{quote(uid, safe='')}", missing=True)
        if answer is None:
            return None
        document, meta = answer.get("dashboard"), answer.get("meta")
        if not isinstance(document, dict) or not isinstance(meta, dict):
            raise self._no_grafana()
        return Stored(document, str(meta.get("folderUid") or ""), meta.get("provisioned") is True)

    def save_dashboard(
        self, document: Mapping[str, Any], version: int, folder: str, message: str
    ) -> Saved:
        """Create the dashboard, or replace the one that has this uid and version.

        Args:
            document: Its JSON, with its uid.
            version: That of the one to be replaced; 0 where there is none. Grafana refuses when
                somebody has saved another since.
            folder: Uid of the folder; empty for the top.
            message: What Grafana's list of versions says about it.

        """
        body = {
            "dashboard": {**document, "id": None, "version": version},
            "folderUid": folder,
            "message": message,
            "overwrite": False,
        }
        answer = self._ask("POST", "/api/dashboards/db", body) or {}
        if not isinstance(answer.get("version"), int) or not isinstance(answer.get("url"), str):
            raise self._no_grafana()
        # Grafana's own path comes with the answer, also where it is not at the server's top.
        try:
            url = urljoin(f"{self._base}/", answer["url"])
        except ValueError:
            raise self._no_grafana() from None
        return Saved(answer["version"], tame(url))

    def find_folder(self, uid: str, title: str) -> str | None:
        """Find a folder by uid, else by title; gives its uid, or None."""
        answer = self._ask("GET", f"/api/folders/{quote(uid, safe='')}", missing=True)
        if answer is not None:
            return uid
        listed = self._send("GET", f"/api/folders?limit={_FOLDERS_AT_ONCE}", None)
        folders = self._read(self._judge(listed))
        if not isinstance(folders, list):
            raise self._no_grafana()
        found = (each["uid"] for each in folders if _is_folder(each, title))
        return next(found, None)

    def create_folder(self, uid: str, title: str) -> None:
        """Create a folder."""
        self._ask("POST", "/api/folders", {"uid": uid, "title": title})

    def _ask(
        self, method: str, path: str, body: object = None, *, missing: bool = False
    ) -> dict[str, Any] | None:
        """Send a request and read its JSON object; None for a 404 where `missing` allows it."""
        response = self._send(method, path, body)
        if missing and response.status_code == HTTPStatus.NOT_FOUND:
            # A web server that is no Grafana answers 404 to anything.
            self._read(response)
            return None
        answer = self._read(self._judge(response))
        if not isinstance(answer, dict):
            raise self._no_grafana()
        return answer

    def _send(self, method: str, path: str, body: object) -> requests.Response:
        try:
            return requests.request(
                method,
                f"{self._base}{path}",
                json=body,
                headers={"Accept": "application/json"},
                auth=self._auth,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.Timeout:
            raise UserMistake(
                f"Grafana at {self._base} does not answer within {_TIMEOUT_SECONDS:g} s",
                "Check that it runs and is reached from here",
            ) from None
        except (requests.RequestException, LocationParseError, ValueError) as failure:
            raise UserMistake(
                f"Grafana does not answer at {self._base} ({type(failure).__name__})",
                "Check that it runs and that the address is right",
            ) from None

    def _judge(self, response: requests.Response) -> requests.Response:
        status = response.status_code
        if response.is_redirect:
            raise UserMistake(
                f"{self._base} redirects to {_show_place(response.headers['Location'])}",
                "Give the address that Grafana itself answers at, with https where it has that",
            )
        if not response.ok:
            reason, word = _reason(response)
            mend = _CONFLICTS.get(word) or _MENDS.get(status) or "Check Grafana's log"
            raise UserMistake(f"Grafana answers {status}: {reason}", mend)
        return response

    def _read(self, response: requests.Response) -> object:
        try:
            return response.json()
        except (requests.JSONDecodeError, RecursionError):
            raise self._no_grafana() from None

    def _no_grafana(self) -> UserMistake:
        return UserMistake(
            f"What answers at {self._base} is not Grafana's API",
            "Check the address; a login page before Grafana answers in its place",
        )


def _check_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_address = is_address and (parts.port is None or parts.port > 0)
    except ValueError:
        is_address = False
    if not is_address:
        # What is shown could hold a password, so nothing is.
        raise UserMistake(
            "The address of Grafana is not http:// or https:// and a host", "Write http://host:port"
        )
    if parts.username is not None or parts.password is not None:
        raise UserMistake(
            "The address of Grafana holds a name or a password",
            f"Leave them out; the token in {TOKEN_VARIABLE} is enough",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _is_folder(found: object, title: str) -> bool:
    return isinstance(found, dict) and found.get("title") == title and bool(found.get("uid"))


def _reason(response: requests.Response) -> tuple[str, str]:
    """Give Grafana's message, and the word that says what a conflict is about."""
    try:
        answer = response.json()
    except (requests.JSONDecodeError, RecursionError):
        return response.reason or "no reason given", ""
    if not isinstance(answer, dict):
        return response.reason or "no reason given", ""
    message = str(answer.get("message") or response.reason)
    return tame(" ".join(message.split()))[:_LONGEST_REASON], str(answer.get("status") or "")


def _show_place(location: str) -> str:
    """Say where a redirect leads, without its query and its password, which are secrets."""
    place = urlsplit(location)
    host = f"{place.scheme}://{place.netloc.rpartition('@')[2]}" if place.netloc else ""
    return tame(f"{host}{place.path}")
