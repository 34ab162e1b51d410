"""References in a pack to what must not stand in it: `${NAME}` and `${file:path}`.

`$$` stands for one dollar sign. What a reference leads to is looked up whenever it is needed, so
that a password that was changed in its file is used with the next connection.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from exporter.complaint import show
from outbound_slo.vocabulary.mistakes import UserMistake

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<body>[^{}]*)\}|(?P<stray>))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = "file:"


def check_references(text: str) -> str | None:
    """Say what is wrong with the form of a text's references; None if nothing is."""
    for match in _REFERENCE.finditer(text):
        body = match["body"]
        if match["stray"] is not None:
            return "has a $ that begins no reference"
        if body is None:
            continue
        sound = body.removeprefix(_FILE) if body.startswith(_FILE) else _NAME.fullmatch(body)
        if not sound:
            return f"has the reference {show('${' + body + '}')}"
    return None


def follow_references(text: str, key: str, environment: Mapping[str, str]) -> str:
    """Put in what a text's references lead to; a file's last line end is left out.

    Args:
        text: A text whose form was checked.
        key: Names the text in errors, which never show what it leads to.
        environment: Where `${NAME}` leads.

    Raises:
        UserMistake: A variable is not set, or a file cannot be read.

    """

    def put_in(match: re.Match[str]) -> str:
        body = match["body"]
        if body is None:
            return "$"
        if body.startswith(_FILE):
            return _read(Path(body.removeprefix(_FILE)), key)
        if body not in environment:
            raise UserMistake(f"{key} refers to ${{{body}}}, which is not set", f"Set {body}")
        return environment[body]

    return _REFERENCE.sub(put_in, text)


def _read(path: Path, key: str) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserMistake(
            f"{key} refers to {path}, which is no text", "Save it as UTF-8"
        ) from error
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise UserMistake(
            f"{key} refers to {path}: {reason}", "Correct the path, or let the exporter read it"
        ) from error
