"""The head decision, the shelf of spans whose fate is open, and the ids of an attempt's steps."""

import pytest

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.spans import SpanName, Tag
from tests.tracing_parts import FinishedSpans
from tracing.identity import derive_id, find_step
from tracing.propagation import NEW_TRACE, context_from, name_story
from tracing.sampling import Sampler, read_sampler
from tracing.setup import Tracing, start_tracing
from tracing.shelf import DROPPED, Shelf

LOW, HIGH = bytes(16), b"\xff" * 16
OTHERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
OWN = f"00-{'ab' * 16}-{'cd' * 8}"
NEVER = read_sampler("always_off", None)


def trace_with(sampler: Sampler) -> tuple[Tracing, FinishedSpans]:
    memory = FinishedSpans()
    return start_tracing(strict=True, sinks=[memory.take], sampler=sampler), memory


@pytest.mark.parametrize(
    ("name", "argument", "low", "high"),
    [
        ("always_on", None, True, True),
        ("always_off", None, False, False),
        ("traceidratio", None, True, True),
        ("traceidratio", "0.5", False, True),
        ("traceidratio", "0", False, False),
        ("traceidratio", "1.0", True, True),
    ],
)
def test_a_ratio_is_drawn_by_the_random_part_of_the_id(
    name: str, argument: str | None, low: bool, high: bool
) -> None:
    sampler = read_sampler(name, argument)

    assert [sampler.decide(LOW), sampler.decide(HIGH)] == [low, high]
    assert [sampler.decide(LOW, caller=not low), sampler.decide(HIGH, caller=not high)] == [
        low,
        high,
    ]


