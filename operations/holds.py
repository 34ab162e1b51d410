"""Why one message does not move: everything that can hold it, asked in order. Pure.

What a send is checked for is asked of the sender's own rules (sender/rules.py); the rest are the
conditions of its claim (sender/sql/outbox.sql).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from operations.cases import Case, Hold, HoldKind, Surroundings
from operations.output import show_age, show_cell
from outbound_slo.vocabulary.errors import HouseCode, explain
from outbound_slo.vocabulary.statuses import AttemptOutcome, Channel, MessageStatus, Turn
from sender import rules
from sender.outbox import ClaimedMessage
from sender.rules import Deferral, Refusal, judge
from sender.upkeep import UPKEEP_S

OVERDUE_S = 300.0
"""Seconds for which a message that nothing holds may be due (000: overdue)."""

SWEEPS_S = 4 * UPKEEP_S
"""Seconds after the recovery window in which a sweep must have come by."""


def find_holds(case: Case, around: Surroundings) -> tuple[Hold, ...]:
    """Name everything that holds a message, what comes first first."""
    match MessageStatus(case.status):
        case MessageStatus.QUEUED:
            found = [*_holds_of_time(case, around), *_holds_of_claim(case, around)]
            found += _holds_of_rules(case, around)
        case MessageStatus.SENDING:
            found = list(_holds_in_flight(case, around))
        case _:
            return (_judge_end(case, around),)
    return tuple(found) or tuple(_suspect(case, around))


# --- it has ended, or is on its way ---------------------------------------------------------------


def _judge_end(case: Case, around: Surroundings) -> Hold:
    if case.status != MessageStatus.FAILED:
        text = f"It is {case.status}: the provider has it"
        return Hold(HoldKind.FINAL, text, "nothing to do", needs_person=False)
    code = case.error_code or "no code"
    meaning = explain(code, around.policy)
    said = f" ({meaning.title}; retry: {meaning.retryable.value})" if meaning else ""
    spent = case.attempt_count >= case.max_attempts
    state = "a dead letter" if spent else "FAILED with attempts left"
    mend = f"mend the cause, then: outbound-slo ops stuck release {case.message_id}"
    return Hold(HoldKind.FINAL, f"It is {state}: {code}{said}", mend, needs_person=True)


def _holds_in_flight(case: Case, around: Surroundings) -> Iterator[Hold]:
    """In SENDING: a sender has it, or its outcome is unknown until a webhook tells (D12)."""
    number = f"attempt {case.attempt_no or '?'}"
    if case.window_left_s > 0:
        left = show_age(case.window_left_s)
        unknown = case.outcome == AttemptOutcome.UNKNOWN
        gone = case.worker is not None and around.seen and case.worker not in around.alive
        if not unknown and not gone:
            yield Hold(
                HoldKind.IN_FLIGHT,
                f"{number} is under way in {case.worker or 'a sender'}",
                "wait for its answer",
                needs_person=False,
            )
            return
        why = "no answer came" if unknown else f"its sender {case.worker} is gone"
        yield Hold(
            HoldKind.RECOVERY_WINDOW,
            f"{number}: {why}; a webhook may still tell, for {left} more",
            "wait; then it is queued again by itself",
            needs_person=False,
        )
        return
    if case.attempt_count < case.max_attempts and not case.resend_allowed:
        yield Hold(
            HoldKind.SILENCE,
            f"{number}: the outcome is unknown, and webhooks of {case.channel} are silent or "
            "refused, so it is not sent again",
            "bring webhooks back: outbound-slo ops secret status; or risk sending it twice: "
            f"outbound-slo ops stuck release {case.message_id} --force",
            needs_person=True,
        )
    elif around.alive and case.window_left_s > -SWEEPS_S:
        yield Hold(
            HoldKind.RECOVERY_WINDOW,
            f"{number}: the recovery window is over",
            "wait for the next sweep, which queues it again or ends it",
            needs_person=False,
        )
    if not around.alive:
        yield _no_sender(around, case)


# --- its time has not come ------------------------------------------------------------------------


def _holds_of_time(case: Case, around: Surroundings) -> Iterator[Hold]:
    if case.expires_at is not None and case.expires_at <= around.now:
        yield Hold(
            HoldKind.EXPIRED,
            f"It expired at {show_cell(case.expires_at)}",
            "nothing: a sender ends it as message_expired",
            needs_person=False,
        )
    release = f"outbound-slo ops stuck release {case.message_id} --force"
    if _is_ahead(case.scheduled_at, around):
        put_off = case.error_code in {code.value for code in rules.DEFERRALS}
        yield Hold(
            HoldKind.DEFERRED if put_off else HoldKind.SCHEDULED,
            f"Put off by {case.error_code}" if put_off else "Scheduled by who queued it",
            f"wait, or send it now: {release}",
            needs_person=False,
            until=case.scheduled_at,
        )
    if _is_ahead(case.updated_at, around):
        yield Hold(
            HoldKind.DEFERRED,
            "Put off by hand: updated_at lies in the future (002)",
            f"wait, or send it now: {release}",
            needs_person=False,
            until=case.updated_at,
        )
    if _is_ahead(case.next_retry_at, around):
        yield Hold(
            HoldKind.BACK_OFF,
            f"Waits for attempt {case.attempt_seq + 1} after {case.error_code or 'a failure'}",
            f"wait, or send it now: {release}",
            needs_person=False,
            until=case.next_retry_at,
        )


def _is_ahead(moment: datetime | None, around: Surroundings) -> bool:
    return moment is not None and moment > around.now


# --- no claim takes it ----------------------------------------------------------------------------


def _holds_of_claim(case: Case, around: Surroundings) -> Iterator[Hold]:
    if case.paused:
        yield Hold(
            HoldKind.PAUSED,
            f"{case.channel} is paused by {case.paused_by or 'nobody named'}: "
            f"{case.pause_reason or 'no reason given'}",
            f"outbound-slo ops channel resume {(case.paused_switch or case.channel).lower()}",
            needs_person=case.paused_until is None,
            until=case.paused_until,
        )
    if case.provider_enabled is False:
        yield Hold(
            HoldKind.DISABLED,
            f"WhatsApp of {case.org_id} is switched off by {case.disabled_by or 'nobody named'}",
            "switch it on again: whatsapp_provider_config.enabled",
            needs_person=True,
        )
    states = [one[case.channel] for one in around.breakers if case.channel in one]
    if not states:
        yield _no_sender(around, case)
    elif all(state == "open" for state in states):
        yield Hold(
            HoldKind.BREAKER_OPEN,
            f"The circuit breaker of {case.channel} is open in all of {len(states)} senders",
            "it probes by itself; see what fails: outbound-slo ops status",
            needs_person=False,
        )
    if case.blocker_id is not None:
        yield _name_blocker(case, around)


def _no_sender(around: Surroundings, case: Case) -> Hold:
    if around.breakers:
        text, mend = (
            f"No living sender serves {case.channel}",
            "give a sender the provider's credentials (docs/settings.md)",
        )
    elif around.alive:
        text = "Senders live, but none of them claims"
        mend = "OUTBOUND_WORKER_ENABLED=true, and start them again"
    else:
        text = "No sender lives" if around.seen else "No sender has been seen"
        mend = "start one: outbound-slo sender"
    return Hold(HoldKind.NO_SENDER, text, mend, needs_person=True)


def _name_blocker(case: Case, around: Surroundings) -> Hold:
    since = show_age((around.now - (case.blocker_since or around.now)).total_seconds())
    turn = f", {case.blocker_turn}" if case.blocker_status == MessageStatus.QUEUED else ""
    kind = "Parked behind" if case.turn == Turn.PARKED else "Behind"
    return Hold(
        HoldKind.BEHIND,
        f"{kind} message {case.blocker_id} to the same recipient ({case.blocker_status}{turn} "
        f"for {since})",
        f"outbound-slo ops stuck explain {case.blocker_id}",
        needs_person=False,
    )


# --- the sender's own rules -----------------------------------------------------------------------


def _holds_of_rules(case: Case, around: Surroundings) -> Iterator[Hold]:
    claimed = _claim(case, around)
    free = replace(claimed, quota_wait_s=None, throttle_wait_s=None, provider_enabled=True)
    judged = {
        HoldKind.THROTTLED: replace(free, throttle_wait_s=case.throttle_wait_s),
        HoldKind.QUOTA: replace(free, quota_wait_s=case.quota_wait_s),
        HoldKind.QUIET_HOURS: free,
    }
    verdict = judge(free, has_provider=True, now=around.now, quiet=around.quiet)
    if isinstance(verdict, Refusal):
        if verdict.code is not HouseCode.MESSAGE_EXPIRED:
            yield Hold(
                HoldKind.REFUSED,
                f"Its claim will refuse it: {verdict.code.value}, {verdict.text}",
                _REFUSALS.get(verdict.code, "queue it anew, with what is missing"),
                needs_person=True,
            )
        return
    for kind, message in judged.items():
        urgent = (
            message if kind is HoldKind.QUIET_HOURS else replace(message, quiet_hours_override=True)
        )
        found = judge(urgent, has_provider=True, now=around.now, quiet=around.quiet)
        if isinstance(found, Deferral):
            yield Hold(
                kind,
                f"{found.text} ({found.code.value}), for {show_age(found.seconds)} more",
                _DEFERRALS[kind].replace("ORG", case.org_id),
                needs_person=False,
            )


_DEFERRALS = {
    HoldKind.THROTTLED: "wait; outbound-slo ops quota show",
    HoldKind.QUOTA: "wait for the reset, or: outbound-slo ops quota raise ORG LIMIT",
    HoldKind.QUIET_HOURS: "wait for the morning, or set quiet_hours_override",
}

_REFUSALS = {
    HouseCode.CONSENT_MISSING: "record the consent in consentement, if there is one",
    HouseCode.OPTED_OUT: "nothing: the recipient wants no messages",
    HouseCode.SESSION_EXPIRED: "send a template, or wait until the recipient writes",
}


def _claim(case: Case, around: Surroundings) -> ClaimedMessage:
    """Make the message that a claim would bring."""
    return ClaimedMessage(
        id=case.message_id,
        org_id=case.org_id,
        channel=Channel(case.channel),
        to_recipient=case.to_recipient,
        template_code=case.template_code,
        subject=case.subject,
        payload_json=case.payload_json,
        attempt_no=case.attempt_seq + 1,
        attempt_count=case.attempt_count + 1,
        max_attempts=case.max_attempts,
        session_id=None,
        run_id=None,
        hypothesis_id=None,
        traceparent=None,
        consent=case.consent,
        window_open=case.window_open,
        quota_wait_s=case.quota_wait_s,
        throttle_wait_s=case.throttle_wait_s,
        provider_enabled=case.provider_enabled,
        phone_number_id=None,
        previous_traceparent=None,
        priority=case.priority,
        expired=case.expires_at is not None and case.expires_at <= around.now,
        quiet_hours_override=case.quiet_hours_override,
        contact_opted_out=case.contact_opted_out,
        quiet_from=case.quiet_from,
        quiet_until=case.quiet_until,
        quiet_zone=case.quiet_zone,
    )


# --- nothing that we know of ----------------------------------------------------------------------


def _suspect(case: Case, around: Surroundings) -> Iterator[Hold]:
    """Nothing holds it; where it stays nevertheless, a session may have locked its row."""
    late = case.status == MessageStatus.SENDING or (
        (around.now - case.due_at).total_seconds() > OVERDUE_S
    )
    if not late:
        return
    for locker in around.lockers:
        yield Hold(
            HoldKind.LOCKED,
            f"Session {locker.pid} ({locker.application or locker.role or 'unnamed'}) has held rows"
            f" of the queue for {show_age(locker.seconds)}",
            f"end it if nobody needs it: SELECT pg_terminate_backend({locker.pid})",
            needs_person=True,
        )
    if not around.lockers:
        yield Hold(
            HoldKind.UNEXPLAINED,
            "Nothing that can be seen from here holds it, and yet it is late",
            "read the senders' logs (docs/logs.md); are there enough of them for the queue?",
            needs_person=True,
        )
