"""From due events to POSTs: which of them share one, the bytes, the signature. Pure."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import orjson

from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.meta_notices import Notice
from outbound_slo.simulator.meta_webhooks import (
    InboundText,
    StatusUpdate,
    build_inbound_change,
    build_notification,
    build_status_change,
)
from outbound_slo.simulator.sendgrid_events import MailEvent, build_event
from outbound_slo.simulator.signatures import EventKey, sign_meta, sign_twilio
from outbound_slo.simulator.twilio import TwilioCall

Event = StatusUpdate | InboundText | Notice | TwilioCall | MailEvent
EventT = TypeVar("EventT")

CROWD = 16
"""Statuses of one collection beyond which all of them are batched, whatever the rate."""


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
        """Tell whether an answer ends the matter: Meta wants exactly 200, others any 2xx."""
        if self.takes_any_success:
            return status // 100 == HTTPStatus.OK // 100
        return status == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Address:
    """Where webhooks go and how they are signed.

    Attributes:
        callback_url: Where Meta's go; empty where nobody listens: they are dropped and counted.
        sendgrid_events_url: Where SendGrid's go; empty as above.
        display_number: The business number that `metadata` shows.
        webhook_version: Graph API version of the bodies; up to 23 with conversation objects.

    """

    callback_url: str
    app_secret: str
    twilio_auth_token: str
    account_id: str
    event_key: EventKey
    sendgrid_events_url: str = ""
    display_number: str = "15550783881"
    webhook_version: int = 26

    def reaches(self, event: Event) -> bool:
        """Tell whether anybody listens to an event; Twilio's bring their address along."""
        if isinstance(event, MailEvent):
            return bool(self.sendgrid_events_url)
        return isinstance(event, TwilioCall) or bool(self.callback_url)


class Packer:
    """Writes and signs the POSTs of due events."""

    def __init__(self, address: Address, rng: random.Random, clock: Callable[[], float]) -> None:
        """Pack for one address; `clock` gives epoch seconds."""
        self.address = address
        self._rng = rng
        self._clock = clock

    def pack(self, events: Sequence[Event], behaviour: Behaviour) -> Iterator[Parcel]:
        """Turn due events into signed POSTs: some statuses alone, some together."""
        statuses: list[StatusUpdate] = []
        mails: list[MailEvent] = []
        for event in events:
            if isinstance(event, StatusUpdate):
                statuses.append(event)
            elif isinstance(event, MailEvent):
                mails.append(event)
            else:
                yield self.pack_single(event, is_forged=self._is_forged(behaviour))
        for updates in self._share(statuses, behaviour):
            yield self.pack_statuses(updates, is_forged=self._is_forged(behaviour))
        for told in self._share(mails, behaviour):
            yield self.pack_mails(told, is_forged=self._is_forged(behaviour))

    def pack_single(
        self, event: InboundText | Notice | TwilioCall, *, is_forged: bool = False
    ) -> Parcel:
        """Write and sign the POST of an event that never shares one."""
        if isinstance(event, TwilioCall):
            return self._pack_twilio(event, is_forged)
        if isinstance(event, InboundText):
            change = build_inbound_change(event, self.address.display_number)
            return self._pack_meta([change], 1, is_forged)
        change = {"value": event.value, "field": event.field.value}
        return self._pack_meta([change], 1, is_forged, event.triggered_at)

    def pack_statuses(self, updates: Sequence[StatusUpdate], *, is_forged: bool = False) -> Parcel:
        """Write and sign one POST with Meta's statuses, a change for each business number."""
        return self._pack_meta(list(self._build_changes(updates)), len(updates), is_forged)

    def pack_mails(self, events: Sequence[MailEvent], *, is_forged: bool = False) -> Parcel:
        """Write and sign one POST with SendGrid's events."""
        body = orjson.dumps([build_event(event) for event in events])
        timestamp = str(int(self._clock()))
        signed = body + b" " if is_forged else body
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": self.address.event_key.sign(
                signed, timestamp
            ),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        url = self.address.sendgrid_events_url
        return Parcel(url, body, headers, len(events), takes_any_success=True)

    def _share(self, events: Sequence[EventT], behaviour: Behaviour) -> Iterator[Sequence[EventT]]:
        """Decide which events share a POST."""
        together = events
        if behaviour.batch_rate < 1 and len(events) <= CROWD:
            kept: list[EventT] = []
            for event in events:
                if self._rng.random() < behaviour.batch_rate:
                    kept.append(event)
                else:
                    yield [event]
            together = kept
        for start in range(0, len(together), behaviour.batch_limit):
            yield together[start : start + behaviour.batch_limit]

    def _build_changes(self, updates: Iterable[StatusUpdate]) -> Iterator[dict[str, object]]:
        by_number: dict[str, list[StatusUpdate]] = {}
        for update in updates:
            by_number.setdefault(update.phone_number_id, []).append(update)
        address = self.address
        for batch in by_number.values():
            yield build_status_change(batch, address.display_number, address.webhook_version)

    def _is_forged(self, behaviour: Behaviour) -> bool:
        rate = behaviour.bad_signature_rate
        return rate > 0 and self._rng.random() < rate

    def _pack_meta(
        self,
        changes: Sequence[dict[str, object]],
        events: int,
        is_forged: bool,
        triggered_at: float | None = None,
    ) -> Parcel:
        """Write and sign the body of one POST to Meta's callback."""
        address = self.address
        body = orjson.dumps(build_notification(address.account_id, changes, triggered_at))
        secret = address.app_secret + ("-wrong" if is_forged else "")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": sign_meta(body, secret),
        }
        return Parcel(address.callback_url, body, headers, events)

    def _pack_twilio(self, event: TwilioCall, is_forged: bool) -> Parcel:
        """Write and sign one form."""
        token = self.address.twilio_auth_token + ("-wrong" if is_forged else "")
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": sign_twilio(event.url, event.form, token),
        }
        body = urlencode(event.form).encode()
        return Parcel(event.url, body, headers, 1, takes_any_success=True)
