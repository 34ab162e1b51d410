"""Ids of an attempt's spans, which follow from that of its first: nothing but it has to be stored.

Each step occurs once in an attempt. So an attempt that was left out can be told later, by another
process, under the very ids that its `traceparent` and its links gave away.
"""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from outbound_slo.vocabulary.spans import PROVIDER_SPANS, SpanName

_STEPS: Mapping[SpanName, int] = MappingProxyType(
    {
        name: int.from_bytes(hashlib.blake2b(name.value.encode(), digest_size=8).digest())
        for name in (
            *PROVIDER_SPANS,
            SpanName.HTTP_CLIENT_REQUEST,
            SpanName.SESSION_WINDOW_CHECK,
            SpanName.DATABASE_SAVE,
            SpanName.METRICS_RECORD,
        )
    }
)


def find_step(name: SpanName) -> int | None:
    """Give the number that stands for a step of an attempt; None for any other span."""
    return _STEPS.get(name)


def derive_id(story: int, step: int) -> bytes:
    """Give the 8 bytes of a step's span id.

    Args:
        story: Id of the attempt's first span.
        step: From `find_step`.

    """
    return (story ^ step or 1).to_bytes(8, "big")
