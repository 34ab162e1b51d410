"""Stories that were left out and are told after all, since a receipt has made them worth a look.

Where traces are sampled, an attempt that went well leaves its `traceparent` and the times of its
steps in its row. When a webhook brings a failure, or a delivery beyond the SLA's line, its spans
are made from there under the ids that they always had. Of an attempt whose process was killed
nothing more is known than that it began.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel, MessageStatus
from outbound_slo.vocabulary.thresholds import SLA_DELIVERY_LATENCY
from sender.outbox import ClaimedMessage, Pool
from sender.receipts import Said
from sender.settlement import Settled
from tracing.propagation import NEW_TRACE, context_from, link_to, name_story
from tracing.setup import Tracing
from tracing.story import StorySpan

_QUERIES = load_queries("sender", "sql/callbacks.sql")

PROVIDER_SPAN = {
    Channel.WHATSAPP: SpanName.WHATSAPP_SEND,
    Channel.SMS: SpanName.TWILIO_SEND,
    Channel.EMAIL: SpanName.SENDGRID_SEND,
}
"""The span of the call to each channel's provider."""

_OVERDUE_S = 1.0
"""Seconds after which an attempt should have been settled: its answer is slow, or lost."""

_FROM, _WINDOW, _STEPS = "from", "window", "steps"


def note_stages(span: StorySpan, message: ClaimedMessage) -> dict[str, object]:
    """Give what an attempt's row keeps of a story that is not exported.

    Returns:
        `from`: when it began, ns since the epoch, as text; `window`: whether the 24-hour window was
        open (WhatsApp); `steps`: by the span's name, ns from there to its start, and its ns.

    """
    noted: dict[str, object] = {_FROM: str(span.start_ns), _STEPS: span.tell_stages()}
    if message.channel == Channel.WHATSAPP.value:
        noted[_WINDOW] = bool(message.window_open)
    return noted


def list_correlation(
    session_id: str | None, run_id: str | None, hypothesis_id: str | None
) -> dict[str, str]:
    """Give the baggage that a message's row carries."""
    named = (("sessionId", session_id), ("run.id", run_id), ("hypothesis.id", hypothesis_id))
    return {key: value for key, value in named if value}


def is_remarkable(settled: Settled) -> bool:
    """Tell whether a receipt makes its attempt's story worth a look: it failed, or came late."""
    late = settled.took_s is not None and settled.took_s > SLA_DELIVERY_LATENCY.value
    return settled.tidings.receipt.said is Said.FAILED or late


async def keep_stories(
    connection: AsyncConnection[Any], settled: Sequence[Settled], tracing: Tracing
) -> tuple[list[Settled], list[dict[str, Any]]]:
    """Mark the stories as kept that these receipts make worth a look, in the open transaction.

    Returns:
        The receipts, which know of it, and a row for each story that is to be retold.

    """
    wanted = {
        one.traceparent: one.message_id
        for one in settled
        if one.message_id is not None
        and one.traceparent is not None
        and (is_remarkable(one) or (one.kept is None and one.age_s > _OVERDUE_S))
        and _is_left_out(one)
    }
    if not wanted or not tracing.is_exporting:
        return list(settled), []
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(
        _QUERIES["keep_stories"].encode(),
        {"ids": sorted(set(wanted.values())), "traces": list(wanted)},
    )
    rows = await cursor.fetchall()
    known = [one._replace(kept=True) if one.traceparent in wanted else one for one in settled]
    return known, [row for row in rows if row["settled_at"] is not None and row["trace_stages"]]


def _is_left_out(one: Settled) -> bool:
    context = context_from(one.traceparent, kept=one.kept)
    return context is not None and not context.sampled


