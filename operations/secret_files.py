"""Secrets in files: read from one that a person gives, written into one that nobody else reads."""

import os
import sys
from pathlib import Path

from outbound_slo.vocabulary.mistakes import UserMistake

SHORTEST, LONGEST = 12, 512
"""Characters of a secret that is taken: Meta's app secrets have 32."""


def read_secret(source: str) -> str:
    """Read a secret from a file, or from standard input for `-`; the line's end is no part of it.

    Raises:
        UserMistake: There is no such file, or what is in it can be no secret.

    """
    where = "Standard input" if source == "-" else source
    try:
        raw = sys.stdin.read(LONGEST + 2) if source == "-" else _read_file(Path(source))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserMistake(
            f"{where} can't be read: {reason}", "Give a file with the secret alone"
        ) from error
    secret = raw.removesuffix("\n").removesuffix("\r")
    if not SHORTEST <= len(secret) <= LONGEST or not secret.isascii() or not secret.isprintable():
        raise UserMistake(
            f"{where} holds no secret: one line of {SHORTEST} to {LONGEST} plain characters",
            "Copy the app secret from Meta's app settings",
        )
    if secret.strip() != secret:
        raise UserMistake(f"{where} has spaces around the secret", "Take them away")
    return secret


def _read_file(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(LONGEST + 3)


def check_free(path: Path) -> None:
    """Make sure that a file can be made.

    Raises:
        UserMistake: There is one already, or its folder is not there or not ours to write.

    """
    if path.exists() or path.is_symlink():
        raise UserMistake(f"{path} exists, and is not overwritten", "Give another path")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserMistake(f"No file can be made in {path.parent}", "Give another path")


def write_secret(path: Path, secret: str) -> None:
    """Make a file that its owner alone reads, with the secret in it and on the disk.

    Raises:
        UserMistake: It can't be made.

    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserMistake(
            f"{path} can't be written: {error.strerror}", "Give another path"
        ) from error
