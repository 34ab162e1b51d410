"""docs/states.md: the states of a message and who moves it, drawn from the vocabulary's tables."""

from collections.abc import Iterable, Iterator, Mapping

from outbound_slo.vocabulary.statuses import (
    MOVES,
    OPERATOR_MOVES,
    AttemptOutcome,
    MessageStatus,
    Move,
    Mover,
)

PATH = "docs/states.md"

_HEAD = """# States of a message

A message is in one of five states. Every move of the sender is one conditional UPDATE: it happens
only while the message is in the state that it expects, so no move is lost and none is made twice.
A test tries every pair of states through every statement and compares with this page, which is
generated from `outbound_slo/vocabulary/statuses.py`: `make generate`.

"""

_STATES = {
    MessageStatus.QUEUED: "Waits for its time, its turn, a retry, a quota, or the morning.",
    MessageStatus.SENDING: "An attempt is under way, or its outcome is not known yet (D12).",
    MessageStatus.SENT: "The provider has accepted it.",
    MessageStatus.DELIVERED: "The recipient's device has it; `read_at` tells if it was read (D16).",
    MessageStatus.FAILED: "It was not sent, or not delivered. With budget left it waits for a"
    " person (D15), without it is a dead letter (D7).",
}

_OUTCOMES = {
    AttemptOutcome.IN_FLIGHT: "The request is under way.",
    AttemptOutcome.SENT: "The provider accepted it.",
    AttemptOutcome.FAILED: "The provider refused it, or could not be reached.",
    AttemptOutcome.UNKNOWN: "The provider may have the request; its answer did not reach us.",
    AttemptOutcome.REFUSED: "A rule of ours forbade it: consent, opt-out, window, content.",
    AttemptOutcome.DEFERRED: "Put off at no cost: breaker, quota, throttle, quiet hours.",
}

_READING = """
A receipt is a provider's webhook about one attempt. Receipts come twice, late and in any order: one
that says less than is known, or names an attempt after which another one went out, moves nothing.
DELIVERED is an end. So is FAILED, but for an operator's hand and for a receipt that knows better:
the message has arrived, or its outcome had been unknown.

## What operators do

The database checks the values of `status` and nothing more, so that a person can put right at night
what no rule foresaw. The sender honours it: a message reset to QUEUED is claimed again, and if the
attempt before turns out to have been accepted, its receipt settles the message and it is not sent a
second time.

"""


def build_states_page() -> Mapping[str, str]:
    """Build the page: a diagram, the states, the moves of the sender and of operators."""
    parts = [
        _HEAD,
        *_draw(),
        "\n## States\n\n| State | Meaning |\n|---|---|\n",
        *(f"| {status} | {_STATES[status]} |\n" for status in MessageStatus),
        "\n## Who moves a message\n\n",
        *_list_moves(MOVES),
        _READING,
        *_list_moves(OPERATOR_MOVES),
        "\n## Outcomes of an attempt\n\n| Outcome | Meaning |\n|---|---|\n",
        *(f"| {outcome} | {_OUTCOMES[outcome]} |\n" for outcome in AttemptOutcome),
    ]
    return {PATH: "".join(parts)}


def _draw() -> Iterator[str]:
    """Draw one arrow per pair of states, with all who go along it."""
    yield "```mermaid\nstateDiagram-v2\n    [*] --> QUEUED\n"
    movers: dict[tuple[MessageStatus, MessageStatus], list[Mover]] = {}
    for move in (*MOVES, *OPERATOR_MOVES):
        along = movers.setdefault((move.before, move.after), [])
        if move.mover not in along:
            along.append(move.mover)
    for (before, after), along in movers.items():
        yield f"    {before} --> {after}: {', '.join(along)}\n"
    yield "    DELIVERED --> [*]\n    FAILED --> [*]\n```\n"


def _list_moves(moves: Iterable[Move]) -> Iterator[str]:
    yield "| Who | From | To | When | Source |\n|---|---|---|---|---|\n"
    for move in moves:
        cells = (move.mover, move.before, move.after, move.condition, move.source)
        yield f"| {' | '.join(cells)} |\n"