def retell(tracing: Tracing, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make the spans of attempts that were left out, from their rows."""
    for row in rows:
        _retell_one(tracing, row)


async def tell_lost(pool: Pool, tracing: Tracing, *, window_s: float, back_s: float) -> int:
    """Tell of attempts that nobody settled, most likely since their process was killed.

    Args:
        pool: The sender's connections.
        tracing: Where spans go.
        window_s: Seconds after which an attempt will not be settled any more.
        back_s: Seconds before that which are looked at: some times those between two looks.

    Returns:
        How many there were.

    """
    if not tracing.is_exporting:
        return 0
    async with pool.connection() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(_QUERIES["read_by_time"].encode())
        await cursor.execute(
            _QUERIES["lost_stories"].encode(), {"window_s": window_s, "back_s": back_s}
        )
        rows = await cursor.fetchall()
    for row in rows:
        root = _open_root(tracing, row, _to_ns(row["started_at"]))
        code = HouseCode.OUTCOME_UNKNOWN.value
        root.tags({Tag.STATUS: row["status"], Tag.ERROR_CODE: code})
        root.fail(code, "Nobody wrote how the attempt ended")
        root.end()
    return len(rows)


def _open_root(tracing: Tracing, row: Mapping[str, Any], start_ns: int) -> StorySpan:
    found = (link_to(row["request_traceparent"]), link_to(row["previous_traceparent"]))
    baggage = list_correlation(row["session_id"], row["run_id"], row["hypothesis_id"])
    span = tracing.span(
        SpanName.OUTBOUND_MESSAGE_PROCESS,
        {
            Tag.MESSAGE_ID: row["message_id"],
            Tag.MESSAGE_CHANNEL: row["channel"],
            Tag.MESSAGE_ATTEMPT: row["attempt_no"],
            Tag.MESSAGE_TO: row["to_recipient"],
            Tag.ORG_ID: row["org_id"],
            Tag.TEMPLATE_CODE: row["template_code"],
            Tag.HAS_TEMPLATE: row["template_code"] is not None,
        },
        parent=context_from(None, baggage) or NEW_TRACE,
        links=[link for link in found if link is not None],
        start_ns=start_ns,
        own=name_story(row["traceparent"]),
    )
    span.decide(keep=True)
    return span


def _retell_one(tracing: Tracing, row: Mapping[str, Any]) -> None:
    stages: Mapping[str, Any] = row["trace_stages"]
    start_ns, steps = int(stages[_FROM]), stages[_STEPS]
    root = _open_root(tracing, row, start_ns)
    call_name = PROVIDER_SPAN[Channel(row["channel"])]
    call_start, call_ns = _read_step(steps, call_name, start_ns)
    window = stages.get(_WINDOW)
    call = tracing.span(
        call_name,
        {
            Tag.HAS_TEMPLATE: row["template_code"] is not None,
            Tag.WITHIN_SESSION_WINDOW: window,
            Tag.HTTP_STATUS: row["http_status"],
            Tag.PROVIDER_MESSAGE_ID: row["provider_message_id"],
            Tag.STATUS: MessageStatus.SENT.value,
        },
        parent=root,
        start_ns=call_start,
    )
    tags_of: Mapping[SpanName, dict[Tag, object]] = {
        SpanName.SESSION_WINDOW_CHECK: {Tag.WITHIN_SESSION_WINDOW: window},
        SpanName.HTTP_CLIENT_REQUEST: {
            Tag.HTTP_METHOD: "POST",
            Tag.HTTP_STATUS_CODE: row["http_status"],
            Tag.HTTP_RESPONSE_STATUS_CODE: row["http_status"],
        },
    }
    for name, tags in tags_of.items():
        if name in steps:
            began, took = _read_step(steps, name, start_ns)
            tracing.record(name, tags, parent=call, start_ns=began, end_ns=began + took)
    call.end(call_start + call_ns)
    # By the database's clock, where the rest is by the sender's.
    end_ns = max(_to_ns(row["settled_at"]), call_start + call_ns)
    tags = {Tag.STATUS: MessageStatus.SENT.value}
    save_ns = call_start + call_ns
    tracing.record(SpanName.DATABASE_SAVE, tags, parent=root, start_ns=save_ns, end_ns=end_ns)
    root.end(end_ns)


def _read_step(steps: Mapping[str, Any], name: SpanName, start_ns: int) -> tuple[int, int]:
    """Give when a step began, ns since the epoch, and what it took."""
    offset, took = steps.get(name.value, (0, 0))
    return start_ns + offset, took


def _to_ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
