"""The generated files of this room: rules, the files that compose mounts, the page on paging."""

from collections.abc import Mapping
from typing import Final

from alerts.alertmanager import render_alertmanager
from alerts.contacts import Contacts
from alerts.generator import render_rules
from alerts.notifications import TEMPLATES_FILE, render_templates
from alerts.paging_page import build_paging_page
from alerts.prometheus import COMPOSE_ALERTMANAGER, COMPOSE_TARGETS, render_prometheus
from alerts.timing import Timing

GENERATED: Final = "alerts/generated"
"""Directory of the generated files, from the project's root."""

RULE_PATTERN: Final = "outbound-*.yml"
"""Matches the rule files in that directory and nothing else."""

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
    generated = {f"{GENERATED}/{name}": text for name, text in files.items()}
    return {**generated, **build_paging_page()}
