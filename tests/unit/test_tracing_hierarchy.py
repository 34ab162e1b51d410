"""Places of spans and types of tag values, as the pure checks see them."""

import re
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.vocabulary.spans import SPANS, TAGS, SpanName, Tag
from tracing.hierarchy import IllegalStoryError, check_parent, settle_value

EVERY_PARENT: list[SpanName | None] = [None, *SpanName]


class Place(StrEnum):
    HERE = "here"


class Number(IntEnum):
    SEVEN = 7


@pytest.mark.parametrize("name", SpanName)
@pytest.mark.parametrize("parent", EVERY_PARENT)
def test_a_span_is_accepted_under_its_legal_parents_only(
    name: SpanName, parent: SpanName | None
) -> None:
    if parent in SPANS[name].parents:
        check_parent(name, parent, remote=False)
    else:
        with pytest.raises(IllegalStoryError, match=f"span {name} cannot"):
            check_parent(name, parent, remote=False)


def test_the_complaint_names_the_legal_places() -> None:
    with pytest.raises(IllegalStoryError) as caught:
        check_parent(SpanName.STATUS_UPDATE, SpanName.DATABASE_SAVE, remote=False)

    assert str(caught.value) == (
        "span status.update cannot stand under database.save; legal: under webhook.process"
    )


def test_an_attempt_never_continues_a_trace_of_another_process() -> None:
    with pytest.raises(IllegalStoryError, match="cannot continue a trace of another process"):
        check_parent(SpanName.OUTBOUND_MESSAGE_PROCESS, None, remote=True)


def test_a_webhook_continues_the_attempts_trace() -> None:
    check_parent(SpanName.WEBHOOK_IN, None, remote=True)


@pytest.mark.parametrize("tag", Tag)
@pytest.mark.parametrize("value", ["text", 7, 7.5, True])
def test_a_value_is_taken_when_it_has_the_tags_type(tag: Tag, value: object) -> None:
    expected = TAGS[tag].type
    fits = type(value) is expected or (expected is float and type(value) is int)
    if fits:
        settled = settle_value(tag, value)
        assert settled == value
        assert type(settled) is expected
    else:
        with pytest.raises(
            IllegalStoryError, match=rf"tag {re.escape(tag)} takes {expected.__name__}"
        ):
            settle_value(tag, value)


def test_enumerations_become_their_plain_types() -> None:
    assert type(settle_value(Tag.STATUS, Place.HERE)) is str
    assert type(settle_value(Tag.MESSAGE_ID, Number.SEVEN)) is int


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(IllegalStoryError, match=r"tag message\.id takes int"):
        settle_value(Tag.MESSAGE_ID, value)


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_becomes_text_that_utf8_can_carry(text: str) -> None:
    settled = settle_value(Tag.ERROR_MESSAGE, text)

    assert isinstance(settled, str)
    settled.encode("utf-8")
    if "?" not in settled:
        assert settled == text


def test_a_lone_surrogate_is_replaced() -> None:
    assert settle_value(Tag.ERROR_MESSAGE, "caf\udce9") == "caf?"
