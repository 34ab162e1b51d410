"""Whether the providers' webhooks reach us, and whether they are applied.

Without them no delivery is known, no reply opens a window, and attempts of unknown outcome are held
back. A quiet night has no webhooks either: silence counts only where messages were accepted since.
"""

from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.metrics import Metric
from outbound_slo.vocabulary.thresholds import Threshold

_CHANNELS = (("whatsapp", "$whatsapp"), ("twilio", "$sms"), ("sendgrid", "$email"))
"""The provider whose webhooks tell of a channel's messages."""


def _record_by_channel(
    recorded: Metric, selected: str, more: str = "", before: str = ""
) -> Recording:
    """Record a provider's number under its channel, the largest of all exporters."""
    parts = "\n  or ".join(
        f'label_replace({selected}{{provider="{provider}"{more}}}, "channel", "{channel}", "", "")'
        for provider, channel in _CHANNELS
    )
    return Recording(recorded, f"{before}max by (channel) (\n  {parts}\n)")


_RECORDINGS = (
    _record_by_channel(m.RECEIPT_SILENCE, "$WEBHOOK_ACCEPTED_AT", before="time() - "),
    _record_by_channel(m.WEBHOOKS_WAITING, "$OLDEST_WEBHOOK", ',state="waiting"'),
    _record_by_channel(m.WEBHOOKS_GIVEN_UP, "$WEBHOOKS_OPEN", ',state="given_up"'),
)


def _silence(tier: int, priority: Priority, line: Threshold, window: str) -> Alert:
    return Alert(
        name=AlertName.WEBHOOK_SILENCE,
        family=Family.WEBHOOKS,
        priority=priority,
        level=Level.L1,
        tier=tier,
        slo=Slo.DELIVERY_LATENCY,
        lines={"line": line, "minimum": t.MINIMUM_RECEIPTED},
        expression=f"""\
$RECEIPT_SILENCE > $line
  and on (channel) $ACCEPTED_SUM - min_over_time($ACCEPTED_SUM[{window}]) >= $minimum""",
        summary="{{ $labels.channel }}: no webhook for {{ $value | humanizeDuration }}",
        description=(
            "The provider has accepted messages since and told nothing of them, which it does "
            "within seconds. Deliveries are unknown, and unknown outcomes are not sent again."
        ),
    )


_GIVEN_UP = Alert(
    name=AlertName.WEBHOOKS_UNPROCESSED,
    family=Family.WEBHOOKS,
    priority=Priority.P3,
    level=Level.L1,
    slo=Slo.DELIVERY_LATENCY,
    lines={"line": t.ALERT_GIVEN_UP},
    expression="$WEBHOOKS_GIVEN_UP > $line",
    summary='{{ $labels.channel }}: {{ $value | printf "%.0f" }} webhooks were given up',
    description=(
        "Each was tried twenty times and could not be applied. What it says of messages is missing "
        "until somebody finds out why; its text is in provider_webhook."
    ),
)

_WAITING = Alert(
    name=AlertName.WEBHOOKS_UNPROCESSED,
    family=Family.WEBHOOKS,
    priority=Priority.P2,
    level=Level.L1,
    tier=2,
    slo=Slo.DELIVERY_LATENCY,
    lines={"line": t.ALERT_UNPROCESSED},
    expression="$WEBHOOKS_WAITING > $line",
    summary="{{ $labels.channel }}: a webhook has waited for {{ $value | humanizeDuration }}",
    description=(
        "Webhooks are stored and answered, but not applied. No sender runs, or its inbox can't "
        "keep up: deliveries, replies and opt-outs are late."
    ),
)

GROUP = RuleGroup(
    name="outbound-webhooks",
    recordings=_RECORDINGS,
    alerts=(
        # In either window all that was accepted came after the last webhook.
        _silence(1, Priority.P2, t.ALERT_RECEIPTS_SILENT, "10m"),
        # An hour gives a business with a message now and then enough of them to judge by.
        _silence(2, Priority.P1, t.ALERT_RECEIPTS_GONE, "1h"),
        _GIVEN_UP,
        _WAITING,
    ),
)
