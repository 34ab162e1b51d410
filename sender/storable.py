"""Text that PostgreSQL can hold. Pure.

JSON may escape two things that are no valid text there: NUL, and halves of surrogate pairs.
"""

from collections.abc import Mapping


def make_storable(value: object) -> object:
    """Copy decoded JSON without what PostgreSQL refuses: NULs go, half pairs become `?`.

    Raises:
        RecursionError: It is nested hundreds of levels deep.

    """
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): make_storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [make_storable(item) for item in value]
    return value


def clean_text(text: str) -> str:
    """Make one text storable."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
