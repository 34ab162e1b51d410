"""A detection budget against the real promtool: no luck with the clocks, and it still pages."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerts.commands import app
from alerts.detection import Budget, Pace, list_budgets
from alerts.rule_files import GENERATED
from outbound_slo.embedded.binaries import Tools
from outbound_slo.vocabulary.alerts import AlertName

STEP_S = 5
# Five minutes before it, for the longest window, and what the longest budget takes after it.
BEGINS_S = 330
ENDS_S = 810
PACE = Pace.production()
BUDGETS = {(each.alert, each.tier): each for each in list_budgets(PACE)}
JUDGED = [
    BUDGETS[AlertName.OUTAGE, 1],
    BUDGETS[AlertName.PROVIDER_DOWN, 1],
    BUDGETS[AlertName.HIGH_FAILURE_RATE, 1],
]


def shown(begins_s: int, refreshed_s: int, scraped_s: int) -> tuple[str, str]:
    """Give what Prometheus scrapes of accepted and failed attempts, one a second; a gap is `_`."""
    accepted, failed = [], []
    for now in range(0, ENDS_S, STEP_S):
        if (now - scraped_s) % PACE.scrape_s:
            accepted.append("_")
            failed.append("_")
            continue
        seen = max(now - (now - refreshed_s) % PACE.refresh_s, 0)
        accepted.append(f"{min(seen, begins_s):g}")
        failed.append(f"{max(seen - begins_s, 0):g}")
    return " ".join(accepted), " ".join(failed)


def write_cases(budget: Budget, *, late_s: float) -> Iterator[dict[str, Any]]:
    """One case per position of the clocks to each other; each asks once."""
    for begins, (refreshed, scraped) in product((0, 5, 10), ((0, 0), (5, 10))):
        accepted, failed = shown(BEGINS_S + begins, refreshed, scraped)
        attempts = 'outbound_attempts_total{channel="whatsapp",outcome='
        yield {
            "interval": f"{STEP_S}s",
            "input_series": [
                {
                    "series": f'{attempts}"sent",error_code=""}}',
                    "values": accepted,
                },
                {
                    "series": f'{attempts}"failed",error_code="1"}}',
                    "values": failed,
                },
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{budget.alert}",tier="{budget.tier}",'
                    'alertstate="firing"})',
                    "eval_time": f"{BEGINS_S + begins + budget.fires_after_s + late_s:g}s",
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }


def agrees(cases: list[dict[str, Any]], directory: Path, tools: Tools) -> bool:
    """Tell whether promtool agrees with every case."""
    document = {
        "rule_files": [str(GENERATED / "outbound-provider.yml")],
        "evaluation_interval": f"{PACE.evaluation_s:g}s",
        "tests": cases,
    }
    path = directory / "cases.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return tools.run("promtool", "test", "rules", str(path)).returncode == 0


@pytest.mark.parametrize("budget", JUDGED, ids=lambda budget: budget.alert)
def test_an_outage_fires_within_its_budget_however_the_clocks_stand(
    budget: Budget, tmp_path: Path, prometheus_tools: Tools
) -> None:
    cases = list(write_cases(budget, late_s=0))

    assert len(cases) == 6
    assert agrees(cases, tmp_path, prometheus_tools)


@pytest.mark.parametrize("budget", JUDGED[:2], ids=lambda budget: budget.alert)
def test_a_budget_has_no_more_than_two_evaluations_to_spare_when_the_clocks_stand_badly(
    budget: Budget, tmp_path: Path, prometheus_tools: Tools
) -> None:
    cases = list(write_cases(budget, late_s=-2 * PACE.evaluation_s))

    assert not agrees(cases, tmp_path, prometheus_tools)


def test_check_tells_of_a_setting_that_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_METRICS_UPDATE_INTERVAL_MS", "30000")

    told = CliRunner().invoke(app, ["check"])

    assert told.exit_code == 1
    assert "detection: WhatsAppProviderDown: pages after 3m10s, promised are 3m: " in told.stderr
    assert "OutboundOutage" not in told.stderr
