"""The spans of webhooks: each continues its attempt's own trace, whichever POST it came in."""

from collections.abc import Sequence

from outbound_slo.vocabulary.spans import SpanName, Tag
from sender.receipts import EFFECT_TAGS, Said
from sender.settlement import Settled
from sender.turns import in_turns
from tracing.propagation import NEW_TRACE, context_from
from tracing.setup import Tracing


async def tell(tracing: Tracing, settled: Sequence[Settled], started_ns: int, at_once: int) -> None:
    """Tell of every receipt that named an attempt.

    Args:
        tracing: Where spans go.
        settled: The receipts.
        started_ns: When their batch was begun.
        at_once: Receipts told before others get their turn on the event loop.

    """
    async for one in in_turns(settled, at_once):
        if one.message_id is not None:
            _tell_one(tracing, one, one.message_id, started_ns)


def _tell_one(tracing: Tracing, settled: Settled, message_id: int, started_ns: int) -> None:
    receipt = settled.tidings.receipt
    identity: dict[Tag, object] = {
        Tag.WEBHOOK: True,
        Tag.MESSAGE_ID: message_id,
        Tag.PROVIDER_MESSAGE_ID: receipt.provider_message_id,
    }
    parent = context_from(settled.traceparent, kept=settled.kept) or NEW_TRACE
    arrival = int(settled.tidings.received_at.timestamp() * 1e9)
    hop = tracing.span(
        SpanName.WEBHOOK_IN, identity, parent=parent, start_ns=min(arrival, started_ns)
    )
    # Nothing happens inside them that would ask for the current span, and there are nine a message.
    process = tracing.span(SpanName.WEBHOOK_PROCESS, identity, parent=hop, start_ns=started_ns)
    reason = EFFECT_TAGS.get(settled.effect)
    if reason is not None:
        process.tag(reason, value=True)
    said = receipt.said
    tags: dict[Tag, object] = {Tag.NEW_STATUS: said.value, Tag.ERROR_CODE: receipt.error_code}
    change = tracing.span(SpanName.STATUS_UPDATE, tags, parent=process)
    if said is Said.FAILED:
        change.fail("delivery_failed")
    change.end()
    process.end()
    hop.end()
