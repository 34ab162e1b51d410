"""`outbound-slo dashboards check` with the real promtool: its findings, its tables, its exit."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dashboards.commands import app
from dashboards.lint.document import VARIABLE
from dashboards.lint.linter import ask_promtool, lint_documents, read_own
from dashboards.lint.rules import RULES
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.unit.compose import ROOT
from tests.unit.test_dashboards_provisioning import BACK

GENERATED = ROOT / "dashboards/generated"
SLA = GENERATED / "whatsapp-sla.json"

PANEL = 4


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Give the SLA dashboard with a query that does not parse."""
    document: dict[str, Any] = json.loads(SLA.read_text("utf-8"))
    [panel] = [each for each in document["panels"] if each["id"] == PANEL]
    panel["targets"][0]["expr"] = 'sum(outbound_message_queue_depth{channel="$channel"}[)'
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_promtool_says_which_of_many_expressions_it_does_not_take() -> None:
    asked = ["up", "sum(up", "rate(up[5m])", "up up", "up{a='}'}", 'up{a="x: rule 1, y"} +']
    told = ask_promtool(asked)
    assert [bool(each) for each in told] == [False, True, False, True, False, True]
    assert "unclosed left parenthesis" in told[1]
    assert "could not parse" not in told[1]
    assert ask_promtool([]) == []


def test_promtool_takes_every_query_of_ours() -> None:
    assert lint_documents(read_own()) == []
    filled = [
        VARIABLE.sub(lambda found: "1m" if "rate_interval" in found[0] else "", each["query"])
        for each in BACK["queries"]
    ]
    assert ask_promtool(filled) == [""] * len(filled)


def test_words_of_a_file_command_no_terminal(broken: Path) -> None:
    document = json.loads(broken.read_text("utf-8"))
    [panel] = [each for each in document["panels"] if each["id"] == PANEL]
    panel["title"] = "[/b]\x1b[31mred\ud800"
    broken.write_text(json.dumps(document), "utf-8")
    result = run(broken)
    assert result.exit_code == 1
    assert "[/b][31mred" in result.stdout
    assert not {"\x1b", "\ud800"} & set(result.stdout)


def test_the_built_in_dashboards_and_their_files_are_sound() -> None:
    result = run()
    assert (result.exit_code, result.stdout) == (0, "5 dashboards without a finding.\n")
    files = run(*sorted(GENERATED.glob("*.json")))
    assert (files.exit_code, files.stdout) == (0, "5 dashboards without a finding.\n")


def test_a_built_in_dashboard_may_be_named_by_its_uid(broken: Path) -> None:
    one = run("whatsapp-sla")
    assert (one.exit_code, one.stdout) == (0, "1 dashboard without a finding.\n")
    two = run("outbound-slo", broken)
    assert two.stderr == "1 finding in 2 dashboards.\n"


def test_a_finding_is_told_in_a_table_and_ends_with_one(broken: Path) -> None:
    result = run(broken)
    assert result.exit_code == 1
    assert result.stderr == "1 finding in 1 dashboard.\n"
    for word in ("whatsapp-sla", "4 Queue Depth", "target-promql-rule", "Mend the expression"):
        assert word in result.stdout


def test_findings_as_json_are_for_programs(broken: Path) -> None:
    result = run(broken, "--json")
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)
    assert finding.keys() == {"dashboard", "panel", "rule", "what", "mend"}
    assert (finding["dashboard"], finding["panel"]) == ("whatsapp-sla", "4 Queue Depth")
    assert finding["what"].startswith("query A: 1:")
    assert json.loads(run("--json").stdout) == []


def test_the_table_of_rules_tells_what_each_found(broken: Path) -> None:
    result = run(broken, "--rules", "--json")
    rows = {row["rule"]: row for row in json.loads(result.stdout)}
    assert list(rows) == [rule.name for rule in RULES]
    assert {name: row["found"] for name, row in rows.items() if row["found"]} == {
        "target-promql-rule": 1
    }
    assert "no Loki" in rows["target-logql-rule"]["left_out"]
    shown = run("--rules").stdout
    assert "Left out: there is no Loki" in shown
    assert all(rule.name[:20] in shown for rule in RULES)


def test_metrics_of_ones_own_come_from_a_file(tmp_path: Path) -> None:
    document = SLA.read_text("utf-8").replace("outbound_dead_letters", "shop_dead_letters")
    path = tmp_path / "own.json"
    path.write_text(document, "utf-8")
    assert "shop_dead_letters, which" in run(path, "--json").stdout
    extra = tmp_path / "extra.yml"
    labels = "[channel, error_code, category]"
    extra.write_text(f"metrics: {{shop_dead_letters: {{kind: gauge, labels: {labels}}}}}", "utf-8")
    assert run(path, "--extra-metrics", extra).exit_code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "can't be read: No such file or directory. Check the path"),
        ("{", "is no JSON in line 1: "),
        ("[]", "is no dashboard: it has no list 'panels'"),
        ('{"panels": {}}', "is no dashboard: it has no list 'panels'"),
        ("\udce4", "is no text in UTF-8"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_file_that_is_no_dashboard_is_one_clear_line(
    tmp_path: Path, text: str | None, told: str
) -> None:
    path = tmp_path / "board.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = run(path)
    assert isinstance(result.exception, UserMistake)
    assert told in str(result.exception)
    assert str(path) in str(result.exception)


def test_a_dashboard_as_the_api_gives_it_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text(json.dumps({"dashboard": json.loads(SLA.read_text("utf-8")), "meta": {}}))
    assert run(path).exit_code == 0
