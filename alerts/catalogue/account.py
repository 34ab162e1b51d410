"""What Meta decides about the account and its templates, and what of it has an end date.

Meta tells by webhook, once. Its notices count for a day; there is none that says that all is well
again, so an alert ends when the notice is a day old.
"""

from alerts.rule import Alert, Recording, RuleGroup
from outbound_slo.vocabulary import metrics as m
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.alerts import AlertName, Family, Level, Priority, Slo
from outbound_slo.vocabulary.statuses import Channel

_WHATSAPP = Channel.WHATSAPP.label

# No template that stands still is zero, but only while the query that would know it works.
_TEMPLATES_STOPPED = Recording(
    m.TEMPLATES_STOPPED,
    """\
sum(max by (status, quality) ($TEMPLATES{status=~"paused|disabled"}))
  or 0 * (max($QUERY_SUCCESS{pack="outbound",query="templates"}) == 1)""",
)

_TEMPLATE_QUALITY = Alert(
    name=AlertName.TEMPLATE_PAUSED,
    family=Family.ACCOUNT,
    priority=Priority.P3,
    level=Level.L1,
    channel=_WHATSAPP,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_TEMPLATE_QUALITY},
    expression="""\
max($RECENT_NOTICES{kind="$template_quality",severity="$notice_critical"}) > $line""",
    summary='Meta rates templates as bad: {{ $value | printf "%.0f" }} notices within a day',
    description=(
        "Recipients block or report what is sent with a template. Meta pauses it next, for three "
        "hours, then for six, then for good: send less with it, and to people who asked for it."
    ),
)

# Those that were given up long ago stay disabled; only what stopped since counts.
_TEMPLATE_STOPPED = Alert(
    name=AlertName.TEMPLATE_PAUSED,
    family=Family.ACCOUNT,
    priority=Priority.P2,
    level=Level.L1,
    channel=_WHATSAPP,
    tier=2,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_TEMPLATE_STOPPED},
    expression="$TEMPLATES_STOPPED - min_over_time($TEMPLATES_STOPPED[6h]) > $line",
    summary=('Meta has paused or disabled {{ $value | printf "%.0f" }} templates within six hours'),
    description=(
        "Messages with these templates fail and wait for a person. Find out which, and whether "
        "another template can take their place; a pause ends by itself."
    ),
)

_ACCOUNT_WARNED = Alert(
    name=AlertName.ACCOUNT_RESTRICTED,
    family=Family.ACCOUNT,
    priority=Priority.P3,
    level=Level.L1,
    channel=_WHATSAPP,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_ACCOUNT_WARNED},
    expression="""\
sum(
  max by (kind) ($RECENT_NOTICES{kind=~"$account_kinds|$number_kinds",severity="$notice_warning"})
) > $line""",
    summary=(
        'Meta warns about the account or a number: {{ $value | printf "%.0f" }} notices within a '
        "day"
    ),
    description=(
        "A policy violation, a number flagged or moved to a lower limit, a name refused. Sending "
        "goes on, but the next step is a restriction."
    ),
)

_ACCOUNT_RESTRICTED = Alert(
    name=AlertName.ACCOUNT_RESTRICTED,
    family=Family.ACCOUNT,
    priority=Priority.P1,
    # Only Meta can lift it, and 001 has level 2 talk to vendors.
    level=Level.L2,
    channel=_WHATSAPP,
    tier=2,
    slo=Slo.SEND_SUCCESS,
    lines={"line": t.ALERT_ACCOUNT_RESTRICTED},
    expression="""\
sum(
  max by (kind) ($RECENT_NOTICES{kind=~"$account_kinds",severity="$notice_critical"})
) > $line""",
    summary=(
        'Meta has restricted the account: {{ $value | printf "%.0f" }} critical notices within a '
        "day"
    ),
    description=(
        "Restricted, disabled, rejected or deleted: what the notice says is in provider_notice. "
        "Messages fail until it is settled with Meta. The alert ends a day after the notice."
    ),
)

_TOKEN_EXPIRING = tuple(
    Alert(
        name=AlertName.TOKEN_EXPIRING,
        family=Family.ACCOUNT,
        priority=priority,
        level=level,
        channel=_WHATSAPP,
        tier=tier,
        slo=Slo.SEND_SUCCESS,
        lines={"line": line},
        expression="min($TOKEN_DAYS) < $line",
        summary='The WhatsApp access token ends in {{ $value | printf "%.1f" }} days',
        description=(
            "From then on every WhatsApp message fails with code 190. Make a new token, put it in "
            "place on all senders, and its end in WHATSAPP_ACCESS_TOKEN_EXPIRES_AT."
        ),
    )
    for tier, (line, priority, level) in enumerate(
        (
            (t.ALERT_TOKEN_14, Priority.P3, Level.L1),
            (t.ALERT_TOKEN_3, Priority.P2, Level.L1),
            (t.ALERT_TOKEN_1, Priority.P1, Level.L1),
        ),
        start=1,
    )
)

_API_VERSION_EXPIRING = tuple(
    Alert(
        name=AlertName.API_VERSION_EXPIRING,
        family=Family.ACCOUNT,
        priority=priority,
        level=Level.L1,
        channel=_WHATSAPP,
        tier=tier,
        slo=Slo.SEND_SUCCESS,
        lines={"line": line},
        expression="min by (version) ($API_VERSION_DAYS) < $line",
        summary='Graph API {{ $labels.version }} ends in {{ $value | printf "%.0f" }} days',
        description=(
            "Meta then answers calls of this version with an error or as a later version. Read "
            "its changelog, try the next version, and set it on all senders."
        ),
    )
    for tier, (line, priority) in enumerate(
        ((t.ALERT_API_VERSION_60, Priority.P3), (t.ALERT_API_VERSION_14, Priority.P2)), start=1
    )
)

GROUP = RuleGroup(
    name="outbound-account",
    recordings=(_TEMPLATES_STOPPED,),
    alerts=(
        _TEMPLATE_QUALITY,
        _TEMPLATE_STOPPED,
        _ACCOUNT_WARNED,
        _ACCOUNT_RESTRICTED,
        *_TOKEN_EXPIRING,
        *_API_VERSION_EXPIRING,
    ),
)
