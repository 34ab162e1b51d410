"""Checks dashboards by all rules, with what links may lead to and what Prometheus takes."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from alerts.pages import find_pages
from dashboards.catalogue import all_dashboards, locate_dashboard
from dashboards.lint.board_rules import list_choices
from dashboards.lint.document import Document
from dashboards.lint.rule import Finding, Surroundings
from dashboards.lint.rules import RULES
from outbound_slo.embedded.binaries import PROMETHEUS, find_tools
from outbound_slo.vocabulary.metrics import Metric

_COMPLAINT: Final = re.compile(r'group "dashboards", rule (\d+),.*?: (.*)')
_PREFIX: Final = "could not parse expression: "

Refuse = Callable[[Sequence[str]], Sequence[str]]


def lint_documents(
    documents: Sequence[Document],
    *,
    extra: Mapping[str, Metric] | None = None,
    refuse: Refuse | None = None,
) -> list[Finding]:
    """Check dashboards together, since they link to each other.

    Args:
        documents: The dashboards.
        extra: Metrics of the user's own beside the vocabulary's.
        refuse: Says why Prometheus does not take expressions; promtool by default.

    """
    surroundings = Surroundings(
        documents,
        {**_list_panels(read_own()), **_list_panels(documents)},
        frozenset(path.stem for path in find_pages().glob("*.md")),
        extra or {},
        _ask_once(documents, refuse or ask_promtool),
    )
    return [finding for rule in RULES for finding in rule.run(surroundings)]


def _ask_once(documents: Sequence[Document], refuse: Refuse) -> Mapping[str, str]:
    """Ask about all expressions at once: each start of promtool takes a tenth of a second."""
    asked = dict.fromkeys(
        expression
        for document in documents
        for expression in (
            *(query.filled for _, query in document.list_queries()),
            *(choice.filled for choice in list_choices(document)),
        )
        if expression
    )
    return dict(zip(asked, refuse(list(asked)), strict=True))


@cache
def read_own() -> tuple[Document, ...]:
    """Give the dashboards that come with the project, as Grafana loads them."""
    return tuple(
        Document(locate_dashboard(uid), json.loads(json.dumps(built)))
        for uid, built in all_dashboards().items()
    )


def _list_panels(documents: Sequence[Document]) -> Mapping[str, frozenset[int]]:
    return {
        document.uid: frozenset(panel.id for panel in document.everything if panel.id is not None)
        for document in documents
        if document.uid
    }


def ask_promtool(expressions: Sequence[str]) -> Sequence[str]:
    """Have promtool parse expressions; gives its complaint about each, or nothing.

    Raises:
        UserMistake: There is no promtool, and it can't be had.

    """
    if not expressions:
        return []
    rules = [
        {"record": f"asked_{number}", "expr": expression}
        for number, expression in enumerate(expressions)
    ]
    groups = {"groups": [{"name": "dashboards", "rules": rules}]}
    with tempfile.TemporaryDirectory(prefix="outbound-slo-dashboards-") as workshop:
        path = Path(workshop) / "asked.yml"
        path.write_text(json.dumps(groups), encoding="utf-8")  # JSON is YAML
        told = find_tools(PROMETHEUS).run("promtool", "check", "rules", "--lint=none", str(path))
    complaints = [""] * len(expressions)
    for line in f"{told.stdout}\n{told.stderr}".splitlines() if told.returncode else []:
        if found := _COMPLAINT.search(line):
            complaints[int(found[1]) - 1] = found[2].removeprefix(_PREFIX)
    if told.returncode and not any(complaints):
        complaints[0] = (told.stderr or told.stdout).strip()
    return complaints
