"""What the runbooks count, as every exporter of the benchmark is asked, and how pages compare.

A page is reduced to figures: question, column and labels to a value. Labels that an exporter adds
of its own are left out; channels and states are capitals in the database and small letters with us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from outbound_slo.database import load_queries

Key: TypeAlias = tuple[str, tuple[str, ...]]
"""A question's column as `question_column`, and the labels' values in the question's order."""
Figures: TypeAlias = Mapping[Key, float]

_NUMERIC_LABEL = "le"


@dataclass(frozen=True, slots=True)
class Question:
    """A statement of `sql/runbooks.sql`, and which of our metrics answers it.

    Attributes:
        name: The statement's block.
        labels: Columns that are labels.
        answers: Our metric for each column that is a value.
        counts_rows: True where ours is an event counter: what it gains is compared, not what it
            stands at, since events before the rollup was installed are not in it.

    """

    name: str
    labels: Sequence[str]
    answers: Mapping[str, str]
    counts_rows: bool = False

    @property
    def statement(self) -> str:
        """The SQL, without its comment."""
        text = load_queries("benchmarks", "sql/runbooks.sql")[self.name]
        return "\n".join(line for line in text.splitlines() if not line.startswith("--"))


_DURATION = "outbound_message_delivery_duration_seconds_bucket"

QUESTIONS: Sequence[Question] = (
    Question(
        "depth", ("channel", "status"), {"messages": "outbound_message_queue_depth_by_channel"}
    ),
    Question("dead_letters", ("channel", "error_code"), {"messages": "outbound_dead_letters"}),
    Question("stuck", ("status",), {"messages": "outbound_message_stuck_total"}),
    Question("retries", ("channel",), {"messages": "outbound_message_retry_count"}),
    Question(
        "quotas",
        ("org_id",),
        {"used": "whatsapp_quota_used", "quota_limit": "whatsapp_quota_limit"},
    ),
    Question(
        "failures",
        ("channel", "error_code"),
        {"attempts": "outbound_message_failures_total"},
        counts_rows=True,
    ),
    Question(
        "outcomes",
        ("channel",),
        {"sent": "outbound_message_sent_total", "finished": "outbound_message_total"},
        counts_rows=True,
    ),
    Question("rate_limits", (), {"hits": "whatsapp_rate_limit_hits_total"}, counts_rows=True),
    Question("deliveries", ("channel", "le"), {"messages": _DURATION}, counts_rows=True),
)


def series_of_peer(question: Question, column: str) -> str:
    """Name the series in which a peer answers."""
    return f"{question.name}_{column}"


def read_figures(page: str, names: Mapping[str, tuple[Question, str]]) -> Figures:
    """Reduce a page in the text format to figures.

    Args:
        page: What an exporter answered.
        names: For each sample's name the question and the column that it answers.

    """
    figures: dict[Key, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = _name(sample.name, sample.labels)
            if name not in names:
                continue
            question, column = names[name]
            key = (
                series_of_peer(question, column),
                tuple(_normalise(label, sample.labels.get(label, "")) for label in question.labels),
            )
            figures[key] = figures.get(key, 0.0) + sample.value
    return figures


def _name(name: str, labels: Mapping[str, str]) -> str:
    """Give a sample's name; sql_exporter has the column in a label and a prefix of its own."""
    return f"{name.removeprefix('sql_')}_{labels['col']}" if "col" in labels else name


def _normalise(label: str, value: str) -> str:
    return f"{float(value):g}" if label == _NUMERIC_LABEL else value.casefold()


def names_of_ours() -> Mapping[str, tuple[Question, str]]:
    """Tell which of our samples answers what."""
    return {
        metric: (question, column)
        for question in QUESTIONS
        for column, metric in question.answers.items()
    }


def names_of_peer() -> Mapping[str, tuple[Question, str]]:
    """Tell which of a peer's samples answers what."""
    return {
        series_of_peer(question, column): (question, column)
        for question in QUESTIONS
        for column in question.answers
    }


@dataclass(frozen=True, slots=True)
class Pages:
    """The figures of one exporter before and after some messages lived."""

    before: Figures
    after: Figures


def compare(ours: Pages, theirs: Pages) -> tuple[int, Sequence[str]]:
    """Compare series by series: gauges as they stand at the end, counters by what they gained.

    A series that a page lacks counts as zero: we fill zeros in, and `GROUP BY` does not.

    Returns:
        How many series were compared, and a line for each that differs.

    """
    counters = {
        series_of_peer(question, column)
        for question in QUESTIONS
        if question.counts_rows
        for column in question.answers
    }
    infinite = {key for key in (*ours.after, *theirs.after) if "inf" in key[1]}
    keys = ({*ours.after} | {*theirs.after}) - infinite

    def value(pages: Pages, key: Key) -> float:
        base = pages.before.get(key, 0.0) if key[0] in counters else 0.0
        return pages.after.get(key, 0.0) - base

    differing = [
        f"{key[0]}{list(key[1])}: ours {value(ours, key):g}, theirs {value(theirs, key):g}"
        for key in sorted(keys)
        if value(ours, key) != value(theirs, key)
    ]
    return len(keys), differing
