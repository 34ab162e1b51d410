"""The demo's hand on the provider simulator: setting faults, reading its ledger."""

from collections.abc import Sequence
from typing import Any

import requests

from outbound_slo.simulator.faults import Fault, FaultSet
from outbound_slo.vocabulary.mistakes import UserMistake

_TIMEOUT_S = 10.0


class ProviderControl:
    """A running simulator at a base URL; every method raises `UserMistake` if it does not obey."""

    def __init__(self, url: str) -> None:
        """Talk to `url` directly: a proxy of the environment does not lead back to loopback."""
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Put these faults in the place of all others."""
        body = FaultSet(faults=tuple(faults)).model_dump(mode="json", exclude_none=True)
        self._ask("PUT", "/_control/faults", body)

    def count_acceptances(self) -> dict[str, int]:
        """Tell how often each message was accepted, by the sender's own message id."""
        messages = self._ask("GET", "/_control/ledger")["messages"]
        return {reference: len(taken) for reference, taken in messages.items()}

    def count_webhooks(self) -> dict[str, int]:
        """Tell what became of the webhooks so far, `pending` ones included."""
        counts: dict[str, int] = self._ask("GET", "/_control/stats")["webhooks"]
        return counts

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer = self._session.request(method, self.url + path, json=body, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise UserMistake(
                f"The provider simulator did not answer {method} {path}: {error}",
                "See its log in the demo's directory",
            ) from error
        return found
