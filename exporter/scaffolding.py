"""`exporter new`: a pack to begin with, which works on any PostgreSQL as it is written."""

import re
from importlib import resources
from pathlib import Path

from exporter.complaint import show
from exporter.loader import PACK_FILE, builtin_packs
from outbound_slo.vocabulary.mistakes import UserMistake

SCHEMA_FILE = "pack.schema.json"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PLACEHOLDER = "NAME"


def write_scaffold(name: str, folder: Path) -> tuple[Path, ...]:
    """Write a new pack.

    Args:
        name: The pack's name, which its metrics begin with.
        folder: Where to put it; made if it is not there.

    Returns:
        What was written, pack.yml first.

    Raises:
        UserMistake: The name does not fit, or something of that name is there already.

    """
    if not _NAME.fullmatch(name):
        raise UserMistake(
            f"The pack's name is {show(name)}",
            "Use lower-case letters, digits and underscores, a letter first",
        )
    if name in builtin_packs():
        raise UserMistake(f"The exporter comes with a pack {name}", "Choose another name")
    package = resources.files("exporter")
    document = package.joinpath("scaffold", PACK_FILE).read_text("utf-8")
    statements = package.joinpath("scaffold", "pack.sql").read_text("utf-8")
    texts = {
        folder / PACK_FILE: document.replace(_PLACEHOLDER, name),
        folder / f"{name}.sql": statements.replace(_PLACEHOLDER, name),
        folder / SCHEMA_FILE: package.joinpath(SCHEMA_FILE).read_text("utf-8"),
    }
    for path in texts:
        if path.exists():
            raise UserMistake(f"{path} is there already", "Choose another name or --dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, "utf-8")
    except OSError as error:
        reason = (error.strerror or "it cannot be written").lower()
        raise UserMistake(f"{folder}: {reason}", "Choose another --dir") from error
    return tuple(texts)
