"""Every alert has its page and every page its alert, and what a page says to type works."""

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

import psycopg
import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from alerts.pages import SECTIONS, describe_tiers
from operations.procedures import PROCEDURES
from outbound_slo.cli import app
from outbound_slo.settings import known_variables
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.metrics import METRICS
from tests.patience import wait_for

PAGES = Path(__file__).parents[2] / "docs/runbooks"
NAMES = sorted(path.stem for path in PAGES.glob("*.md"))


def text_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def blocks_of(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def test_alerts_and_pages_belong_together() -> None:
    assert set(NAMES) == {name.value for name in AlertName}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_parts_and_the_tiers_of_its_alert(name: str) -> None:
    text = text_of(name)

    assert text.startswith(f"# {name}\n\n<!-- generated: tiers -->\n\n{describe_tiers(name)}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    parts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_every_numbered_step_is_a_step_where_the_page_is_read_as_markdown(name: str) -> None:
    written = re.findall(r"^\d+\. ", text_of(name), re.MULTILINE)
    lists = re.findall(r"<ol.*?</ol>", MarkdownIt().render(text_of(name)), re.DOTALL)

    assert sum(each.count("<li>") for each in lists) == len(written)


@pytest.mark.parametrize("name", NAMES)
def test_links_between_pages_lead_somewhere(name: str) -> None:
    linked = re.findall(r"\]\(([^)]+\.md)\)", text_of(name))

    assert all((PAGES / page).is_file() for page in linked)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_that_a_page_names_exist(name: str) -> None:
    named = re.findall(r"\b(?:outbound|whatsapp|resilience4j)_[a-z0-9_]+\b", text_of(name))
    columns_and_tables = {
        "outbound_message", "outbound_attempt", "outbound_message_id", "outbound_exporter_",
        "whatsapp_provider_config", "whatsapp_rate_limit", "outbound_",
        "outbound_sender", "outbound_switch", "whatsapp_session_window", "whatsapp_template",
    }  # fmt: skip

    unknown = {word.removesuffix("_bucket") for word in named} - METRICS.keys()
    assert unknown <= columns_and_tables


@pytest.mark.parametrize("name", [name for name in NAMES if blocks_of(name, "sql")])
def test_sql_of_a_page_runs_on_the_schema(name: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        for block in blocks_of(name, "sql"):
            connection.execute(block.encode())


RESETS = {
    each.sql: each.place
    for each in PROCEDURES
    if "SET status" in each.sql and "4 hours" not in each.sql
}
"""Statements of docs/operations.md that the rows below have something for."""


@pytest.mark.parametrize(("name", "reset"), [(name, sql) for sql, name in RESETS.items()])
def test_a_reset_by_hand_meets_another_and_the_senders_without_a_deadlock(
    name: str, reset: str, database: str
) -> None:
    status, attempts = ("FAILED", 5) if "'FAILED'" in reset else ("SENDING", 1)
    with psycopg.connect(database, autocommit=True) as connection:
        # The rows lie in the table in the order that is not the senders', who go by id.
        for number in (3, 2, 1):
            connection.execute(
                "INSERT INTO outbound_message (id, org_id, channel, to_recipient, template_code,"
                " status, attempt_count, max_attempts, error_code, updated_at)"
                " VALUES (%s, 'o', 'WHATSAPP', '+33612345678' || %s, 'x', %s, %s, 5, '131016',"
                " now() - interval '2 days')",
                (number, number, status, attempts),
            )
        with psycopg.connect(database) as sender, ThreadPoolExecutor(2) as people:
            lock = "SELECT 1 FROM outbound_message WHERE id = %s FOR UPDATE"
            sender.execute(lock, (1,))
            resets = [people.submit(run_alone, database, reset) for _ in range(2)]
            wait_for(lambda: count_waiting(connection) == 2, f"the resets of {name} to wait")
            for number in (2, 3):
                sender.execute(lock, (number,))
            sender.commit()
            # The second finds nothing left that it was asked for.
            assert sorted(done.result() for done in resets) == [0, 3]


def run_alone(database: str, statement: str) -> int:
    """Run a statement as a person at psql does; gives the number of its rows."""
    with psycopg.connect(database) as connection:
        return connection.execute(statement.encode()).rowcount


def count_waiting(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return 0 if row is None else int(row[0])


@pytest.mark.parametrize(
    "command",
    sorted(
        {
            line.split(" --")[0]
            for name in NAMES
            for block in re.findall(r"outbound-slo [a-z][^`\n]*", text_of(name))
            for line in [block.strip()]
        }
    ),
)
def test_commands_of_a_page_exist(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word.isalpha()]

    told = CliRunner().invoke(app, [*words, "--help"])

    assert told.exit_code == 0, told.output
    assert words


@pytest.mark.parametrize("name", NAMES)
def test_options_that_a_page_gives_to_commands_exist(name: str) -> None:
    for line in re.findall(r"outbound-slo [a-z][^`\n]*(?:\n {2,}[^`\n]+)?(?=[`\n])", text_of(name)):
        words = shlex.split(line.split(" > ")[0])[1:]
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        if options:
            before = takewhile(lambda word: not word.startswith("--"), words)
            command = [word for word in before if word.isalpha() and word.islower()]
            told = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
            assert not {option for option in options if option not in told.output}, line


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_a_page_names_exist(name: str) -> None:
    named = re.findall(r"\b(?:OUTBOUND|WHATSAPP)_[A-Z_]+\b", text_of(name))

    assert set(named) <= known_variables()
