"""From a tag's value to its bytes: type, scrubbing and encoding settled once for each tag.

On the hot path: a value of the vocabulary's own type goes straight to its writer; anything else
takes the long way through `settle_value`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from outbound_slo.vocabulary.spans import TAGS, Tag
from tracing import wire
from tracing.hierarchy import LARGEST_INTEGER, settle_value
from tracing.privacy import SCRUBBED_TAGS


def _text(tag: Tag) -> wire.AttributeWriter:
    write = wire.text_writer(tag.value)
    scrub = SCRUBBED_TAGS.get(tag)
    if scrub is not None:
        return _scrubbed(tag, write, scrub)

    def encode(value: object) -> bytes:
        return write(value if type(value) is str else str(settle_value(tag, value)))

    return encode


def _scrubbed(
    tag: Tag, write: Callable[[str], bytes], scrub: Callable[[str], str]
) -> wire.AttributeWriter:
    def encode(value: object) -> bytes:
        return write(scrub(str(settle_value(tag, value))))

    return encode


def _integer(tag: Tag) -> wire.AttributeWriter:
    write = wire.integer_writer(tag.value)

    def encode(value: object) -> bytes:
        if type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            return write(value)
        return write(int(settle_value(tag, value)))

    return encode


def _double(tag: Tag) -> wire.AttributeWriter:
    write = wire.double_writer(tag.value)

    def encode(value: object) -> bytes:
        return write(value if type(value) is float else float(settle_value(tag, value)))

    return encode


def _boolean(tag: Tag) -> wire.AttributeWriter:
    write = wire.boolean_writer(tag.value)

    def encode(value: object) -> bytes:
        return write(value if type(value) is bool else bool(settle_value(tag, value)))

    return encode


_BY_TYPE: Mapping[type, Callable[[Tag], wire.AttributeWriter]] = {
    str: _text,
    int: _integer,
    float: _double,
    bool: _boolean,
}

ATTRIBUTE_WRITERS: Mapping[Tag, wire.AttributeWriter] = MappingProxyType(
    {tag: _BY_TYPE[row.type](tag) for tag, row in TAGS.items()}
)
"""For each tag, what makes its attribute; raises `IllegalStoryError` for another type's value."""
