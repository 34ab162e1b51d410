"""The generated parts of pages: what they say, where they are put, and that hands keep the rest."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.blocks import write_detection, write_escalation, write_recovery, write_tiers
from alerts.detection import Pace
from alerts.pages import (
    SECTIONS,
    build_blocks,
    build_pages,
    collect_tiers,
    find_pages,
    read_page,
    refresh_page,
)
from alerts.rule import Alert
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.recoveries import RECOVERED_BY, RECOVERIES, RecoveryName

PACE = Pace.production()
TIERS = {name: tiers for name, tiers in collect_tiers().items() if tiers}
BLOCKS = {"tiers": "TABLE", "detection": "BUDGET", "recovery": "OVER", "escalation": "WHO"}
BY_HAND = """# Name

| Tier | Line |
|---|---|
| 1 | old |

## Meaning

It hurts.

| A table | of a person's |
|---|---|

## Recovered when

- it does not hurt.

## Escalation

Call somebody.
"""
MARKED = """# Name

<!-- generated: tiers -->

TABLE

<!-- end -->

<!-- generated: detection -->

BUDGET

<!-- end -->

## Meaning

It hurts.

| A table | of a person's |
|---|---|

## Recovered when

<!-- generated: recovery -->

OVER

<!-- end -->

- it does not hurt.

## Escalation

<!-- generated: escalation -->

WHO

<!-- end -->

