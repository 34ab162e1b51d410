"""From due events to POSTs: which statuses share one, the bytes, the signature. Pure."""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.meta_webhooks import (
    InboundText,
    StatusUpdate,
    build_inbound_change,
    build_notification,
    build_status_change,
)
from outbound_slo.simulator.signatures import sign_meta, sign_twilio
from outbound_slo.simulator.twilio import TwilioStatus

Event = StatusUpdate | InboundText | TwilioStatus

CROWD = 64
"""Meta statuses due in one tick beyond which all of them are batched, whatever the rate."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One POST, ready to go: `events` is how many updates it carries."""

    url: str
    body: bytes
    headers: dict[str, str]
    events: int
    takes_any_success: bool = False
    tries: int = 0

    def is_taken(self, status: int) -> bool:
        """Tell whether an answer ends the matter: Meta wants exactly 200, Twilio any 2xx."""
        if self.takes_any_success:
            return status // 100 == HTTPStatus.OK // 100
        return status == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Address:
    """Where Meta's webhooks go and how they are signed.

    Attributes:
        callback_url: Empty where nobody listens: then Meta's events are dropped and counted.
        display_number: The business number that `metadata` shows.
        webhook_version: Graph API version of the bodies; up to 23 with conversation objects.

    """

    callback_url: str
    app_secret: str
    twilio_auth_token: str
    account_id: str
    display_number: str = "15550783881"
    webhook_version: int = 26


def pack(
    events: Sequence[Event], address: Address, behaviour: Behaviour, rng: random.Random
) -> Iterator[Parcel]:
    """Turn due events into signed POSTs: some statuses alone, some together."""
    together: list[StatusUpdate] = []
    is_crowded = len(events) > CROWD
    for event in events:
        if isinstance(event, TwilioStatus):
            yield _pack_twilio(event, address, _is_forged(behaviour, rng))
        elif isinstance(event, InboundText):
            change = build_inbound_change(event, address.display_number)
            yield _pack_meta([change], 1, address, _is_forged(behaviour, rng))
        elif is_crowded or rng.random() < behaviour.batch_rate:
            together.append(event)
        else:
            change = build_status_change([event], address.display_number, address.webhook_version)
            yield _pack_meta([change], 1, address, _is_forged(behaviour, rng))
    for start in range(0, len(together), behaviour.batch_limit):
        batch = together[start : start + behaviour.batch_limit]
        changes = list(_build_changes(batch, address))
        yield _pack_meta(changes, len(batch), address, _is_forged(behaviour, rng))


def _build_changes(
    updates: Iterable[StatusUpdate], address: Address
) -> Iterator[dict[str, object]]:
    """Build one change per business number."""
    by_number: dict[str, list[StatusUpdate]] = {}
    for update in updates:
        by_number.setdefault(update.phone_number_id, []).append(update)
    for batch in by_number.values():
        yield build_status_change(batch, address.display_number, address.webhook_version)


def _is_forged(behaviour: Behaviour, rng: random.Random) -> bool:
    return rng.random() < behaviour.bad_signature_rate


def _pack_meta(
    changes: Sequence[dict[str, object]], events: int, address: Address, forged: bool
) -> Parcel:
    """Write and sign the body of one POST to Meta's callback."""
    notification = build_notification(address.account_id, changes)
    body = json.dumps(notification, separators=(",", ":")).encode()
    secret = address.app_secret + ("-wrong" if forged else "")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "facebookexternalua",
        "X-Hub-Signature-256": sign_meta(body, secret),
    }
    return Parcel(address.callback_url, body, headers, events)


def _pack_twilio(event: TwilioStatus, address: Address, forged: bool) -> Parcel:
    """Write and sign one status callback."""
    token = address.twilio_auth_token + ("-wrong" if forged else "")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
        "User-Agent": "TwilioProxy/1.1",
        "X-Twilio-Signature": sign_twilio(event.url, event.form, token),
    }
    return Parcel(event.url, urlencode(event.form).encode(), headers, 1, takes_any_success=True)
