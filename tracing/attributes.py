"""From a tag's value to its bytes: type, scrubbing and encoding settled once for each tag.

On the hot path: a value of the vocabulary's own type goes straight to its writer; anything else
takes the long way through `settle_value`.
"""

from collections.abc import Callable, Mapping

from outbound_slo.vocabulary.spans import TAGS, Tag
from tracing import wire
from tracing.hierarchy import settle_value
from tracing.privacy import PLAIN, SCRUBBED_TAGS, Recipients


def _text(tag: Tag) -> wire.AttributeWriter:
    def settle(value: object) -> str:
        return str(settle_value(tag, value))

    write = wire.text_writer(tag.value, settle)
    scrub = SCRUBBED_TAGS.get(tag)
    return write if scrub is None else lambda value: write(scrub(settle(value)))


def _integer(tag: Tag) -> wire.AttributeWriter:
    return wire.integer_writer(tag.value, lambda value: int(settle_value(tag, value)))


def _double(tag: Tag) -> wire.AttributeWriter:
    return wire.double_writer(tag.value, lambda value: float(settle_value(tag, value)))


def _boolean(tag: Tag) -> wire.AttributeWriter:
    return wire.boolean_writer(tag.value, lambda value: bool(settle_value(tag, value)))


_BY_TYPE: Mapping[type, Callable[[Tag], wire.AttributeWriter]] = {
    str: _text,
    int: _integer,
    float: _double,
    bool: _boolean,
}

ATTRIBUTE_WRITERS: Mapping[Tag, wire.AttributeWriter] = {
    tag: _BY_TYPE[row.type](tag) for tag, row in TAGS.items()
}
"""For each tag, what makes its attribute; raises `IllegalStoryError` for another type's value."""


def writers_for(recipients: Recipients) -> Mapping[Tag, wire.AttributeWriter]:
    """Give `ATTRIBUTE_WRITERS` with recipients written this way."""
    if recipients == PLAIN:
        return ATTRIBUTE_WRITERS
    covered = {
        Tag.MESSAGE_TO: recipients.write,
        Tag.PROVIDER_MESSAGE_ID: recipients.write_id,
    }
    return {**ATTRIBUTE_WRITERS, **{tag: _cover(tag, how) for tag, how in covered.items()}}


def _cover(tag: Tag, how: Callable[[str], str]) -> wire.AttributeWriter:
    write = ATTRIBUTE_WRITERS[tag]
    return lambda value: write(how(str(settle_value(tag, value))))
