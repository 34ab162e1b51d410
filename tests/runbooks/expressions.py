"""Every PromQL expression of runbooks 000 to 002: as written, as it works here, why it differs.

Label values are lower case here (D1), so `WHATSAPP` becomes `whatsapp`. Where an expression is
wrong in itself it has a correction, which is what the panels and alerts of this project use.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from outbound_slo.vocabulary.metrics import METRICS, Metric


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression.

    Attributes:
        places: Where it stands, as `runbook:line` of its first line.
        written: As the runbook has it, white space made single.
        corrected: What gives what the runbook means, where that is another expression.
        why: What is wrong with it as written; empty where nothing is.

    """

    places: tuple[str, ...]
    written: str
    corrected: str = ""
    why: str = ""

    @property
    def translated(self) -> str:
        """The expression as written, with label values as this project has them (D1)."""
        return re.sub(
            r'"([A-Z|]+)"',
            lambda value: value[0].lower(),
            self.written.replace('job="backend"', ""),
        ).replace("{}", "")

    def metrics(self) -> Iterator[Metric]:
        """Give the metrics that it names."""
        for word in dict.fromkeys(re.findall(r"[a-z_0-9]+", self.written)):
            name = word.removesuffix("_bucket")
            if name in METRICS:
                yield METRICS[name]


_GAUGE = "rate() of a gauge; a queue that is purged reads as a restart (D3)"
_SHARE = "messages per second, not a share: 0.30 means one failure in three seconds (D3)"
_FINISHED = 'outbound_messages_finished_total{channel="whatsapp"'

