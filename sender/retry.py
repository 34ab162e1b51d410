"""When to try again: the runbook's back-off, with the jitter kept apart from it. Pure."""

from collections.abc import Sequence

THROTTLE_SECONDS = 60.0
"""How long an organisation rests after a rate-limit error that names no time itself."""


def pick_backoff(attempt_count: int, backoff_seconds: Sequence[float]) -> float:
    """Seconds to wait after the attempt that was number `attempt_count` of the budget.

    Attempt n + 1 follows back-off n (000; D8); beyond the list its last value repeats.
    """
    position = min(max(attempt_count, 1), len(backoff_seconds)) - 1
    return backoff_seconds[position]


def spread(seconds: float, jitter: float, draw: float) -> float:
    """Lengthen a wait by up to `jitter` of itself, so that failures do not come back together.

    Args:
        seconds: The wait.
        jitter: Largest share to add, 0 to 1.
        draw: A random number from 0 to 1.

    """
    return seconds * (1.0 + jitter * draw)


def wait_before_retry(
    attempt_count: int,
    backoff_seconds: Sequence[float],
    *,
    retry_after_s: float | None,
    jitter: float,
    draw: float,
) -> float:
    """Seconds until the next attempt; the provider's Retry-After counts where it is longer."""
    own = spread(pick_backoff(attempt_count, backoff_seconds), jitter, draw)
    return own if retry_after_s is None else max(own, retry_after_s)
