"""What a rule of the lint is, and what it finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from dashboards.lint.document import Document
from outbound_slo.vocabulary.metrics import Metric


class Source(StrEnum):
    """Who thought of a rule."""

    DASHBOARD_LINTER = "dashboard-linter"
    HOUSE = "house"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend.

    Attributes:
        dashboard: The dashboard's uid, or its file where it has none.
        panel: Number and title of the panel; empty where the whole dashboard is meant.
        rule: Name of the rule.
        what: What is wrong.
        mend: What to do about it.

    """

    dashboard: str
    panel: str
    rule: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What a check found, before it is known which rule asked.

    Attributes:
        what: What is wrong.
        document: The dashboard.
        panel: Number of the panel in the dashboard; None where the whole dashboard is meant.
        panel_name: Number and title.

    """

    what: str
    document: Document
    panel: int | None = None
    panel_name: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a check may look at besides one dashboard.

    Attributes:
        documents: All dashboards that are checked together.
        known: Panels of every dashboard that a link may lead to, by uid.
        pages: Names of the runbook pages that exist.
        extra: Metrics of the user's own beside the vocabulary's.
        refused: By expression, why Prometheus does not take it; empty where it does.

    """

    documents: Sequence[Document]
    known: Mapping[str, frozenset[int]]
    pages: frozenset[str]
    extra: Mapping[str, Metric]
    refused: Mapping[str, str]


Check = Callable[[Document, Surroundings], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Exemption:
    """A panel to which a rule does not apply.

    Attributes:
        dashboard: Its uid.
        panel: Its number.
        reason: Why.

    """

    dashboard: str
    panel: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: Its name; that of grafana/dashboard-linter where it is theirs.
        source: Who thought of it.
        what: What it asks for.
        mend: What to do about a finding.
        check: Finds what is wrong; None where the rule is left out.
        left_out: Why it is left out.
        differs: How ours differs from the rule of the same name.
        exemptions: Panels to which it does not apply.

    """

    name: str
    source: Source
    what: str
    mend: str = ""
    check: Check | None = None
    left_out: str = ""
    differs: str = ""
    exemptions: Sequence[Exemption] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a rule that neither checks nor says why it does not."""
        if (self.check is None) != bool(self.left_out):
            raise ValueError(f"{self.name} needs a check or a reason, and not both")

    def run(self, surroundings: Surroundings) -> Iterator[Finding]:
        """Give the findings in all dashboards; none where the rule is left out."""
        if self.check is None:
            return
        exempt = {(each.dashboard, each.panel) for each in self.exemptions}
        for document in surroundings.documents:
            for fault in self.check(document, surroundings):
                if (fault.document.uid, fault.panel) not in exempt:
                    yield Finding(
                        fault.document.name, fault.panel_name, self.name, fault.what, self.mend
                    )
