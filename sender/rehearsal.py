"""000's dry run: what the sender's own checks would say of a WhatsApp message now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import DictRow, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.breaker import BreakerState
from sender.diagnostics import Timed
from sender.enqueue import NewMessage, check_message
from sender.outbox import ClaimedMessage
from sender.quiet_hours import QuietPolicy
from sender.rules import Deferral, Refusal, judge
from sender.shapes import JsonObject, Number, Question, RunbookTime, ShortText, show_examples

_QUERIES = load_queries("sender", "sql/diagnostics.sql")

RECENT_MESSAGES = 10_000
"""Messages of an organisation that the search for duplicates looks through."""


class RehearsalRequest(Question):
    """A message that is not to be sent; without a template it is free-form."""

    model_config = show_examples(
        {"phoneNumber": "+33612345678", "templateCode": "appointment_reminder", "dossierId": 123},
        {"phoneNumber": "+33612345678", "templateCode": None},
    )

    phone_number: ShortText
    template_code: ShortText | None = None
    dossier_id: Number | None = None
    payload: JsonObject | None = None


class Rehearsal(Timed):
    """What would become of it.

    `valid` means that nothing forbids the message, `canSend` that it would go at once.
    """

    phone_number: str
    session_window_active: bool
    session_window_expires_at: RunbookTime | None
    can_send: bool
    valid: bool
    duplicate_detected: bool
    validation_message: str
    org_id: str | None
    error_code: str | None
    wait_seconds: int | None
    circuit_breaker_state: str | None


@dataclass(frozen=True, slots=True)
class _Finding:
    """The first thing in the way; `wait_s` is None where waiting does not help."""

    code: str | None
    text: str
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rehearser:
    """What a dry run has to know of this process.

    Attributes:
        has_provider: Whether it sends WhatsApp messages at all.
        quiet: Quiet hours of recipients without preferences.
        breaker: State of WhatsApp's circuit breaker; None without a provider.
        clock: Gives an aware time, for the recipient's clock.

    """

    has_provider: bool
    quiet: QuietPolicy
    breaker: Callable[[], BreakerState | None]
    clock: Callable[[], datetime]

    def rehearse(
        self,
        connection: psycopg.Connection,
        request: RehearsalRequest,
        *,
        org_id: str | None,
        breaker: BreakerState | None,
    ) -> Rehearsal:
        """Judge a message without queueing it."""
        values = {"phone": request.phone_number, "dossier_id": request.dossier_id}
        org_id = org_id or _ask(connection, "find_organisation", values)["org_id"]
        found = _ask(connection, "rehearse", values | {"org_id": org_id})
        finding = self._judge(request, found, org_id) or _judge_breaker(breaker)
        duplicate = _find_duplicate(connection, request, org_id)
        now = connection.execute("SELECT now()").fetchone()
        return Rehearsal(
            phone_number=request.phone_number,
            session_window_active=bool(found["window_open"]),
            session_window_expires_at=found["window_expires_at"],
            can_send=finding is None,
            valid=finding is None or finding.wait_s is not None,
            duplicate_detected=duplicate,
            validation_message=_word(
                finding, duplicate=duplicate, open_=bool(found["window_open"])
            ),
            org_id=org_id,
            error_code=finding.code if finding else None,
            wait_seconds=None
            if finding is None or finding.wait_s is None
            else round(finding.wait_s),
            circuit_breaker_state=None if breaker is None else breaker.name,
            timestamp=now[0] if now else self.clock(),
        )

    def _judge(
        self, request: RehearsalRequest, found: DictRow, org_id: str | None
    ) -> _Finding | None:
        if org_id is None:
            return _Finding(None, "Nothing tells which organisation sends: name it in X-Org-Id")
        payload = request.payload
        if payload is None and request.template_code is None:
            payload = {"text": "…"}
        message = _imagine(request, org_id, payload)
        try:
            check_message(message)
        except UserMistake as mistake:
            return _Finding(None, str(mistake).rstrip("."))
        if request.dossier_id is not None and not found["dossier_found"]:
            return _Finding(None, f"The organisation has no dossier {request.dossier_id}")
        verdict = judge(
            _claim(message, found),
            has_provider=self.has_provider,
            now=self.clock(),
            quiet=self.quiet,
        )
        match verdict:
            case None:
                return None
            case Refusal(code, text):
                return _Finding(code.value, text)
            case Deferral(code, text, seconds):
                return _Finding(code.value, text, seconds)


def _imagine(
    request: RehearsalRequest, org_id: str, payload: dict[str, object] | None
) -> NewMessage:
    return NewMessage(
        org_id,
        Channel.WHATSAPP,
        request.phone_number,
        template_code=request.template_code,
        payload=payload or {},
        dossier_id=request.dossier_id,
    )


def _claim(message: NewMessage, found: DictRow) -> ClaimedMessage:
    """Make the message that a claim would bring."""
    return ClaimedMessage(
        id=0,
        org_id=message.org_id,
        channel=message.channel.value,
        to_recipient=message.to_recipient,
        template_code=message.template_code,
        subject=None,
        payload_json=dict(message.payload),
        attempt_no=1,
        attempt_count=1,
        max_attempts=message.max_attempts,
        session_id=None,
        run_id=None,
        hypothesis_id=None,
        traceparent=None,
        previous_traceparent=None,
        consent=found["consent"],
        window_open=found["window_open"],
        quota_wait_s=found["quota_wait_s"],
        throttle_wait_s=found["throttle_wait_s"],
        provider_enabled=found["provider_enabled"],
        phone_number_id=found["phone_number_id"],
        contact_opted_out=found["contact_opted_out"],
        quiet_from=found["quiet_from"],
        quiet_until=found["quiet_until"],
        quiet_zone=found["quiet_zone"],
    )


def _judge_breaker(state: BreakerState | None) -> _Finding | None:
    if state is not BreakerState.OPEN:
        return None
    return _Finding(HouseCode.CIRCUIT_BREAKER_OPEN.value, "The circuit breaker is open", 0.0)


def _find_duplicate(
    connection: psycopg.Connection, request: RehearsalRequest, org_id: str | None
) -> bool:
    text = (request.payload or {}).get("text")
    values = {
        "phone": request.phone_number,
        "org_id": org_id,
        "template": request.template_code,
        "text": text if isinstance(text, str) else None,
        "ceiling": RECENT_MESSAGES,
    }
    return bool(_ask(connection, "find_duplicate", values)["duplicate"])


def _word(finding: _Finding | None, *, duplicate: bool, open_: bool) -> str:
    """Say it as 000's example does."""
    if finding is not None:
        parts = [f"{finding.text}."]
        parts.append("The message would wait." if finding.wait_s is not None else "It is not sent.")
    elif open_:
        parts = ["Session window is active.", "Message can be sent."]
    else:
        parts = ["Session window is closed.", "The template message can be sent."]
    if duplicate:
        parts.append("One like it waits, or was sent within the hour.")
    return " ".join(parts)


def _ask(connection: psycopg.Connection, name: str, values: Mapping[str, object]) -> DictRow:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES[name].encode(), values)
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError(f"{name} gave no row")
    return row
