"""The runbooks' own names for alerts and symptoms, and which alert answers each here."""

from dataclasses import dataclass

from outbound_slo.vocabulary.alerts import AlertName


@dataclass(frozen=True, slots=True)
class AlertAlias:
    """A runbook's own name or expression for an alert, and what answers it here.

    Attributes:
        name: As the runbook writes it.
        source: The runbook.
        answered_by: The alert that fires here.
        tier: The tier whose line is the runbook's; None where all tiers share it.
        remark: What differs, and the decision behind it.

    """

    name: str
    source: str
    answered_by: AlertName
    tier: int | None
    remark: str


ALIASES: tuple[AlertAlias, ...] = (
    AlertAlias(
        "High Send Latency", "000", AlertName.SEND_LATENCY_HIGH, 1, "p95 over 30 s for 5 minutes"
    ),
    AlertAlias(
        "Delivery Latency p99 > 120s for 5min", "000", AlertName.DELIVERY_LATENCY_HIGH, 3, "D5"
    ),
    AlertAlias(
        "Success Rate < 90% for 5min",
        "000",
        AlertName.SUCCESS_RATE_LOW,
        1,
        "over messages that ended, not over the rate of a gauge (D3)",
    ),
    AlertAlias("Queue Depth > 500 for 3min", "000", AlertName.QUEUE_BACKUP, 1, "D22"),
    AlertAlias("Stuck Messages > 0 for 5min", "000", AlertName.STUCK_IN_SENDING, 1, "D23"),
    AlertAlias("Quota Usage > 95% for 2min", "000", AlertName.QUOTA_HIGH, 3, "D21, D39"),
    AlertAlias(
        "rate(outbound_message_failures_total[5m]) > 0.30",
        "001",
        AlertName.HIGH_FAILURE_RATE,
        1,
        "the share of attempts that failed: a rate of failures is no percentage (D3)",
    ),
    AlertAlias(
        "whatsapp_webhook_signature_failures_total > 10",
        "001",
        AlertName.SIGNATURE_FAILURES,
        1,
        "more than 10 in 10 minutes: a counter above 10 stays there (D25)",
    ),
    AlertAlias("outbound_message_dlq_size > 100", "001", AlertName.TOTAL_DLQ_OVERFLOW, 1, "D10"),
    AlertAlias(
        'outbound_message_dlq_messages{channel="WHATSAPP"} > threshold',
        "001",
        AlertName.DLQ_OVERFLOW,
        None,
        "label values are lower case (D1)",
    ),
    AlertAlias(
        "outbound_message_queue_depth > 1000", "001", AlertName.TOTAL_QUEUE_BACKUP, 2, "D22"
    ),
    AlertAlias("High Queue Depth Alert", "002", AlertName.TOTAL_QUEUE_BACKUP, 2, "D22"),
    AlertAlias("Dead Letter Growth Alert", "002", AlertName.TOTAL_DLQ_OVERFLOW, 1, "D10"),
    AlertAlias(
        "High Failure Rate Alert",
        "002",
        AlertName.ELEVATED_FAILURE_RATE,
        1,
        "more than 5 % of attempts fail for 15 minutes; attempts, so that it shows at once (D3)",
    ),
    AlertAlias(
        "WhatsApp Quota High Usage Alert",
        "002",
        AlertName.QUOTA_HIGH,
        None,
        "tiers at 70, 85 and 95 %; the 90 % of the symptom list lies between two of them (D21)",
    ),
    AlertAlias("Stuck Messages Alert", "002", AlertName.STUCK_IN_QUEUE, 1, "D23"),
    AlertAlias("High Delivery Latency Alert", "002", AlertName.DELIVERY_LATENCY_HIGH, 1, "D5"),
    AlertAlias("whatsapp_message_stuck_alert > 0", "000", AlertName.STUCK_IN_SENDING, 1, "D23"),
    AlertAlias(
        'outbound_message_queue_depth{status="QUEUED"} > 2000',
        "001",
        AlertName.QUEUE_BACKUP,
        3,
        "of WhatsApp; OutboundQueueBackup has the same line for all channels (D1, D22)",
    ),
    AlertAlias(
        'outbound_message_dlq_messages{channel="WHATSAPP"} > 500',
        "001",
        AlertName.DLQ_OVERFLOW,
        2,
        "label values are lower case (D1)",
    ),
    AlertAlias(
        "rate(whatsapp_webhook_signature_failures_total[5m]) > 0.05",
        "001",
        AlertName.SIGNATURE_FAILURES,
        1,
        "a count and a share of ten minutes: few failures among many webhooks are no trouble (D25)",
    ),
    AlertAlias("Data Corruption", "001", AlertName.DATA_CORRUPTION, None, "escalation tree"),
    AlertAlias(
        "DLQ Size with Alerting Thresholds",
        "002",
        AlertName.TOTAL_DLQ_OVERFLOW,
        None,
        "four tiers; OutboundDLQGrowing looks at the growth (D10)",
    ),
    AlertAlias(
        "Create alerts for specific error codes",
        "002",
        AlertName.TEMPLATE_PAUSED,
        None,
        "codes that a person must act on: templates here, the account in "
        "WhatsAppAccountRestricted; all others are in the failure rate, by code on the panels",
    ),
    AlertAlias(
        "Set up provider account monitoring",
        "002",
        AlertName.ACCOUNT_RESTRICTED,
        None,
        "what Meta says of the account by webhook",
    ),
    AlertAlias(
        "Set up quota alerts at 70%, 85%, 95%", "002", AlertName.QUOTA_HIGH, None, "D21, D39"
    ),
    AlertAlias(
        "Set up alerts for worker inactivity",
        "002",
        AlertName.WORKER_INACTIVE,
        None,
        "a pause that somebody ordered is none",
    ),
    AlertAlias(
        "Set up provider API latency alerts",
        "002",
        AlertName.PROVIDER_SLOW,
        1,
        "over 1 s, which 000 calls slow",
    ),
    AlertAlias(
        "Provider success rate < 50% for 10+ minutes",
        "002",
        AlertName.BREAKER_OPEN,
        2,
        "when a channel is to be taken out by hand; more than 50 % of attempts fail (D3)",
    ),
    AlertAlias(
        "Dashboard shows growing DLQ size over time", "001", AlertName.DLQ_GROWING, 1, "per hour"
    ),
    AlertAlias(
        "Dashboard shows increasing queue size",
        "002",
        AlertName.QUEUE_GROWING,
        1,
        "planned waits do not count",
    ),
)
"""Every alert that 000 to 002 name or write as an expression under another name."""
