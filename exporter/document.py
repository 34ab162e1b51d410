"""YAML files that people write, read strictly: one clear line about what is wrong with them."""

import difflib
from collections.abc import Callable, Hashable, Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

import yaml
from jsonschema import Draft202012Validator, ValidationError
from yaml.constructor import SafeConstructor

from exporter.complaint import show
from outbound_slo.vocabulary.mistakes import UserMistake

_Parsed = TypeVar("_Parsed")
_MERGE = "tag:yaml.org,2002:merge"


def read_document(path: Traversable, where: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read a YAML file that fits a JSON Schema.

    Args:
        path: The file.
        where: Its name in errors.
        schema: A schema whose descriptions say what is expected; errors show them.

    Raises:
        UserMistake: The file is no YAML or does not fit; names the key and the value.

    """
    return check_document(_read_yaml(path, where), where, schema)


def read_documents(path: Traversable, where: str) -> list[object]:
    """Read all documents of a YAML file, which `---` divides; none of them is checked.

    Raises:
        UserMistake: The file can't be read or is no YAML.

    """
    return _load(path, where, lambda text: list(yaml.load_all(text, Loader=_StrictLoader)))


class StrictConstruction(SafeConstructor):
    """YAML without its silent traps, for a loader of plain data to inherit from first.

    A key that stands twice is refused, not overwritten; so are a node that holds itself, which no
    program here could walk through, and a thirteenth month.
    """

    def construct_document(self, node: Any) -> Any:  # noqa: ANN401 - PyYAML's own
        """Construct at once and not later: PyYAML finds a node that holds itself only so."""
        self.deep_construct = True
        return super().construct_document(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401 - PyYAML's own
        """Construct anything; what can't be is wrong in its line."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401 - PyYAML's own
        """Construct a mapping, each of whose keys stands there once."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            problem = (
                "a key is a list or a mapping"
                if not isinstance(key, Hashable)
                else f"the key {key} stands twice"
                if key in seen
                else None
            )
            if problem is not None:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _StrictLoader(StrictConstruction, yaml.SafeLoader):
    """A SafeLoader: builds plain data only."""


def _read_yaml(path: Traversable, where: str) -> object:
    return _load(path, where, lambda text: yaml.load(text, Loader=_StrictLoader))  # noqa: S506 - safe, see the loader


def _load(path: Traversable, where: str, parse: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parse(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise UserMistake(f"{where} is not UTF-8 text", "Save it as UTF-8") from error
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise UserMistake(f"{where} cannot be read: {reason}", "Correct the path") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserMistake(f"{where}{line}: {problem}", "Mend the YAML") from error
    except RecursionError as error:
        raise UserMistake(f"{where} is nested too deeply", "Mend the YAML") from error


def check_document(document: object, where: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check a document that has been read against a JSON Schema.

    Raises:
        UserMistake: It does not fit; names the key and the value.

    """
    errors = Draft202012Validator(dict(schema)).iter_errors(document)
    first = min(errors, key=lambda error: [str(step) for step in error.absolute_path], default=None)
    if first is not None:
        raise UserMistake(*_explain(first, where))
    checked: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    return checked


def _explain(error: ValidationError, where: str) -> tuple[str, str]:
    """Turn a schema error into what is wrong and how to mend it."""
    path = _key_path(error.absolute_path)
    at = f"{where}: {path}" if path else where
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    rule: Any = error.validator_value
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = [key for key in rule if key not in error.instance]
        return f"{at} lacks {', '.join(missing)}", f"Add {missing[0]}"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = sorted(schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        near = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Remove it; known keys: {', '.join(known)}"
        return f"{at} has the key {unknown}, which means nothing here", hint
    if error.validator == "oneOf":
        keys = [choice["required"][0] for choice in rule]
        return f"{at} has neither or both of {' and '.join(keys)}", "Give exactly one of them"
    expected = schema.get("description") or error.message
    return f"{at} is {show(error.instance)}", f"Expected: {expected}"


def _key_path(steps: Sequence[str | int]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path