def test_a_ratio_leaves_out_its_share() -> None:
    sampler = read_sampler("traceidratio", "0.25")
    ids = [bytes(9) + (number * (2**56 // 1000)).to_bytes(7) for number in range(1000)]

    assert sum(sampler.decide(one) for one in ids) == pytest.approx(250, abs=1)


@pytest.mark.parametrize("caller", [True, False])
@pytest.mark.parametrize("name", ["always_on", "always_off", "traceidratio"])
def test_a_parent_based_sampler_does_as_the_caller_did(name: str, caller: bool) -> None:
    sampler = read_sampler(f"parentbased_{name}", "0.5")

    assert sampler.decide(LOW, caller) is caller
    assert sampler.decide(HIGH, caller) is caller
    assert sampler.decide(LOW) is (name == "always_on")


@pytest.mark.parametrize(
    ("name", "argument", "complaint"),
    [
        ("sometimes", None, "OTEL_TRACES_SAMPLER='sometimes' is not a sampler"),
        ("traceidratio", "half", "OTEL_TRACES_SAMPLER_ARG='half' is not a ratio"),
        ("traceidratio", "1.5", "OTEL_TRACES_SAMPLER_ARG='1.5' is not a ratio"),
        ("parentbased_traceidratio", "-1", "OTEL_TRACES_SAMPLER_ARG='-1' is not a ratio"),
        ("traceidratio", "nan", "OTEL_TRACES_SAMPLER_ARG='nan' is not a ratio"),
    ],
)
def test_a_sampler_that_nobody_knows_is_one_clear_line(
    name: str, argument: str | None, complaint: str
) -> None:
    with pytest.raises(UserMistake) as caught:
        read_sampler(name, argument)
    assert complaint in str(caught.value)


def open_attempt(tracing: Tracing, flag: str) -> None:
    own = name_story(f"{OWN}-{flag}")
    with tracing.span(SpanName.OUTBOUND_MESSAGE_PROCESS, parent=NEW_TRACE, own=own, start_ns=1000):
        tracing.span(SpanName.WHATSAPP_SEND).end()


def test_an_attempt_has_the_ids_of_its_row_and_its_steps_follow_from_them() -> None:
    told = []
    for _ in range(2):
        tracing, memory = trace_with(Sampler())
        open_attempt(tracing, "01")
        told.append({span.name: span.span_id for span in memory.spans})

    assert told[0] == told[1]
    assert told[0][SpanName.OUTBOUND_MESSAGE_PROCESS] == "cd" * 8
    step = find_step(SpanName.WHATSAPP_SEND)
    assert step is not None
    assert told[0][SpanName.WHATSAPP_SEND] == derive_id(int("cd" * 8, 16), step).hex()


def test_steps_never_share_an_id_nor_take_that_of_nothing() -> None:
    steps = [step for name in SpanName if (step := find_step(name)) is not None]

    assert len(set(steps)) == len(steps) == 7
    assert derive_id(steps[0], steps[0]) == bytes(7) + b"\x01"


def test_an_attempt_that_was_left_out_waits_for_its_end() -> None:
    tracing, memory = trace_with(NEVER)
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        parent=NEW_TRACE,
        own=name_story(f"{OWN}-00"),
        start_ns=1000,
    )
    tracing.record(SpanName.WHATSAPP_SEND, parent=attempt, start_ns=1500, end_ns=4500)
    assert memory.spans == []
    assert attempt.tell_stages() == {"whatsapp-cloud-api-send": (500, 3000)}
    assert attempt.traceparent == f"{OWN}-00"

    attempt.decide(keep=True)
    tracing.record(SpanName.DATABASE_SAVE, parent=attempt, start_ns=5000, end_ns=6000)
    attempt.end(7000)

    assert [span.name for span in memory.spans] == [
        SpanName.WHATSAPP_SEND,
        SpanName.DATABASE_SAVE,
        SpanName.OUTBOUND_MESSAGE_PROCESS,
    ]
    # What the head decided stays as it travelled.
    assert {span.message.flags & 1 for span in memory.spans} == {0}


def test_an_attempt_that_is_dropped_leaves_nothing() -> None:
    tracing, memory = trace_with(NEVER)
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS, parent=NEW_TRACE, own=name_story(f"{OWN}-00")
    )
    tracing.record(SpanName.WHATSAPP_SEND, parent=attempt, start_ns=1, end_ns=2)
    attempt.decide(keep=False)
    tracing.record(SpanName.DATABASE_SAVE, parent=attempt, start_ns=3, end_ns=4)
    attempt.end()

    assert memory.spans == []


def test_to_decide_on_a_sampled_attempt_changes_nothing() -> None:
    tracing, memory = trace_with(Sampler())
    attempt = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS, parent=NEW_TRACE, own=name_story(f"{OWN}-01")
    )
    attempt.decide(keep=False)
    attempt.end()

    assert [span.message.flags & 1 for span in memory.spans] == [1]


@pytest.mark.parametrize(("kept", "seen"), [(None, False), (True, True), (False, False)])
def test_a_webhook_shares_the_fate_of_its_attempt(kept: bool | None, seen: bool) -> None:
    tracing, memory = trace_with(NEVER)
    parent = context_from(f"{OTHERS}-00", kept=kept)
    with tracing.span(SpanName.WEBHOOK_IN, parent=parent):
        tracing.span(SpanName.WEBHOOK_PROCESS, {Tag.WEBHOOK: True}).end()

    assert bool(memory.spans) is seen


def test_a_request_is_sampled_by_its_caller_only_where_the_sampler_follows() -> None:
    for name, seen in (("always_on", 1), ("parentbased_always_on", 0)):
        tracing, memory = trace_with(read_sampler(name, None))
        with tracing.span(SpanName.HTTP_IN, parent=context_from(f"{OTHERS}-00")) as span:
            assert span.traceparent.endswith("-01" if seen else "-00")
        assert len(memory.spans) == seen


def test_a_shelf_forgets_what_comes_after_it_was_dropped() -> None:
    taken: list[bytes] = []
    shelf = Shelf(taken.append)
    shelf.take("a", 0, 1, b"1")
    shelf.decide(keep=False)
    shelf.take("b", 1, 2, b"2")
    shelf.decide(keep=True)
    shelf.take("c", 2, 3, b"3")
    DROPPED.take("d", 3, 4, b"4")

    assert taken == [b"3"]
