"""What reports, fallbacks and switches print, word for word, on a wide and on a narrow terminal."""

import re

import pytest

from tests.ops_parts import Operator, Printed

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.fixture
def ops(database: str) -> Operator:
    found = Operator(database)
    found.add(1234, code="131016", age="26 hours")
    found.add(3, code="131021", age="9 days", org="other")
    found.add(1, code="30005", channel="SMS")
    return found


def _shown(printed: Printed) -> list[str]:
    text = _DAY.sub("2026-03-01", _TIME.sub("2026-03-01 03:12:45Z", printed.out + printed.err))
    return [line for each in text.splitlines() if (line := each.rstrip())]


_CODES = [
    "By channel and code",
    " Channel    Code     Retry   Messages      %   Orgs",
    " ──────────────────────────────────────────────────",
    " whatsapp   131016   yes        1,234   99.7      1",
    " whatsapp   131021   no             3    0.2      1",
    " sms        30005    no             1    0.1      1",
]
_REST = [
    "By age",
    " Made        Messages",
    " ────────────────────",
    " < 1 day            1",
    " 1-7 days       1,234",
    " 7-30 days          3",
    "By organisation",
    " Organisation   Messages",
    " ───────────────────────",
    " org               1,235",
    " other                 3",
    "Growth over seven days",
    " Day          Messages   Orgs",
    " ────────────────────────────",
    " 2026-03-01          1      1",
    " 2026-03-01      1,234      1",
    "Next:",
    "1. 1,234 failed with passing errors and cooled:",
    "   outbound-slo ops dlq retry --dry-run",
    "2. 3 were not touched for 7 days:",
    "   outbound-slo ops dlq archive --dry-run",
    "3. All of them, for a closer look:",
    "   outbound-slo ops dlq export --to dlq.csv",
]


def test_the_report(ops: Operator) -> None:
    assert _shown(ops.run("dlq", "report")) == [
        "Dead letters: 1,238, above the alert line of 1,000, 001 (to L2).",
        *_CODES,
        "What they mean",
        " Code     Last         Meaning",
        " ──────────────────────────────────────────────────────────────────────────────────",
        " 131016   2026-03-01   Service briefly down (Meta: Service unavailable)",
        " 131021   2026-03-01   Recipient has no WhatsApp (Meta: Recipient cannot be sender)",
        " 30005    2026-03-01   Number unknown or no longer in use",
        "By 001's categories",
        " Category (001)         Recommended                     Messages   Orgs",
        " ──────────────────────────────────────────────────────────────────────",
        " Service Unavailable    Retry after 24 hours               1,234      1",
        " Invalid Phone Number   Update recipient phone number          3      1",
        " Uncategorized          Manual investigation required          1      1",
        *_REST,
    ]


def test_the_report_on_a_narrow_terminal(ops: Operator) -> None:
    narrow = Operator(ops.database, columns=60)
    assert _shown(narrow.run("dlq", "report")) == [
        "Dead letters: 1,238, above the alert line of 1,000, 001 (to",
        "L2).",
        *_CODES,
        "What they mean",
        " Code     Last         Meaning",
        " ──────────────────────────────────────────────────────────",
        " 131016   2026-03-01   Service briefly down (Meta: Service",
        "                       unavailable)",
        " 131021   2026-03-01   Recipient has no WhatsApp (Meta:",
        "                       Recipient cannot be sender)",
        " 30005    2026-03-01   Number unknown or no longer in use",
        "By 001's categories",
        " Category (001)        Recommended          Messages   Orgs",
        " ──────────────────────────────────────────────────────────",
        " Service Unavailable   Retry after 24          1,234      1",
        "                       hours",
        " Invalid Phone         Update recipient            3      1",
        " Number                phone number",
        " Uncategorized         Manual                      1      1",
        "                       investigation",
        "                       required",
        *_REST,
    ]


def test_dry_runs_on_a_narrow_terminal(ops: Operator) -> None:
    narrow = Operator(ops.database, columns=60)
    assert _shown(narrow.run("dlq", "archive", "--dry-run")) == [
        "ops dlq archive",
        " Channel    Code     Oldest                 dead letters",
        " ───────────────────────────────────────────────────────",
        " WHATSAPP   131021   2026-03-01 03:12:45Z              3",
        "3 dead letters to move to outbound_message_archive; their",
        "attempts go, and are kept for an undo.",
        "Dry run: nothing was changed.",
    ]
    assert _shown(narrow.run("fallback", "--critical", "--dry-run", "--hours", "48")) == [
        "ops fallback",
        " Template               Status   Code     messages",
        " ─────────────────────────────────────────────────",
        " appointment_reminder   FAILED   131016      1,000",
        "1,000 messages to get an SMS instead, which is due at once.",
        "Mind: the SMS says, for example: [WhatsApp Fallback] Your",
        "appointment",
        "Mind: the limit of 1,000 is reached: run the command again",
        "for the rest",
        "An undo does not bring back an SMS that a sender has taken",
        "meanwhile.",
        "Dry run: nothing was changed.",
    ]
    assert _shown(narrow.run("channel", "pause", "sms", "--for", "2h", "--dry-run")) == [
        "ops channel pause",
        " Switch   Now    Due   In flight   channels",
        " ──────────────────────────────────────────",
        " sms      open   0     0                  1",
        "1 channel to pause: sms, for 2 h. Senders claim nothing",
        "more; what is in flight ends, and what waits is kept.",
        "Dry run: nothing was changed.",
    ]


def test_switches(ops: Operator) -> None:
    assert _shown(ops.run("channel", "pause", "sms", "--reason", "Twilio is down", "--yes")) == [
        "Operation 1: 1 of 1 channel changed.",
        "updated_by: ops-1-channel-pause-ana",
        "Take it back with: outbound-slo ops undo 1",
        "Nothing is in flight.",
    ]
    ops.run("stop", "--for", "2h", "--yes")
    for columns in (100, 60):
        assert _shown(Operator(ops.database, columns).run("channel", "list")) == [
            "Channels",
            " Switch       State     Due   In flight",
            " ──────────────────────────────────────",
            " everything   paused      0           0",
            " whatsapp     stopped     0           0",
            " sms          paused      0           0",
            " email        stopped     0           0",
            "everything: until 2026-03-01 03:12:45Z, ops-2-stop-ana",
            "sms: until somebody resumes it, ops-1-channel-pause-ana",
            "  Twilio is down",
        ]
    assert _shown(ops.run("resume", "--yes")) == [
        "Operation 3: 1 of 1 switch setting changed.",
        "updated_by: ops-3-resume-ana",
        "Take it back with: outbound-slo ops undo 3",
        "Due: 0 messages, as fast as the channel's limits let them go.",
        "Mind: sms was paused by itself and stays so: outbound-slo ops channel resume sms",
    ]


def test_an_undo_is_foreseen_in_json(ops: Operator) -> None:
    number = ops.change("channel", "pause", "sms")["operation"]
    dry = ops.run("undo", number, "--dry-run", "--json").json()
    assert dry["keys"] == [
        {"relation": "outbound_switch", "key": "SMS", "made": False, "taken": False}
    ]
