"""From a pack's folder to a checked `Pack`, or one clear line about what is wrong with it."""

import difflib
import json
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from exporter.builder import PackBuilder
from exporter.complaint import show
from exporter.pack import Pack
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake

PACK_FILE = "pack.yml"


def builtin_packs() -> Sequence[str]:
    """Name the packs that come with the exporter."""
    folders = resources.files("exporter").joinpath("packs").iterdir()
    return sorted(f.name for f in folders if f.joinpath(PACK_FILE).is_file())


def load_packs(
    references: Sequence[str], policy: ErrorPolicy, *, compat: bool = True
) -> tuple[Pack, ...]:
    """Load packs that are served on one page.

    Args:
        references: Each the name of a built-in pack or a folder.
        policy: Decides what error catalogues say (D6).
        compat: Whether their further names are served too (D2).

    Raises:
        UserMistake: A pack is malformed, or two packs claim one name.

    """
    packs: list[Pack] = []
    owners: dict[str, str] = {}
    for reference in references:
        pack = load_pack(reference, policy)
        pack = pack if compat else pack.without_compat()
        if any(pack.name == other.name for other in packs):
            raise UserMistake(
                f"Two packs are called {pack.name}", f"Change 'pack' in {reference}/{PACK_FILE}"
            )
        for metric in pack.metrics:
            owner = owners.setdefault(metric.name, pack.name)
            if owner != pack.name:
                raise UserMistake(
                    f"The packs {owner} and {pack.name} both have a metric {metric.name}",
                    f"Rename it in {pack.name}",
                )
        packs.append(pack)
    return tuple(packs)


def load_pack(reference: str, policy: ErrorPolicy) -> Pack:
    """Load a built-in pack by its name, or any pack by its folder.

    Raises:
        UserMistake: No such pack, or it is malformed; names the file, the key and the value.

    """
    folder = _find_folder(reference)
    where = f"{folder}/{PACK_FILE}"
    document = _check_schema(_read_yaml(folder, where), where)
    return PackBuilder(document, folder, where, policy).build()


def _find_folder(reference: str) -> Traversable:
    if reference in builtin_packs():
        return resources.files("exporter").joinpath("packs", reference)
    folder = Path(reference)
    if not folder.joinpath(PACK_FILE).is_file():
        raise UserMistake(
            f"There is no pack {reference}",
            f"Give a folder that has a {PACK_FILE}, or one of: {', '.join(builtin_packs())}",
        )
    return folder


class _StrictLoader(yaml.SafeLoader):
    """YAML without its silent trap: a key that stands twice is refused, not overwritten."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
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


def _read_yaml(folder: Traversable, where: str) -> object:
    try:
        text = folder.joinpath(PACK_FILE).read_text("utf-8")
        # A subclass of SafeLoader: builds plain data only.
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - safe, see the line above
    except UnicodeDecodeError as error:
        raise UserMistake(f"{where} is not UTF-8 text", "Save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise UserMistake(f"{where}{line}: {problem}", "Mend the YAML") from error
    except RecursionError as error:
        raise UserMistake(f"{where} is nested too deeply", "Mend the YAML") from error


@cache
def pack_schema() -> Mapping[str, Any]:
    """Give the JSON Schema of a pack.yml."""
    text = resources.files("exporter").joinpath("pack.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return MappingProxyType(schema)


def _check_schema(document: object, where: str) -> Mapping[str, Any]:
    errors = Draft202012Validator(dict(pack_schema())).iter_errors(document)
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
