"""W3C trace context and baggage: read, written, and never a reason to fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracing.propagation import REMOTE, context_from, link_to, read_baggage, write_baggage

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
IDS = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")

MALFORMED = {
    "nothing": "",
    "not one": "hello",
    "three fields": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "short trace id": "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
    "upper case": GOOD.upper(),
    "zero trace id": "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
    "zero span id": "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
    "forbidden version": "ff" + GOOD[2:],
    "more fields in version 00": GOOD + "-extra",
    "endless": "01" + GOOD[2:] + "-" + "x" * 600,
    "foreign digits": GOOD.replace("4", "\u0664"),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_traceparent_gives_neither_context_nor_link(text: str) -> None:
    assert context_from(text) is None
    assert link_to(text) is None


@given(st.text(max_size=80))
def test_no_text_makes_reading_raise(text: str) -> None:
    context_from(text, read_baggage(text))
    link_to(text)


def test_a_missing_traceparent_gives_nothing() -> None:
    assert context_from(None) is None
    assert context_from(None, {}) is None
    assert link_to(None) is None


@pytest.mark.parametrize("text", [GOOD, f" {GOOD} ", "01" + GOOD[2:] + "-later"])
def test_a_good_traceparent_becomes_a_remote_parent(text: str) -> None:
    context = context_from(text)

    assert context is not None
    assert (context.trace_id, context.span_id) == IDS
    assert context.name == REMOTE


def test_a_traceparent_is_written_as_it_was_read() -> None:
    link = link_to(GOOD)

    assert link is not None
    assert link.traceparent == GOOD


def test_baggage_travels_without_a_trace() -> None:
    context = context_from("broken", {"sessionId": "s-1"})

    assert context is not None
    assert context.baggage == {"sessionId": "s-1"}
    assert (context.name, context.trace_id, context.span_id) == (None, "", "")


def test_only_the_runbooks_three_keys_are_kept() -> None:
    context = context_from(
        GOOD,
        {"sessionId": "s", "run.id": "r", "hypothesis.id": "h", "password": "x", "Run.Id": "y"},
    )

    assert context is not None
    assert context.baggage == {"sessionId": "s", "run.id": "r", "hypothesis.id": "h"}


@pytest.mark.parametrize("value", ["", "x" * 257])
def test_an_empty_or_endless_correlation_id_is_left_out(value: str) -> None:
    assert context_from(None, {"run.id": value}) is None


def test_a_baggage_header_is_read_with_properties_and_escapes() -> None:
    header = "sessionId=s%201;ttl=5, other=1 ,run.id=r,broken,=x"

    assert read_baggage(header) == {"sessionId": "s 1", "run.id": "r"}


@given(
    st.dictionaries(
        st.sampled_from(["sessionId", "run.id", "hypothesis.id"]),
        st.text(min_size=1, max_size=64, alphabet=st.characters(codec="utf-8")),
    )
)
def test_baggage_survives_the_header(baggage: dict[str, str]) -> None:
    assert read_baggage(write_baggage(baggage)) == baggage


def test_text_that_utf8_cannot_carry_does_not_break_the_header() -> None:
    assert write_baggage({"run.id": "caf\udce9"}) == "run.id=caf%3F"
