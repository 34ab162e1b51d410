"""The world around the outbox at one instant; healthy unless an incident changes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from outbound_slo.vocabulary.statuses import Channel

CHANNELS: Final = tuple(channel.label for channel in Channel)
WHATSAPP: Final = Channel.WHATSAPP.label


@dataclass(frozen=True, slots=True)
class Provider:
    """How one provider behaves.

    Attributes:
        failing: Share of attempts that fail, 0 to 1.
        code: The error code of those.
        category: Its category in the metric's label.
        final: Whether such a failure can't be retried.
        call_s: Median seconds of a call.
        delivery_s: Median seconds from acceptance to the device.
        tells: Whether its webhooks come.

    """

    failing: float = 0.002
    code: str = "131000"
    category: str = "Temporary"
    final: bool = False
    call_s: float = 0.3
    delivery_s: float = 4.0
    tells: bool = True


@dataclass(frozen=True, slots=True)
class Conditions:
    """The world at one instant.

    Attributes:
        demand: Factor on the usual number of new messages.
        burst: Further new WhatsApp messages at this instant.
        trickle: Exact number of new WhatsApp messages, in place of the usual; None: the usual.
        providers: By channel.
        poison: New WhatsApp messages at this instant that no provider can take.
        capacity: Messages per second that one sender process can send.
        senders: Sender processes that claim.
        refreshing: Whether the exporter reaches the database.
        scraped: Whether Prometheus reaches the exporter.
        forged: WhatsApp webhooks per minute whose signature is wrong.
        believed: Share of genuine WhatsApp webhooks whose signature is accepted.
        quota_used: Share of their quota that organisations used, 0 to 1 and beyond.
        paused_templates: WhatsApp templates that Meta has paused.
        notices: Grave notices of the last day about the account, by kind.
        oldest_snapshot_s: Age of the oldest snapshot in the database.
        dead_rows: Share of the queue's rows that are dead.
        violations: Rows that contradict themselves.

    """

    demand: float = 1.0
    burst: int = 0
    trickle: int | None = None
    providers: Mapping[str, Provider] = field(
        default_factory=lambda: MappingProxyType({channel: Provider() for channel in CHANNELS})
    )
    poison: int = 0
    capacity: float = 100.0
    senders: int = 2
    refreshing: bool = True
    scraped: bool = True
    forged: float = 0.0
    believed: float = 1.0
    quota_used: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"org-a": 0.2, "org-b": 0.35})
    )
    paused_templates: int = 0
    notices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    oldest_snapshot_s: float = 2.0
    dead_rows: float = 0.04
    violations: int = 0

    def with_provider(self, provider: Provider, *channels: str) -> "Conditions":
        """Have some channels' provider behave in another way; all channels if none is named."""
        changed = dict.fromkeys(channels or CHANNELS, provider)
        return replace(self, providers=MappingProxyType(dict(self.providers) | changed))


HEALTHY: Final = Conditions()
"""Nothing is wrong."""
