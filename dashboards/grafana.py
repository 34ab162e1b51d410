"""Puts a dashboard into a running Grafana over its HTTP API, as runbook 000 does with curl."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests

from outbound_slo.vocabulary.mistakes import UserMistake

_TIMEOUT_SECONDS = 10.0
_PATH = "/api/dashboards/db"
_REFUSALS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "Check the token in GRAFANA_API_KEY",
    HTTPStatus.FORBIDDEN: "Give the token's service account the role Editor",
    HTTPStatus.PRECONDITION_FAILED: "Another dashboard has the same title in that folder",
}


@dataclass(frozen=True, slots=True)
class Imported:
    """A dashboard as Grafana keeps it; `url` is its address for a browser."""

    uid: str
    version: int
    url: str


def import_dashboard(base_url: str, token: str, document: Mapping[str, Any]) -> Imported:
    """Create the dashboard, or replace the one with the same uid.

    Args:
        base_url: Grafana's address.
        token: Of a service account that may edit dashboards.
        document: The dashboard's JSON.

    Raises:
        UserMistake: Grafana can't be reached, refuses the dashboard, or is none.

    """
    base = base_url.rstrip("/")
    try:
        response = requests.post(
            f"{base}{_PATH}",
            json={"dashboard": dict(document), "overwrite": True},
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_SECONDS,
        )
    except (requests.exceptions.InvalidHeader, UnicodeError):
        raise UserMistake(
            "GRAFANA_API_KEY holds characters that no token has", "Copy the token again"
        ) from None
    except requests.RequestException as failure:
        raise UserMistake(
            f"Grafana does not answer at {base} ({type(failure).__name__})",
            "Check that it runs and that the address is right",
        ) from None
    if not response.ok:
        raise UserMistake(
            f"Grafana refused the dashboard with {response.status_code}: {_reason(response)}",
            _REFUSALS.get(response.status_code, "Check Grafana's log"),
        )
    try:
        answer = response.json()
        return Imported(answer["uid"], int(answer["version"]), f"{base}{answer['url']}")
    except (requests.JSONDecodeError, KeyError, TypeError, ValueError):
        raise UserMistake(f"What answers at {base} is not Grafana", "Check the address") from None


def _reason(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        return response.reason
