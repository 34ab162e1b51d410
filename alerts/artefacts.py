"""The generated files of this room: rules, the files that compose mounts, the page on paging."""

from collections.abc import Mapping
from typing import Final

from alerts.alertmanager import render_alertmanager
from alerts.catalogue.objectives import OBJECTIVES
from alerts.contacts import Contacts
from alerts.generator import render_rules
from alerts.notifications import TEMPLATES_FILE, render_templates
from alerts.objectives.documents import SLOS, read_objectives
from alerts.objectives.groups import build_part
from alerts.objectives.recordings import PERIOD
from alerts.paging_page import build_paging_page
from alerts.prometheus import COMPOSE_ALERTMANAGER, COMPOSE_TARGETS, render_prometheus
from alerts.rule import RuleGroup
from alerts.timing import Timing
from outbound_slo.vocabulary.alerts import AlertName, Slo

GENERATED: Final = "alerts/generated"
"""Directory of the generated files, from the project's root."""

RULE_PATTERN: Final = "outbound-*.yml"
"""Matches the rule files in that directory and nothing else."""

TEST_RULES: Final = "alerts/tests/rules"
"""Directory of rules that only tests load, from the project's root."""

_PAGER: Final = "http://pager:9095"


def build_artefacts() -> Mapping[str, str]:
    """Build each file's text by its path from the project's root; the same at every call."""
    production = Timing()
    files = dict(render_rules(production))
    files["alertmanager.yml"] = render_alertmanager(production, Contacts.at(_PAGER))
    files[TEMPLATES_FILE] = render_templates()
    files["prometheus.yml"] = render_prometheus(
        production,
        targets=COMPOSE_TARGETS,
        rule_files=[RULE_PATTERN],
        alertmanager=COMPOSE_ALERTMANAGER,
    )
    trials = render_rules(production, groups=_build_trials())
    return {
        **{f"{GENERATED}/{name}": text for name, text in files.items()},
        **{f"{TEST_RULES}/{name}": text for name, text in trials.items()},
        **build_paging_page(),
    }


def _build_trials() -> tuple[RuleGroup, ...]:
    """Build what tests of thirty days load: the budget, and three nines with little traffic."""
    by_name = {objective.name: objective for objective in OBJECTIVES}
    (strict,) = read_objectives([SLOS / "examples" / "strict-send-success.yml"])
    return (
        build_part(
            by_name[Slo.SEND_SUCCESS],
            "budget-of-thirty-days",
            [PERIOD],
            lambda alert: alert.name is AlertName.ERROR_BUDGET_SPENT,
        ),
        build_part(
            strict,
            "three-nines",
            ["30m", "6h", "3d"],
            lambda alert: (
                alert.name is AlertName.FEW_MESSAGES_FAIL
                or alert.labels.get("burn_tier") == "page-slow"
            ),
        ),
    )
