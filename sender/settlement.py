"""Settling messages by their receipts: all those of a batch of webhooks in one statement."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any, NamedTuple

import orjson
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import MessageStatus
from sender.callbacks import Caller
from sender.receipts import Effect, Receipt, Standing, advance, judge, merge

_QUERIES = load_queries("sender", "sql/callbacks.sql")
_STATUSES = {status.value: status for status in MessageStatus}


class Tidings(NamedTuple):
    """One receipt of one webhook; `signed_by` as in `Signer`."""

    caller: Caller
    signed_by: tuple[str, ...] | None
    received_at: datetime
    receipt: Receipt


class Settled(NamedTuple):
    """What one receipt came to; `message_id` and `traceparent` are None where it named nothing.

    `kept` says whether the attempt's spans were exported, None where that is not decided yet, and
    `took_s` the seconds from the attempt to the recipient's having the message, if this receipt is
    the first to tell that; `age_s` the seconds from the attempt to the webhook.
    """

    tidings: Tidings
    effect: Effect
    message_id: int | None = None
    traceparent: str | None = None
    kept: bool | None = None
    took_s: float | None = None
    age_s: float = 0.0


_Group = list[int]
"""Places of the tidings that name one attempt."""


async def settle(connection: AsyncConnection[Any], tidings: Sequence[Tidings]) -> list[Settled]:
    """Apply receipts in the open transaction; gives what each came to, in the order given."""
    found: list[Settled] = [Settled(one, Effect.UNMATCHED) for one in tidings]
    for groups in _form_rounds(tidings):
        rows = [
            _write_row(place, tidings[group[0]], _merge_group(tidings, group))
            for place, group in enumerate(groups)
        ]
        cursor = connection.cursor(row_factory=dict_row)
        # Planned each time, as settlements are: the tables may have been small a moment ago.
        await cursor.execute(
            _QUERIES["apply_receipts"].encode(),
            {"rows": orjson.dumps(rows).decode()},
            prepare=False,
        )
        for row in await cursor.fetchall():
            _follow(found, groups[row["place"]], row)
    return found


def _form_rounds(tidings: Sequence[Tidings]) -> list[list[_Group]]:
    """Put receipts that name one attempt by the same id into one group, for one statement.

    Receipts that name it otherwise, or come from another signer, go into a later statement: within
    one, each attempt is named once. One statement is nearly always enough.
    """
    groups: dict[object, _Group] = {}
    for place, one in enumerate(tidings):
        key = (one.caller, one.signed_by, one.receipt.provider_message_id)
        groups.setdefault(key, []).append(place)
    rounds: list[list[_Group]] = []
    taken: list[set[object]] = []
    for group in groups.values():
        names = set(_name(tidings, group))
        for known, members in zip(taken, rounds, strict=True):
            if known.isdisjoint(names):
                known.update(names)
                members.append(group)
                break
        else:
            taken.append(names)
            rounds.append([group])
    return rounds


def _name(tidings: Sequence[Tidings], group: _Group) -> Iterable[object]:
    caller = tidings[group[0]].caller
    for place in group:
        receipt = tidings[place].receipt
        yield caller, receipt.provider_message_id
        if receipt.message_id is not None:
            yield receipt.message_id, receipt.attempt_no


def _merge_group(tidings: Sequence[Tidings], group: _Group) -> Receipt:
    return reduce(merge, (tidings[place].receipt for place in group))


def _write_row(place: int, one: Tidings, receipt: Receipt) -> dict[str, object]:
    return {
        "place": place,
        "channel": one.caller.channel.value,
        "owners": one.signed_by,
        "provider_message_id": receipt.provider_message_id,
        "message_id": receipt.message_id,
        "attempt_no": receipt.attempt_no,
        "sent": receipt.sent_s is not None,
        "delivered_s": receipt.delivered_s,
        "read_s": receipt.read_s,
        "failed": receipt.failed_s is not None,
        "error_code": receipt.error_code,
        "error_message": receipt.error_message,
        "close_budget": receipt.close_budget,
    }


def _follow(found: list[Settled], group: _Group, row: DictRow | Mapping[str, Any]) -> None:
    """Say of each receipt in a group what it would have come to by itself, one after the other."""
    standing = Standing(
        _STATUSES[row["old_status"]], row["old_code"], row["delivered_s"], row["read_s"]
    )
    for place in group:
        one = found[place].tidings
        after = advance(standing, one.receipt) if row["counts"] else standing
        effect = judge(standing, after, one.receipt)
        # Of a message that was known to have arrived, a later receipt says nothing about when.
        arrived_s = one.receipt.arrived_s if standing.delivered_s is None else None
        found[place] = Settled(
            one,
            effect,
            row["id"],
            row["traceparent"],
            row["trace_kept"],
            None if arrived_s is None else arrived_s - row["started_s"],
            one.received_at.timestamp() - row["started_s"],
        )
        standing = after
