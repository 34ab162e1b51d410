"""Judging spans and tags against the vocabulary: which parent is legal, which value a tag takes.

Pure functions, on the hot path: a legal span or value costs one dictionary look-up.
"""

from outbound_slo.vocabulary.spans import SPANS, TAGS, SpanName, Tag
from tracing.values import TagValue

_LARGEST_INTEGER = 2**63 - 1
_LARGEST_REMINDER = 60


class IllegalStoryError(Exception):
    """A span in a place, or a tag with a value, that the vocabulary forbids: a program fault."""


def check_parent(name: SpanName, parent: str | None, *, remote: bool) -> None:
    """Accept or refuse a place for a span.

    Args:
        name: The span about to be opened.
        parent: Name of the parent in this process; None for the root of a trace, and for a remote
            parent, whose name is not known.
        remote: The parent was reached through a traceparent.

    Raises:
        IllegalStoryError: The vocabulary does not have this span there.

    """
    row = SPANS[name]
    if remote:
        if not row.remote_parents:
            raise IllegalStoryError(
                f"span {name} cannot continue a trace of another process; {_legal(name)}"
            )
    elif parent not in row.parents:
        place = "start a trace" if parent is None else f"stand under {parent}"
        raise IllegalStoryError(f"span {name} cannot {place}; {_legal(name)}")


def settle_value(tag: Tag, value: object) -> TagValue:
    """Give the value as the vocabulary's type for this tag, ready to be exported.

    Subclasses become their plain type (StrEnum, IntEnum), a whole number serves as a float, and
    text that UTF-8 cannot carry is repaired: one such character would cost the exporter a whole
    batch.

    Raises:
        IllegalStoryError: Another type, or an integer beyond 64 bits.

    """
    expected = TAGS[tag].type
    if expected is str and isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode()
    if expected is bool and isinstance(value, bool):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if expected is int and abs(value) <= _LARGEST_INTEGER:
            return int(value)
        if expected is float:
            return float(value)
    if expected is float and isinstance(value, float):
        return float(value)
    shown = repr(value)[:_LARGEST_REMINDER]
    raise IllegalStoryError(
        f"tag {tag} takes {expected.__name__}, not {type(value).__name__} {shown}"
    )


def _legal(name: SpanName) -> str:
    row = SPANS[name]
    places = [
        "as a root" if parent is None else f"under {parent}"
        for parent in sorted(row.parents, key=str)
    ]
    if row.remote_parents:
        places.append("continuing " + " or ".join(sorted(row.remote_parents)))
    return "legal: " + ", ".join(places)
