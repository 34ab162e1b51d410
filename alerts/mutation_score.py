"""What came of the mutants: the score, the ledger of what was run before, the argued survivors."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from alerts.mutants import make_mutants
from alerts.mutation import Fate, Subject, Verdict
from alerts.rule_files import read_mapping
from alerts.slices import Bench
from outbound_slo.vocabulary.mistakes import UserMistake

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the mutants of one name.

    Attributes:
        digest: Of the rules, the cases and the changes that led to it.
        killed: How many were noticed.
        survived: Keys of those that were not.
        invalid: Keys of those that are no PromQL; they say nothing about the tests.
        could_not_run: Keys of those that promtool could not judge; not noticed, so they count.

    """

    digest: str
    killed: int
    survived: tuple[str, ...]
    invalid: tuple[str, ...]
    could_not_run: tuple[str, ...]

    @property
    def counted(self) -> int:
        """How many mutants count for the score."""
        return self.killed + len(self.survived) + len(self.could_not_run)


def judge_outcome(digest: str, verdicts: Sequence[Verdict]) -> Outcome:
    """Sum up the verdicts on one name."""

    def keys(fate: Fate) -> tuple[str, ...]:
        return tuple(verdict.mutant.key for verdict in verdicts if verdict.fate is fate)

    return Outcome(
        digest=digest,
        killed=len(keys(Fate.KILLED)),
        survived=keys(Fate.SURVIVED),
        invalid=keys(Fate.INVALID),
        could_not_run=keys(Fate.COULD_NOT_RUN),
    )


def rate(outcomes: Iterable[Outcome]) -> float:
    """Give the share of the mutants that were noticed, in percent; 100 where there are none.

    An argued survivor is a survivor: reasons explain the score, they do not raise it.
    """
    listed = list(outcomes)
    counted = sum(outcome.counted for outcome in listed)
    return 100 * sum(outcome.killed for outcome in listed) / counted if counted else 100.0


def digest_subject(subject: Subject) -> str:
    """Sum up all that the outcome of a name depends on, the changes that we make included.

    Annotations are no part of it where no case asks for them: a page that moved, or a sentence put
    better, is no reason to run everything again.
    """
    # In an order that does not depend on which case is tried first.
    benches = sorted(
        json.dumps(
            {
                "case": [bench.case.file.name, bench.case.header, bench.case.body],
                "rules": [
                    _judged_part(rule.document, [bench]) for rule in bench.rules_for(subject.name)
                ],
            },
            sort_keys=True,
            default=str,
        )
        for bench in subject.benches
    )
    mutants = [
        [mutant.key, _judged_part(mutant.document, subject.benches)]
        for mutant in make_mutants(subject.rules)
    ]
    told = json.dumps([_FORMAT, mutants, benches], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _judged_part(rule: Mapping[str, Any], benches: Sequence[Bench]) -> Mapping[str, Any]:
    if any(bench.asks_for_texts for bench in benches):
        return rule
    return {key: part for key, part in rule.items() if key != "annotations"}


def read_ledger(path: Path) -> Mapping[str, Outcome]:
    """Read the outcomes of an earlier run by name; none where there is no such file yet.

    Raises:
        UserMistake: It is no ledger.

    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Outcome(
                digest=str(entry["digest"]),
                killed=int(entry["killed"]),
                survived=tuple(entry["survived"]),
                invalid=tuple(entry["invalid"]),
                could_not_run=tuple(entry["could_not_run"]),
            )
            for name, entry in document["rules"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserMistake(
            f"{path} is no ledger of mutants: {error or type(error).__name__}",
            "Remove it, and run with --save to write it anew",
        ) from None


def write_ledger(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write outcomes for the next run, names in alphabetical order.

    Raises:
        UserMistake: It can't be written.

    """
    document = {
        "score": round(rate(outcomes.values()), 2),
        "mutants": sum(outcome.counted for outcome in outcomes.values()),
        "rules": {name: asdict(outcomes[name]) for name in sorted(outcomes)},
    }
    try:
        # It is written after each name: a run that is ended meanwhile leaves the one before.
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UserMistake(
            f"{path} can't be written: {error.strerror}", "Name another place"
        ) from None


def read_reasons(path: Path) -> Mapping[str, str]:
    """Read why mutants may survive, by their keys.

    Raises:
        UserMistake: An entry has no key or no reason, or one key stands there twice.

    """
    entries = read_mapping(path).get("survivors")
    if not isinstance(entries, list):
        raise UserMistake(
            f"{path}: 'survivors' is no list", "Write 'survivors:' with a list of mutant and reason"
        )
    reasons: dict[str, str] = {}
    for number, entry in enumerate(entries, start=1):
        whole = isinstance(entry, dict) and entry.keys() == {"mutant", "reason"}
        if not whole or not all(isinstance(text, str) and text for text in entry.values()):
            raise UserMistake(
                f"{path}: survivor {number} needs 'mutant' and 'reason', and nothing else",
                "Copy the mutant's key from the report and say why no test can notice it",
            )
        if entry["mutant"] in reasons:
            raise UserMistake(f"{path} lists twice: {entry['mutant']}", "Leave one of the two out")
        reasons[entry["mutant"]] = entry["reason"]
    return reasons


def find_stale(
    reasons: Iterable[str], outcomes: Mapping[str, Outcome], names: Iterable[str]
) -> Sequence[str]:
    """Find reasons for mutants that did not survive, or that nobody makes any more.

    Args:
        reasons: Keys of the argued mutants.
        outcomes: What was judged this time.
        names: All names that the rules make, judged or not.

    """
    survived = {key for outcome in outcomes.values() for key in outcome.survived}
    unjudged = set(names) - outcomes.keys()
    return [key for key in reasons if key not in survived and _name_in(key) not in unjudged]


def _name_in(key: str) -> str:
    return key.split(" ", 1)[0].split("[", 1)[0]
