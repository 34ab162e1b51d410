"""What is crossed and who is called: every line and level is the alerts' own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.catalogue import GROUPS
from operations.facts import (
    AttemptCount,
    Course,
    DeadCount,
    Facts,
    OldestDue,
    Processed,
    Quota,
    SenderSeen,
    StateCount,
    StuckCount,
    Unanswered,
    WebhookHealth,
    tally,
)
from operations.judgement import Finding, Remedy, judge_facts, top_level
from operations.procedures import PROCEDURES
from outbound_slo.vocabulary.alerts import AlertName, Level, Priority
from outbound_slo.vocabulary.errors import WISH_CODES, ErrorPolicy

NOW = datetime(2026, 9, 1, 3, tzinfo=UTC)
QUIET = Facts(
    now=NOW,
    place="db",
    org_id=None,
    policy=ErrorPolicy.RUNBOOK,
    sample=1000,
    states=(),
    due=(),
    oldest_due=(),
    stuck=(),
    attempts=(),
    courses=(),
    processed=(),
    dead=(),
    quotas=(),
    throttles=(),
    pauses=(),
    disabled=(),
    senders=(),
    webhooks=(),
    accounts=0,
    notices=(),
    operations=(),
)


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def attempts(channel: str, outcome: str, lately: int, code: str = "131016") -> AttemptCount:
    return AttemptCount(channel, outcome, code, lately, lately, ago(minutes=4))


def sender(breaker: str = "closed", seen_s: float = 3) -> SenderSeen:
    seen = ago(seconds=seen_s)
    return SenderSeen("w:1", "1", ago(days=1), seen, True, 0, {"WHATSAPP": breaker})


def only(facts: Facts) -> Finding:
    [finding] = judge_facts(facts)
    return finding


def test_a_quiet_outbox_is_well() -> None:
    assert judge_facts(QUIET) == ()
    assert top_level(()) is None


@pytest.mark.parametrize(
    ("queued", "priority", "level", "line"),
    [
        (501, Priority.P3, Level.L1, "> 500 messages"),
        (1000, Priority.P3, Level.L1, "> 500 messages"),
        (1001, Priority.P2, Level.L1, "> 1000 messages"),
        (2001, Priority.P1, Level.L1, "> 2000 messages"),
        (5001, Priority.P1, Level.L2, "> 5000 messages"),
        (10001, Priority.P1, Level.L3, "> 10000 messages"),
    ],
)
def test_the_queue_climbs_001s_ladder(
    queued: int, priority: Priority, level: Level, line: str
) -> None:
    finding = only(replace(QUIET, states=[StateCount("WHATSAPP", "QUEUED", queued)]))

    assert (finding.priority, finding.level, finding.line) == (priority, level, line)
    assert finding.alert is AlertName.QUEUE_BACKUP
    assert finding.remedy is Remedy.EXPLAIN_STUCK


def test_a_line_is_not_crossed_by_standing_on_it() -> None:
    on_lines = replace(
        QUIET,
        states=[StateCount("WHATSAPP", "QUEUED", 500), StateCount("SMS", "SENT", 10**7)],
        dead=[DeadCount("WHATSAPP", "131026", 100)],
        quotas=[Quota("org", 700, 1000, 70.0, NOW)],
    )
    assert judge_facts(on_lines) == ()


def test_all_channels_together_are_named_where_whatsapp_alone_is_not_as_grave() -> None:
    states = [StateCount("WHATSAPP", "QUEUED", 600), StateCount("SMS", "QUEUED", 600)]
    finding = only(replace(QUIET, states=states))

    assert finding.alert is AlertName.TOTAL_QUEUE_BACKUP
    assert finding.what == "1,200 messages on all channels are queued"


@pytest.mark.parametrize(
    ("dead", "priority", "level"),
    [
        (101, Priority.P2, Level.L1),
        (501, Priority.P1, Level.L1),
        (1001, Priority.P1, Level.L2),
        (2001, Priority.P1, Level.L3),
    ],
)
def test_dead_letters_climb_001s_ladder(dead: int, priority: Priority, level: Level) -> None:
    codes = [DeadCount("WHATSAPP", "131026", dead - 1), DeadCount("WHATSAPP", "131021", 1)]
    finding = only(replace(QUIET, dead=codes))

    assert (finding.priority, finding.level) == (priority, level)
    assert finding.remedy is Remedy.DLQ_REPORT


def test_what_recipients_wish_crosses_no_line_of_dead_letters() -> None:
    wishes = [DeadCount("WHATSAPP", code, 3000) for code in WISH_CODES]

    assert list(judge_facts(replace(QUIET, dead=wishes))) == []
    finding = only(replace(QUIET, dead=[*wishes, DeadCount("WHATSAPP", "131026", 101)]))
    assert finding.what.startswith("101 WhatsApp messages")


@pytest.mark.parametrize(
    ("lasted", "level", "line"),
    [
        (timedelta(minutes=29), Level.L2, ">= 10 attempts"),
        (timedelta(minutes=31), Level.L2, "down > 1800 s"),
        (timedelta(minutes=119), Level.L2, "down > 1800 s"),
        (timedelta(minutes=121), Level.L3, "down > 7200 s"),
    ],
)
def test_an_outage_that_lasts_calls_the_next_level(
    lasted: timedelta, level: Level, line: str
) -> None:
    course = Course("WHATSAPP", NOW - lasted - timedelta(seconds=9), 80, 12, NOW - lasted)
    finding = only(replace(QUIET, courses=[course]))

    assert (finding.level, finding.line, finding.alert) == (level, line, AlertName.PROVIDER_DOWN)
    assert "none of the last 80 attempts was accepted" in finding.what


def test_a_few_refusals_are_no_outage_unless_a_breaker_is_open() -> None:
    course = Course("WHATSAPP", ago(minutes=9), 9, 9, ago(minutes=2))
    facts = replace(QUIET, courses=[course])

    assert judge_facts(facts) == ()
    finding = only(replace(facts, senders=[sender("open"), sender("closed"), sender("open", 25)]))
    assert finding.line == "not closed"
    assert finding.what.endswith("; the circuit breaker is open in 1 of 2 senders")


def test_refusals_of_long_ago_are_no_outage_now() -> None:
    course = Course("WHATSAPP", None, 80, 0, ago(hours=3))
    assert judge_facts(replace(QUIET, courses=[course])) == ()


def test_an_open_breaker_is_told_even_if_the_provider_accepts() -> None:
    facts = replace(QUIET, senders=[sender("open")], attempts=[attempts("WHATSAPP", "SENT", 50)])
    finding = only(facts)

    assert finding.what == "WHATSAPP: the circuit breaker is open in 1 of 1 senders"
    assert (finding.priority, finding.level) == (Priority.P1, Level.L2)
    assert judge_facts(replace(facts, senders=[sender("half_open")])) == ()


@pytest.mark.parametrize(
    ("channel", "failed", "accepted", "alert", "level"),
    [
        ("WHATSAPP", 31, 69, AlertName.HIGH_FAILURE_RATE, Level.L2),
        ("WHATSAPP", 30, 70, AlertName.ELEVATED_FAILURE_RATE, Level.L1),
        ("SMS", 31, 69, AlertName.ELEVATED_FAILURE_RATE, Level.L2),
        ("SMS", 6, 94, AlertName.ELEVATED_FAILURE_RATE, Level.L1),
    ],
)
def test_failure_rates_are_judged_by_attempts(
    channel: str, failed: int, accepted: int, alert: AlertName, level: Level
) -> None:
    rows = [
        attempts(channel, "FAILED", failed - 1),
        attempts(channel, "UNKNOWN", 1, "timeout"),
        attempts(channel, "SENT", accepted),
        # Neither judges a provider (D3).
        attempts(channel, "REFUSED", 10_000, "opted_out"),
        attempts(channel, "DEFERRED", 10_000, "quiet_hours"),
    ]
    finding = only(replace(QUIET, attempts=rows))

    assert (finding.alert, finding.level) == (alert, level)
    assert finding.remedy is Remedy.PROVIDERS


def test_five_in_a_hundred_may_fail_and_nineteen_judge_nobody() -> None:
    well = [attempts("SMS", "FAILED", 5), attempts("SMS", "SENT", 95)]
    few = [attempts("SMS", "FAILED", 18), attempts("SMS", "SENT", 1)]

    assert judge_facts(replace(QUIET, attempts=well)) == ()
    assert judge_facts(replace(QUIET, attempts=few)) == ()


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("132001", Remedy.TEMPLATES),
        ("131021", Remedy.DLQ_REPORT),
        ("130", Remedy.QUOTA),
        ("131016", Remedy.PROVIDERS),
        ("no such code", Remedy.PROVIDERS),
    ],
)
def test_the_next_command_follows_from_the_commonest_error(code: str, remedy: Remedy) -> None:
    policy = ErrorPolicy.META if code == "132001" else ErrorPolicy.RUNBOOK
    rows = [attempts("WHATSAPP", "FAILED", 15, code), attempts("WHATSAPP", "FAILED", 5, "1")]
    rows += [attempts("WHATSAPP", "SENT", 20)]
    assert only(replace(QUIET, policy=policy, attempts=rows)).remedy is remedy


def test_when_no_channel_gets_anything_out_it_is_p0() -> None:
    rows = [attempts("WHATSAPP", "FAILED", 12), attempts("SMS", "UNKNOWN", 8)]
    first = judge_facts(replace(QUIET, attempts=rows))[0]

    assert (first.priority, first.alert, first.level) == (
        Priority.P0,
        AlertName.OUTAGE,
        Level.L2,
    )


def due(minutes: float, held_by: str | None = None) -> Sequence[OldestDue]:
    return [OldestDue("SMS", 7, "org", ago(minutes=minutes), held_by)]


def test_without_a_living_sender_a_due_message_is_p0_after_a_minute() -> None:
    facts = replace(QUIET, oldest_due=due(1.1))

    unseen, silent = only(facts), only(replace(facts, senders=[sender(seen_s=20)]))
    assert unseen.priority is silent.priority is Priority.P0
    assert "no sender has been seen" in unseen.what
    assert "no sender lives" in silent.what
    assert judge_facts(replace(facts, oldest_due=due(0.9))) == ()
    assert judge_facts(replace(facts, oldest_due=due(60, "paused"))) == ()
    assert judge_facts(replace(facts, senders=[sender()])) == ()
    # Senders that are not ours keep no heartbeat.
    other = [Processed(6, "SMS", "SENT", ago(seconds=5))]
    assert judge_facts(replace(facts, processed=other)) == ()


def test_with_senders_nothing_sent_for_five_minutes_is_p0() -> None:
    facts = replace(QUIET, oldest_due=due(5.1), senders=[sender()])

    assert only(facts).what == "Nothing is sent: message 7 has been due for 5 min"
    accepted = [Course("EMAIL", ago(minutes=1), 0, 0, None)]
    assert judge_facts(replace(facts, courses=accepted)) == ()


def test_stuck_messages_are_told_by_rule() -> None:
    stuck = [
        StuckCount("SMS", "SENDING", "sending_too_long", 2),
        StuckCount("SMS", "QUEUED", "overdue", 1),
    ]
    sending, queued = judge_facts(replace(QUIET, stuck=stuck))

    assert (sending.alert, sending.remedy) == (AlertName.STUCK_IN_SENDING, Remedy.RELEASE_STUCK)
    assert (queued.alert, queued.remedy) == (AlertName.STUCK_IN_QUEUE, Remedy.EXPLAIN_STUCK)


def test_quotas_are_one_finding_of_the_gravest_tier() -> None:
    quotas = [Quota(f"org-{n}", n, 100, float(n), NOW) for n in (99, 96, 90, 71)]
    finding = only(replace(QUIET, quotas=quotas))

    assert finding.what == "org-99 and 1 more: 99 % of the WhatsApp quota is used"
    assert (finding.priority, finding.line) == (Priority.P2, "> 95 %")


def test_refused_webhooks_of_several_organisations_call_level_2() -> None:
    refused = WebhookHealth("whatsapp", ago(minutes=5), ago(minutes=1), 0, 0, None)
    facts = replace(QUIET, webhooks=[refused], accounts=1)

    assert (only(facts).level, only(facts).remedy) == (Level.L1, Remedy.SECRETS)
    assert only(replace(facts, accounts=2)).level is Level.L2
    # Accepted since, or long ago: no more.
    accepted = replace(refused, last_accepted_at=NOW)
    past = replace(refused, last_accepted_at=None, last_rejected_at=ago(minutes=10))
    assert judge_facts(replace(facts, webhooks=[accepted, past])) == ()


def test_what_could_not_be_seen_is_not_well() -> None:
    gap = Unanswered("took too long")
    finding = only(replace(QUIET, states=gap, attempts=gap, notices=gap))

    assert finding.what == "Not known: states (took too long), attempts (took too long)"


def test_the_gravest_comes_first_and_says_who_is_called() -> None:
    facts = replace(
        QUIET,
        quotas=[Quota("org", 75, 100, 75.0, NOW)],
        states=[StateCount("SMS", "QUEUED", 10_001)],
        dead=[DeadCount("SMS", "30005", 600)],
    )
    findings = judge_facts(facts)

    assert [(one.priority, one.level) for one in findings] == [
        (Priority.P1, Level.L3),
        (Priority.P1, Level.L1),
        (Priority.P3, Level.L1),
    ]
    assert top_level(findings) is Level.L3


def test_no_priority_and_no_level_is_restated() -> None:
    tiers = {(a.name, a.priority) for group in GROUPS for a in group.alerts}
    facts = replace(
        QUIET,
        states=[StateCount("WHATSAPP", "QUEUED", 1001)],
        dead=[DeadCount("WHATSAPP", "131026", 101)],
        quotas=[Quota("org", 99, 100, 99.0, NOW)],
        stuck=[StuckCount("SMS", "QUEUED", "overdue", 1)],
    )
    assert {(one.alert, one.priority) for one in judge_facts(facts)} <= tiers


def test_what_is_to_be_run_next_is_a_command_of_the_runbooks_procedures() -> None:
    known = {command for procedure in PROCEDURES for command in procedure.commands}

    for remedy in Remedy:
        command = remedy.removeprefix("outbound-slo ").partition(" --")[0]
        assert any(each == command or each.startswith(f"{command} ") for each in known), remedy


def test_a_tally_without_attempts_has_no_share() -> None:
    assert tally((), None, lately=True).failure_percent is None
    assert tally([attempts("SMS", "SENT", 4)], None, lately=True).failure_percent == 0.0
