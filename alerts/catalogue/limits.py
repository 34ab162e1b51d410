"""What WhatsApp allows and what it must not be believed: quotas, windows, webhook signatures."""

from alerts.links import TraceSearch
from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
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
    slo=Slo.DELIVERY_LATENCY,
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

# A rest after a rate limit lasts minutes; one that goes on is for a person to look at.
_THROTTLED = tuple(
    Alert(
        name=AlertName.ORGANISATION_THROTTLED,
        family=Family.QUOTA,
        priority=priority,
        level=Level.L1,
        channel=_WHATSAPP,
        tier=tier,
        lines={"line": line},
        expression="max($THROTTLED_ORGS) > $line",
        summary=(
            '{{ $value | printf "%.0f" }} organisations have been throttled for a quarter of an '
            "hour"
        ),
        description=(
            "The provider asked them to slow down and goes on asking. Their messages wait, without "
            "using up attempts; others are not held up."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_THROTTLED, Priority.P3), (t.ALERT_THROTTLED_MANY, Priority.P2)), start=1
    )
)

# A code that was never seen has no series yet: the sum starts at zero with the attempts' (T4).
_WINDOW_REFUSALS = Recording(
    m.WINDOW_REFUSALS,
    """\
sum by (channel) (
  max by (channel, outcome, error_code) (
    $ATTEMPTS{channel="$whatsapp",outcome=~"$refused|$failed",error_code=~"$window_codes"}
  )
)
  or 0 * $ATTEMPTS_SUM{channel="$whatsapp"}""",
)

_WINDOW_CLOSED = tuple(
    Alert(
        name=AlertName.SESSION_WINDOW_CLOSED,
        family=Family.SUCCESS,
        priority=priority,
        level=Level.L1,
        channel=_WHATSAPP,
        tier=tier,
        lines={"line": line},
        expression="$WINDOW_REFUSALS - min_over_time($WINDOW_REFUSALS[10m]) > $line",
        summary=(
            '{{ $value | printf "%.0f" }} WhatsApp messages met a closed 24-hour window in ten '
            "minutes"
        ),
        traces=TraceSearch(
            SpanName.OUTBOUND_MESSAGE_PROCESS,
            {Tag.STATUS: MessageStatus.FAILED.value},
            {Tag.MESSAGE_CHANNEL: "channel"},
        ),
        description=(
            "Free text to people who have not written for a day, without a template: these "
            "messages have failed. Either replies no longer reach us, or an application forgot "
            "its template."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_WINDOW_10, Priority.P3), (t.ALERT_WINDOW_100, Priority.P2)), start=1
    )
)

GROUP = RuleGroup(
    name="outbound-limits",
    recordings=(_QUOTA_RATIO, _WINDOW_REFUSALS),
    alerts=(*_QUOTA, *_THROTTLED, *_WINDOW_CLOSED, _SIGNATURES),
)
