"""What is wrong in the runbooks themselves: why, how it shows, and the form that works."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Fault:
    """One error in a runbook's text.

    Attributes:
        place: `runbook:line` of a statement, or `runbook script` of a script.
        reason: What is wrong, for the page on compatibility.
        symptom: What PostgreSQL, psql or the shell says, or what can be seen.
        cure: What to write instead, for the page on compatibility.
        replacements: The same as pairs of wrong and right words.

    """

    place: str
    reason: str
    symptom: str
    cure: str
    replacements: tuple[tuple[str, str], ...]

    def correct(self, text: str) -> str:
        """Give the text in its corrected form.

        Raises:
            ValueError: The text does not have the words that are wrong.

        """
        for wrong, right in self.replacements:
            if wrong not in text:
                raise ValueError(f"{self.place} has no {wrong!r}")
            text = text.replace(wrong, right)
        return text


def _by_place(*faults: Fault) -> Mapping[str, Fault]:
    return MappingProxyType({fault.place: fault for fault in faults})


STATEMENT_FAULTS = _by_place(
    Fault(
        place="001:1747",
        reason="The view pg_stat_user_indexes calls the table relname and the index indexrelname.",
        symptom='column "tablename" does not exist',
        cure="SELECT schemaname, relname, indexrelname, … WHERE relname LIKE '%outbound%'",
        replacements=(("tablename", "relname"), ("indexname", "indexrelname")),
    ),
    Fault(
        place="001:922",
        reason=r"\COPY is psql's own command and ends with its line; the query has twenty.",
        symptom="parse error at end of line",
        cure='COPY (…) TO STDOUT CSV HEADER; with > "$EXPORT_FILE" behind <<EOF',
        replacements=(
            ("-d atlas <<EOF\n\\COPY (", '-d atlas <<EOF > "$EXPORT_FILE"\nCOPY ('),
            ("TO '$EXPORT_FILE' CSV HEADER", "TO STDOUT CSV HEADER"),
        ),
    ),
)
"""Statements that PostgreSQL or psql refuses, by place."""

_COUNTING = "((N++)) has the value 0 the first time, which set -e takes for a failure."

SCRIPT_FAULTS = _by_place(
    Fault(
        place="force-retry-stuck-messages.sh",
        reason=_COUNTING,
        symptom="ends with status 1 after the first message",
        cure="SUCCESS=$((SUCCESS + 1)), and FAILED alike",
        replacements=(
            ("((SUCCESS++))", "SUCCESS=$((SUCCESS + 1))"),
            ("((FAILED++))", "FAILED=$((FAILED + 1))"),
        ),
    ),
    Fault(
        place="bulk-retry-temporary-failures.sh",
        reason=_COUNTING,
        symptom="ends with status 1 after the first message",
        cure="SUCCESS_COUNT=$((SUCCESS_COUNT + 1)), and FAIL_COUNT alike",
        replacements=(
            ("((SUCCESS_COUNT++))", "SUCCESS_COUNT=$((SUCCESS_COUNT + 1))"),
            ("((FAIL_COUNT++))", "FAIL_COUNT=$((FAIL_COUNT + 1))"),
        ),
    ),
    Fault(
        place="export-dlq-messages.sh",
        reason=STATEMENT_FAULTS["001:922"].reason,
        symptom="parse error at end of line",
        cure=STATEMENT_FAULTS["001:922"].cure,
        replacements=STATEMENT_FAULTS["001:922"].replacements,
    ),
    Fault(
        place="monitor-webhook-health.sh",
        reason='grep -c prints 0 and fails when nothing matches, so || echo "0" prints a second 0.',
        symptom="syntax error in expression",
        cure="grep -c … || true",
        replacements=(('|| echo "0"', "|| true"),),
    ),
)
"""Scripts of the database that do not do what they say, by name."""

TRACE_FAULTS = _by_place(
    Fault(
        place="000:1532",
        reason="jq 1.6 takes no division as the value of a key unless it is in brackets.",
        symptom="syntax error, unexpected '/'",
        cure="deliveryLatency: ((… - …) / 1000000)",
        replacements=(
            ("deliveryLatency: ((", "deliveryLatency: ((("),
            ("/ 1000000\n", "/ 1000000)\n"),
        ),
    ),
)
"""Trace queries that do not run everywhere, by the place of their block."""


@dataclass(frozen=True, slots=True)
class TraceEdge:
    """A trace query that runs, and does not say what it seems to, or not on every server.

    Attributes:
        places: Blocks of the runbook, as `runbook:line`.
        reason: What is so.
        here: What the embedded store and `outbound-slo trace` do about it.

    """

    places: tuple[str, ...]
    reason: str
    here: str


TRACE_EDGES: tuple[TraceEdge, ...] = (
    TraceEdge(
        ("000:1429", "000:1445", "000:1470", "000:1491", "000:1553", "000:1635"),
        "They read `.duration` of a trace (1445, 1491, 1553 `.startTime`), which Jaeger does not "
        "have: jq gives null, and `add / length` of the export fails.",
        "The embedded store and `trace export` give a trace its root span's two times; on Jaeger, "
        "`trace latency` and `trace analyze` find them.",
    ),
    TraceEdge(
        ("000:1470", "000:1532", "000:1635"),
        "Microseconds divided by 10⁶ are seconds; 1470 and 1635 call them ms (D29).",
        "`trace latency`, `trace delivery` and `trace analyze` say seconds.",
    ),
    TraceEdge(
        ("000:1515", "000:1532"),
        "`/api/trace/{id}` is not Jaeger's; its address is `/api/traces/{id}`.",
        "The embedded store answers both.",
    ),
    TraceEdge(
        ("000:1445", "000:1491", "000:1553", "000:1576"),
        "`.spans[0]` need not be the root on Jaeger, and jq leaves out a trace that lacks one of "
        "the tags: 1553 shows failed attempts only.",
        "The embedded store puts the root first (D27); `trace attempts` lists every attempt.",
    ),
    TraceEdge(
        ("000:1635",),
        "`lookback` is read by Jaeger's page only: the server looks two days back. "
        "`jaeger-traces-*` takes in older exports, too.",
        "`trace export --lookback` holds; `trace analyze` reads the one file it is given.",
    ),
    TraceEdge(
        (
            *("000:1406", "000:1429", "000:1445", "000:1470", "000:1491", "000:1506", "000:1515"),
            *("000:1553", "000:1576", "000:1635", "000:1707"),
        ),
        "`/api/traces?service=…` is gone from Jaeger after v2.20.",
        "The embedded store keeps it; `outbound-slo trace` speaks `/api/v3` first.",
    ),
)
"""What to know of the trace queries, for the page on compatibility."""
