"""Rule files as they lie on disk, ours or somebody else's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from alerts import rule_yaml
from outbound_slo.vocabulary.mistakes import UserMistake

PACKAGE: Final = Path(__file__).resolve().parent
GENERATED: Final = PACKAGE / "generated"
TESTS: Final = PACKAGE / "tests"


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """One rule as written: `record` or `alert`, and what comes with it."""

    file: str
    document: Mapping[str, Any]

    @property
    def alert(self) -> str | None:
        """The alert's name, if it is one."""
        return self.document.get("alert")

    @property
    def record(self) -> str | None:
        """The recorded name, if it records."""
        return self.document.get("record")

    @property
    def expression(self) -> str:
        """Its PromQL."""
        return str(self.document.get("expr", ""))

    @property
    def labels(self) -> Mapping[str, str]:
        """Static labels."""
        return self.document.get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Texts, with Prometheus's templates in them."""
        return self.document.get("annotations") or {}


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        UserMistake: It can't be read, is no YAML, or holds something else.

    """
    try:
        document = rule_yaml.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserMistake(f"{path} can't be read: {error.strerror}", "Check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" in line {place.line + 1}" if place else ""
        reason = getattr(error, "problem", None) or "not readable as text"
        raise UserMistake(f"{path} is no YAML{where}: {reason}", "Mend the file") from None
    except RecursionError:
        raise UserMistake(f"{path} is nested too deeply", "Mend the file") from None
    if not isinstance(document, dict):
        what = "is empty" if document is None else "holds no mapping of keys to values"
        raise UserMistake(f"{path} {what}", "Write it, or name another file")
    return document


def find_rule_files(directory: Path) -> Sequence[Path]:
    """List a directory's rule files: the YAML files in it that have groups.

    Raises:
        UserMistake: There is none, or a file is no YAML.

    """
    candidates = sorted([*directory.glob("*.yml"), *directory.glob("*.yaml")])
    found = [path for path in candidates if "groups" in read_mapping(path)]
    if not found:
        raise UserMistake(
            f"{directory} has no rule file", "Name the directory that holds them with --rules"
        )
    return found


def read_rules(paths: Sequence[Path]) -> Sequence[WrittenRule]:
    """Read all rules of some files.

    Raises:
        UserMistake: A file does not have the form of a rule file; names the file and the key.

    """
    return [rule for path in paths for rule in _rules_of(path)]


def _rules_of(path: Path) -> Iterator[WrittenRule]:
    groups = read_mapping(path).get("groups")
    if not isinstance(groups, list):
        raise UserMistake(f"{path}: 'groups' is no list", "Write 'groups:' with a list of groups")
    for number, group in enumerate(groups, start=1):
        rules = group.get("rules") if isinstance(group, dict) else None
        if not isinstance(rules, list):
            raise UserMistake(
                f"{path}: group {number} has no list 'rules'", "Give each group 'name' and 'rules'"
            )
        for rule in rules:
            if not isinstance(rule, dict) or not ({"alert", "record"} & rule.keys()):
                raise UserMistake(
                    f"{path}: a rule of group {number} has neither 'alert' nor 'record'",
                    "Name what the rule makes",
                )
            yield WrittenRule(path.name, rule)
