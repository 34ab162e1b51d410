"""What WhatsApp allows and what it must not be believed: quotas and webhook signatures."""

from alerts.links import TraceSearch
from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority
from outbound_slo.vocabulary.spans import SpanName, Tag
from outbound_slo.vocabulary.statuses import Channel, MessageStatus

_WHATSAPP = Channel.WHATSAPP.label

_QUOTA_RATIO = Recording(
    m.QUOTA_RATIO, "max by (org_id) ($QUOTA_USED) / (max by (org_id) ($QUOTA_LIMIT) > 0)"
)

_QUOTA = tuple(
    Alert(
        name=AlertName.QUOTA_HIGH,
        family=Family.QUOTA,
        priority=priority,
        level=Level.L1,
        channel=_WHATSAPP,
        tier=tier,
        lines={"line": line},
        expression="$QUOTA_RATIO > $line",
        summary=(
            "Organisation {{ $labels.org_id }} has used {{ $value | humanizePercentage }} "
            "of its WhatsApp quota"
        ),
        description=(
            "At 100 % its further messages are put off until the quota resets. Raise the quota, "
            "or put off what is not urgent while there is some left for what is."
        ),
        traces=TraceSearch(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {Tag.STATUS: MessageStatus.QUEUED.value},
            {Tag.ORG_ID: "org_id"},
        ),
    )
    for tier, (line, priority) in enumerate(
        (
            (t.ALERT_QUOTA_70, Priority.P3),
            (t.ALERT_QUOTA_85, Priority.P3),
            (t.ALERT_QUOTA_95, Priority.P2),
        ),
        start=1,
    )
)

# A counter of the sender's processes, not of the database: each starts at zero, so increase().
# The share is written as a product: without webhooks there is nothing to divide by.
_SIGNATURES = Alert(
    name=AlertName.SIGNATURE_FAILURES,
    family=Family.WEBHOOKS,
    priority=Priority.P2,
    level=Level.L1,
    channel=_WHATSAPP,
    lines={"line": t.ALERT_SIGNATURES, "share": t.ALERT_SIGNATURE_SHARE},
    expression="""\
sum(increase($SIGNATURE_FAILURES[10m])) > $line
  and sum(increase($SIGNATURE_FAILURES[10m]))
    > $share * (sum(increase($WEBHOOKS{provider="$whatsapp"}[10m])) or vector(0))""",
    summary='{{ $value | printf "%.0f" }} WhatsApp webhooks with a wrong signature in 10 minutes',
    description=(
        "They were answered with 401 and not applied, so deliveries and replies in them are "
        "missing. Usually a secret was rotated on one side only; else somebody is trying us out."
    ),
)

GROUP = RuleGroup(name="outbound-limits", recordings=(_QUOTA_RATIO,), alerts=(*_QUOTA, _SIGNATURES))