Call somebody.
"""


def test_a_page_written_by_hand_gets_its_generated_parts() -> None:
    assert refresh_page(BY_HAND, BLOCKS) == MARKED


def test_a_page_is_the_same_after_a_second_time() -> None:
    assert refresh_page(MARKED, BLOCKS) == MARKED


def test_only_the_part_that_changed_changes() -> None:
    changed = refresh_page(MARKED, {**BLOCKS, "recovery": "NEVER"})

    assert changed == MARKED.replace("OVER", "NEVER")


def test_a_part_that_there_is_no_longer_goes_with_its_marks() -> None:
    changed = refresh_page(MARKED, {**BLOCKS, "detection": ""})

    assert changed == MARKED.replace(
        "<!-- generated: detection -->\n\nBUDGET\n\n<!-- end -->\n\n", ""
    )
    assert refresh_page(changed, {**BLOCKS, "detection": ""}) == changed


def test_a_part_that_is_new_takes_its_place() -> None:
    without = refresh_page(BY_HAND, {**BLOCKS, "detection": ""})

    assert "BUDGET" not in without
    assert refresh_page(without, BLOCKS) == MARKED


def test_a_page_of_generated_parts_alone_keeps_its_headings() -> None:
    bare = "# Name\n\n## Recovered when\n\n## Escalation\n"

    told = refresh_page(bare, {**BLOCKS, "detection": ""})

    assert re.findall(r"^#.*", told, re.MULTILINE) == [
        "# Name",
        "## Recovered when",
        "## Escalation",
    ]
    assert told.endswith("<!-- end -->\n")
    assert refresh_page(told, {**BLOCKS, "detection": ""}) == told


def test_a_mark_that_nothing_makes_is_named() -> None:
    with pytest.raises(UserMistake, match="'generated: poems'"):
        refresh_page(MARKED.replace("generated: recovery", "generated: poems"), BLOCKS)


@pytest.mark.parametrize("gone", ["# Name\n\n", "## Escalation\n\n"])
def test_a_page_without_a_place_for_a_part_is_told(gone: str) -> None:
    with pytest.raises(UserMistake, match="has no place for its part"):
        refresh_page(BY_HAND.replace(gone, "", 1), BLOCKS)


def test_the_table_of_tiers_has_what_a_line_needs_beside_it() -> None:
    assert write_tiers(TIERS[AlertName.ELEVATED_FAILURE_RATE]) == (
        "| Tier | Line | Needs | For | Severity | Priority | Level |\n"
        "|---|---|---|---|---|---|---|\n"
        "| 1 | > 5 % | >= 20 attempts | 15m | warning | P2 | L1 |\n"
        "| 2 | > 30 % | >= 20 attempts | 5m | critical | P1 | L2 |"
    )
    assert write_tiers(TIERS[AlertName.NO_DATA]).splitlines()[-1] == (
        "| 1 | none | 2m | critical | P1 | L1 |"
    )


def test_a_budget_is_written_as_its_waits_and_their_sum() -> None:
    assert write_detection(TIERS[AlertName.PROVIDER_DOWN], PACE) == (
        "A page is out after the sum of these waits at the latest; promised are 3m:\n\n"
        "| Tier | From when | Refresh | Scrape | Evaluation | Window | For | Wait | Page |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
        "| 1 | nothing is accepted, at one message per second"
        " | 10s | 15s | 15s | 1m | 1m | 10s | 2m50s |"
    )


@pytest.mark.parametrize(("name", "rows"), [("OutboundDLQOverflow", 3), ("WhatsAppQuotaHigh", 0)])
def test_only_tiers_that_page_have_a_budget(name: str, rows: int) -> None:
    told = write_detection(TIERS[AlertName(name)], PACE)

    assert len(re.findall(r"^\| \d", told, re.MULTILINE)) == rows


def test_recovery_is_what_verify_measures() -> None:
    assert write_recovery(TIERS[AlertName.DLQ_OVERFLOW]) == (
        "`outbound-slo ops verify dlq` measures all of it and exits with 0 when it is so:\n\n"
        "- The dead-letter queue is below its alert line: < 100 messages;\n"
        "- The dead-letter queue does not grow: == 0 messages, last 30 min.\n\n"
        "The alert itself ends 5m after its condition."
    )


@pytest.mark.parametrize(
    ("name", "waits", "told"),
    [
        (AlertName.RELOAD_FAILED, (300.0,), "The alert itself ends 5m after its condition."),
        (AlertName.NO_DATA, (0.0,), "The alert itself ends as soon as its condition does."),
        (
            AlertName.RELOAD_FAILED,
            (300.0, 0.0),
            "The alert itself ends some time after its condition: tier 1 5m, tier 2 0s.",
        ),
        (AlertName.WATCHDOG, (0.0,), "The alert itself never ends."),
    ],
)
def test_when_an_alert_itself_ends_is_told(
    name: AlertName, waits: tuple[float, ...], told: str
) -> None:
    [first, *_] = TIERS[name]
    tiers = [
        replace(first, tier=tier, keep_firing_s=wait) for tier, wait in enumerate(waits, start=1)
    ]

    assert write_recovery(tiers) == told


def test_escalation_is_what_priorities_and_levels_say() -> None:
    told = write_escalation(TIERS[AlertName.DLQ_OVERFLOW]).splitlines()

    assert told[0].count("|") == 6
    assert told[2] == (
        "| 1 | ticket (P2) | L1 (platform engineer on call) | 1h | whom level 1 asks |"
    )
    assert told[3].endswith("| 15m | L2 (tech lead or senior backend engineer) after 15m |")
    assert told[4].startswith(
        "| 3 | page (P1) | L1 (platform engineer on call), "
        "L2 (tech lead or senior backend engineer) | 15m | L3 (engineering manager) after 30m"
    )


def test_the_watchdog_is_no_page() -> None:
    assert (
        write_escalation(TIERS[AlertName.WATCHDOG])
        .splitlines()[-1]
        .startswith("| 1 | heartbeat (P3) | L1 (platform engineer on call) | 15m |")
    )
    assert write_detection(TIERS[AlertName.WATCHDOG], PACE) == ""


def test_every_alert_says_what_measures_its_end_or_that_nothing_does() -> None:
    assert set(RECOVERED_BY) == set(AlertName)
    # What is left is a person's own step, which no alert asks for.
    assert set(RECOVERIES) - set(RECOVERED_BY.values()) == {RecoveryName.RETRY}


@pytest.mark.parametrize("tiers", TIERS.values(), ids=TIERS)
def test_a_committed_page_has_the_parts_of_its_alert(tiers: tuple[Alert, ...]) -> None:
    name = tiers[0].name
    path = find_pages() / f"{name}.md"
    text = path.read_text("utf-8")

    assert refresh_page(text, build_blocks(tiers, PACE)) == text
    for body in build_blocks(tiers, PACE).values():
        assert body in text


@pytest.mark.parametrize("name", TIERS)
def test_a_page_restates_no_line_by_hand(name: AlertName) -> None:
    """Lines stand in the generated parts: a sentence that repeats one goes stale unseen."""
    page = (find_pages() / f"{name}.md").read_text("utf-8")
    by_hand = re.sub(r"<!-- generated.*?<!-- end -->|```.*?```", "", page, flags=re.DOTALL)
    lines = {line for alert in TIERS[name] for line in alert.lines.values() if line.value}

    stated = {
        line.key
        for line in lines
        if re.search(rf"(?<![\d.,]){line.value:,g} ?(?:{line.unit}|%|seconds\b)", by_hand)
    }
    assert stated == set()


def test_what_people_read_has_no_marks() -> None:
    text = read_page(AlertName.PROVIDER_DOWN)

    assert "<!--" not in text
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    assert "\n\n\n" not in text
    assert text.startswith("# WhatsAppProviderDown\n\n| Tier |")


def test_a_checkout_is_brought_up_to_date_and_missing_pages_are_left(tmp_path: Path) -> None:
    directory = tmp_path / "docs/runbooks"
    directory.mkdir(parents=True)
    (directory / "WhatsAppQuotaHigh.md").write_text(BY_HAND, "utf-8")
    (directory / "NoAlert.md").write_text(BY_HAND, "utf-8")

    [(path, text)] = build_pages(tmp_path).items()

    assert path == "docs/runbooks/WhatsAppQuotaHigh.md"
    assert "| 3 | > 95 % | 2m | warning | P2 | L1 |" in text
    assert "- it does not hurt.\n" in text
