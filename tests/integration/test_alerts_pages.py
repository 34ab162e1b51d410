"""Every alert has its page and every page its alert, and what a page says to type works."""

import re
import shlex
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from alerts.pages import SECTIONS, describe_tiers
from outbound_slo.cli import app
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.metrics import METRICS

PAGES = Path(__file__).parents[2] / "docs/runbooks"
NAMES = [name.value for name in AlertName]


def text_of(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def blocks_of(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(name), re.DOTALL)


def test_alerts_and_pages_belong_together() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_its_parts_and_the_tiers_of_its_alert(name: str) -> None:
    text = text_of(name)

    assert text.startswith(f"# {name}\n\n{describe_tiers(name)}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    parts = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)


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
    }  # fmt: skip

    unknown = {word.removesuffix("_bucket") for word in named} - METRICS.keys()
    assert unknown <= columns_and_tables


@pytest.mark.parametrize("name", [name for name in NAMES if blocks_of(name, "sql")])
def test_sql_of_a_page_runs_on_the_schema(name: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        for block in blocks_of(name, "sql"):
            connection.execute(block.encode())


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
