"""From a pack's folder to a checked `Pack`, or one clear line about what is wrong with it."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exporter.builder import PackBuilder
from exporter.document import read_document
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
    document = read_document(folder.joinpath(PACK_FILE), where, pack_schema())
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


@cache
def pack_schema() -> Mapping[str, Any]:
    """Give the JSON Schema of a pack.yml."""
    text = resources.files("exporter").joinpath("pack.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return MappingProxyType(schema)