EXPRESSIONS = (
    Expression(("000:92", "001:62"), 'outbound_message_queue_depth{status="QUEUED"}'),
    Expression(("000:95", "001:65"), "outbound_message_dlq_size"),
    Expression(
        ("000:98", "001:68"), 'rate(outbound_message_failures_total{channel="WHATSAPP"}[5m])'
    ),
    Expression(
        ("000:101", "001:71"),
        'rate(outbound_message_sent_total{channel="WHATSAPP"}[5m]) /'
        ' rate(outbound_message_total{channel="WHATSAPP"}[5m])',
    ),
    Expression(("000:105", "001:75"), "whatsapp_rate_limit_hits_total"),
    Expression(
        ("000:108", "001:78"),
        "histogram_quantile(0.95,"
        ' rate(outbound_message_delivery_duration_seconds_bucket{channel="WHATSAPP"}[5m]) )',
    ),
    Expression(("000:113", "001:83"), 'outbound_message_stuck_total{status=~"QUEUED|SENDING"}'),
    Expression(("000:924", "000:1124", "000:1357"), "whatsapp_message_stuck_alert"),
    Expression(("000:928", "000:938"), "whatsapp_message_stuck_alert > 0"),
    Expression(("000:931",), 'whatsapp_message_stuck_alert{job="backend"}'),
    *(
        Expression(
            (f"000:{line}",),
            f'outbound_message_send_latency_seconds{{channel="whatsapp",quantile="{quantile}"}}',
        )
        for line, quantile in ((974, "0.5"), (978, "0.95"), (982, "0.99"))
    ),
    *(
        Expression(
            (f"000:{line}",),
            f'outbound_message_delivered_latency_seconds{{channel="whatsapp",quantile="{quantile}"}}',
        )
        for line, quantile in ((1023, "0.5"), (1027, "0.95"), (1031, "0.99"))
    ),
    Expression(
        ("000:1058",),
        '(sum(rate(outbound_message_queue_depth{channel="whatsapp",status=~"sent|delivered"}[5m]))'
        ' / sum(rate(outbound_message_queue_depth{channel="whatsapp"}[5m]))) * 100',
        'channel:outbound_messages_success:ratio5m{channel="whatsapp"} * 100',
        _GAUGE,
    ),
    Expression(
        ("000:1096", "000:1239"),
        'outbound_message_queue_depth_by_channel{channel="whatsapp",status="queued"}',
    ),
    Expression(("000:1151",), "(whatsapp_quota_used / whatsapp_quota_limit) * 100"),
    Expression(("000:1177",), 'whatsapp_session_window_expiration_seconds{channel="whatsapp"}'),
    Expression(
        ("000:1204",),
        "topk(10, sum by (error_code)"
        ' (rate(outbound_message_failures_total{channel="whatsapp"}[1h])))',
    ),
    Expression(
        ("000:1231",),
        'rate(outbound_message_queue_depth{channel="whatsapp",status="sent"}[5m])',
        f'sum(rate({_FINISHED},outcome="sent"}}[5m]))',
        _GAUGE,
    ),
    Expression(
        ("000:1235",),
        'rate(outbound_message_queue_depth{channel="whatsapp",status="failed"}[5m])',
        f'sum(rate({_FINISHED},outcome="failed"}}[5m]))',
        _GAUGE,
    ),
    Expression(("000:1257",), 'outbound_message_retry_count{channel="whatsapp"}'),
    Expression(("000:1284", "002:56"), "outbound_message_dead_letter_queue_size"),
    Expression(("000:1311",), 'resilience4j_circuitbreaker_state{name="whatsapp"}'),
    Expression(("000:1353",), 'outbound_message_send_latency_seconds{quantile="0.95"}'),
    Expression(("000:1354",), 'outbound_message_delivered_latency_seconds{quantile="0.99"}'),
    Expression(("000:1356",), 'outbound_message_queue_depth_by_channel{status="queued"}'),
    Expression(
        ("001:633",),
        "whatsapp_webhook_signature_failures_total > 10",
        "increase(whatsapp_webhook_signature_failures_total[10m]) > 10",
        "a counter above 10 stays there until the process ends (D25)",
    ),
    Expression(("001:809",), "outbound_message_dlq_size > 100"),
    Expression(("001:811",), 'outbound_message_dlq_messages{channel="WHATSAPP"}'),
    Expression(("001:1196",), "outbound_message_queue_depth > 1000"),
    Expression(
        ("001:1612",),
        'rate(outbound_message_failures_total{channel="WHATSAPP"}[5m]) > 0.30',
        'channel:outbound_attempts_failed:ratio5m{channel="whatsapp"} > 0.30',
        _SHARE,
    ),
    Expression(("001:1623",), 'outbound_message_dlq_messages{channel="WHATSAPP"} > 500'),
    Expression(("001:1632",), 'outbound_message_queue_depth{status="QUEUED"} > 2000'),
    Expression(("001:1641",), "rate(whatsapp_webhook_signature_failures_total[5m]) > 0.05"),
    Expression(("002:55",), 'outbound_message_queue_depth{status="queued"}'),
    Expression(
        ("002:59",),
        "histogram_quantile(0.95,"
        " rate(outbound_message_delivery_latency_seconds_bucket[5m]))",
    ),
    Expression(("002:62",), "rate(outbound_message_send_success_total[5m])"),
    Expression(("002:63", "002:221"), "rate(outbound_message_send_failure_total[5m])"),
    Expression(("002:66",), "whatsapp_quota_used"),
    Expression(("002:67", "002:286"), "whatsapp_quota_remaining"),
    Expression(
        ("002:228",), "sum by (channel) (rate(outbound_message_send_failure_total[5m]))"
    ),
    Expression(
        ("002:233",), "sum by (error_code) (rate(outbound_message_send_failure_total[5m]))"
    ),
    Expression(("002:86",), 'outbound_message_queue_depth{status="queued"} > 1000'),
    Expression(("002:133",), "outbound_message_dead_letter_queue_size > 100"),
    Expression(("002:287",), "whatsapp_quota_used / whatsapp_quota_limit > 0.9"),
    Expression(
        ("002:466",),
        "histogram_quantile(0.95, sum by (channel, le)"
        " (rate(outbound_message_delivery_latency_seconds_bucket[5m])))",
    ),
)  # fmt: skip
"""In the order of the runbooks; one that stands in several places is one."""


def is_comparison(expression: str) -> bool:
    """Tell an alert's condition, which gives nothing while all is well."""
    return re.search(r" [<>] [0-9.]+$", expression) is not None
