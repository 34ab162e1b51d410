"""Which traces are exported from their start: the head decision, as OpenTelemetry's variables ask.

A trace is in or out by the last 56 bits of its id, which are random, so that every process comes to
the same decision, the database too (`claim` in outbox.sql has the same rule). What the head decides
travels as the sampled flag of `traceparent`; what becomes of an attempt may still overrule it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from outbound_slo.vocabulary.mistakes import UserMistake

RANDOM_BITS: Final = 56
"""Bits of a trace id, its last, that W3C's Trace Context calls random."""

_ALL = 1 << RANDOM_BITS


@dataclass(frozen=True, slots=True)
class Sampler:
    """A head decision.

    Attributes:
        threshold: Traces whose last 56 bits are less are left out: 0 leaves out none, 2**56 all.
        follows: What the caller decided counts where there is a caller.

    """

    threshold: int = 0
    follows: bool = False

    def decide(self, trace_id: bytes, caller: bool | None = None) -> bool:
        """Say whether a trace is sampled.

        Args:
            trace_id: Its 16 bytes.
            caller: The caller's sampled flag; None without a caller.

        """
        if self.follows and caller is not None:
            return caller
        return self.threshold == 0 or int.from_bytes(trace_id[-7:]) >= self.threshold


ALWAYS: Final = Sampler()

# By OpenTelemetry's names: the share of traces that are sampled, and whether a caller decides.
_KNOWN: Mapping[str, tuple[float | None, bool]] = MappingProxyType(
    {
        "always_on": (1.0, False),
        "always_off": (0.0, False),
        "traceidratio": (None, False),
        "parentbased_always_on": (1.0, True),
        "parentbased_always_off": (0.0, True),
        "parentbased_traceidratio": (None, True),
    }
)


def read_sampler(name: str, argument: str | None) -> Sampler:
    """Understand OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.

    Args:
        name: One of OpenTelemetry's six.
        argument: The ratio, 0 to 1, of the two that take one; 1 by default.

    Raises:
        UserMistake: Another name, or no ratio.

    """
    if name not in _KNOWN:
        raise UserMistake(
            f"OTEL_TRACES_SAMPLER={name!r} is not a sampler", f"Use one of {', '.join(_KNOWN)}"
        )
    share, follows = _KNOWN[name]
    return Sampler(
        _ALL - round((_read_ratio(argument) if share is None else share) * _ALL), follows
    )


def _read_ratio(argument: str | None) -> float:
    if not argument:
        return 1.0
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise UserMistake(
            f"OTEL_TRACES_SAMPLER_ARG={argument!r} is not a ratio", "Give a number from 0 to 1"
        )
    return ratio
