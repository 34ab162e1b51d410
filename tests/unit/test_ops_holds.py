"""Why a message does not move, where the clock decides: pure."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from operations.cases import Case, HoldKind, Locker, Surroundings
from operations.holds import find_holds
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.quiet_hours import NO_DEFAULT

NOW = datetime(2026, 9, 1, 3, tzinfo=UTC)
SENDING = Case(
    message_id=7,
    org_id="org",
    channel="WHATSAPP",
    to_recipient="+33612345678",
    template_code="hello",
    subject=None,
    payload_json=None,
    status="SENDING",
    turn="OPEN",
    priority=1,
    attempt_count=1,
    max_attempts=5,
    attempt_seq=1,
    error_code=None,
    error_message=None,
    quiet_hours_override=False,
    scheduled_at=None,
    next_retry_at=None,
    expires_at=None,
    due_at=NOW - timedelta(hours=1),
    updated_at=NOW - timedelta(minutes=9),
    created_at=NOW - timedelta(hours=1),
    consent="GRANTED",
    window_open=None,
    quota_wait_s=None,
    throttle_wait_s=None,
    provider_enabled=None,
    disabled_by=None,
    contact_opted_out=None,
    quiet_from=None,
    quiet_until=None,
    quiet_zone=None,
    paused=False,
    paused_until=None,
    paused_switch=None,
    pause_reason=None,
    paused_by=None,
    attempt_no=1,
    outcome="UNKNOWN",
    worker="w:1",
    started_at=NOW - timedelta(minutes=9),
    resend_allowed=True,
    window_left_s=60.0,
    blocker_id=None,
    blocker_status=None,
    blocker_turn=None,
    blocker_since=None,
)
QUEUED = replace(SENDING, status="QUEUED", outcome="FAILED", due_at=NOW - timedelta(seconds=299))
AROUND = Surroundings(
    now=NOW,
    breakers=[{"WHATSAPP": "closed"}],
    seen=True,
    alive=frozenset({"w:1"}),
    quiet=NO_DEFAULT,
    policy=ErrorPolicy.RUNBOOK,
    lockers=(),
)


@pytest.mark.parametrize(
    ("left", "kind", "needs_person"),
    [
        (1.0, HoldKind.RECOVERY_WINDOW, False),
        (0.0, HoldKind.RECOVERY_WINDOW, False),
        (-119.0, HoldKind.RECOVERY_WINDOW, False),
        (-120.0, HoldKind.UNEXPLAINED, True),
    ],
)
def test_an_unknown_outcome_waits_for_its_window_and_then_for_a_sweep(
    left: float, kind: HoldKind, needs_person: bool
) -> None:
    [hold] = find_holds(replace(SENDING, window_left_s=left), AROUND)
    assert (hold.kind, hold.needs_person) == (kind, needs_person)


def test_after_the_window_silence_holds_what_has_budget_left() -> None:
    silent = replace(SENDING, window_left_s=-1.0, resend_allowed=False)
    spent = replace(silent, attempt_count=5)

    assert [hold.kind for hold in find_holds(silent, AROUND)] == [HoldKind.SILENCE]
    # Without budget it is not sent again but ended: nothing to wait for.
    assert [hold.kind for hold in find_holds(spent, AROUND)] == [HoldKind.RECOVERY_WINDOW]


def test_without_senders_nobody_sweeps() -> None:
    nobody = replace(AROUND, alive=frozenset(), breakers=())
    [hold] = find_holds(replace(SENDING, window_left_s=-1.0), nobody)
    assert (hold.kind, hold.text) == (HoldKind.NO_SENDER, "No sender lives")


def test_a_breaker_has_to_be_open_in_every_sender() -> None:
    one_open = replace(AROUND, breakers=[{"WHATSAPP": "open"}, {"WHATSAPP": "half_open"}, {}])
    all_open = replace(AROUND, breakers=[{"WHATSAPP": "open"}, {"WHATSAPP": "open"}, {}])

    assert find_holds(QUEUED, one_open) == ()
    [hold] = find_holds(QUEUED, all_open)
    assert hold.text == "The circuit breaker of WHATSAPP is open in all of 2 senders"


def test_five_minutes_without_a_hold_are_late_and_a_lock_is_the_suspect() -> None:
    late = replace(QUEUED, due_at=NOW - timedelta(seconds=301))
    locked = replace(AROUND, lockers=[Locker(99, "psql", "ana", 600.0)])

    assert find_holds(QUEUED, locked) == ()
    assert [hold.kind for hold in find_holds(late, AROUND)] == [HoldKind.UNEXPLAINED]
    [hold] = find_holds(late, locked)
    assert hold.text == "Session 99 (psql) has held rows of the queue for 10 min"
    assert hold.mend.endswith("pg_terminate_backend(99)")


def test_an_urgent_message_is_not_held_by_the_night() -> None:
    night = replace(
        QUEUED, contact_opted_out=False, quiet_from=time(2), quiet_until=time(5), quiet_zone="UTC"
    )
    assert [hold.kind for hold in find_holds(night, AROUND)] == [HoldKind.QUIET_HOURS]
    assert find_holds(replace(night, priority=0), AROUND) == ()
    assert find_holds(replace(night, quiet_hours_override=True), AROUND) == ()


def test_ends_say_what_may_be_done() -> None:
    dead = replace(SENDING, status="FAILED", error_code="131021", attempt_count=5)
    waiting = replace(dead, attempt_count=2)

    assert "a dead letter: 131021 (Recipient has no WhatsApp" in find_holds(dead, AROUND)[0].text
    assert "FAILED with attempts left" in find_holds(waiting, AROUND)[0].text
    assert not find_holds(replace(dead, status="SENT"), AROUND)[0].needs_person
