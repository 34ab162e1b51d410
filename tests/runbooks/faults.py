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
