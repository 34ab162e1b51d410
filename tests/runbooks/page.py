"""The tables of docs/compatibility.md that follow from the tests.

`python -m tests.runbooks.page` writes them anew; a test compares.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from outbound_slo.vocabulary.alert_aliases import ALIASES
from outbound_slo.vocabulary.metrics import METRICS, Metric
from outbound_slo.vocabulary.metrics import Origin as Source
from tests.runbooks.effects import EFFECTS
from tests.runbooks.expressions import EXPRESSIONS, Expression
from tests.runbooks.extraction import Origin
from tests.runbooks.faults import (
    SCRIPT_FAULTS,
    STATEMENT_FAULTS,
    TRACE_EDGES,
    TRACE_FAULTS,
    Fault,
)
from tests.runbooks.source import NUMBERS, PROJECT

PAGE = PROJECT / "docs" / "compatibility.md"

STATEMENT_COUNTS: Mapping[tuple[str, Origin], int] = {
    ("000", Origin.SQL_BLOCK): 10,
    ("000", Origin.COMMAND): 5,
    ("000", Origin.HEREDOC): 2,
    ("000", Origin.PROSE): 2,
    ("001", Origin.SQL_BLOCK): 46,
    ("001", Origin.COMMAND): 10,
    ("001", Origin.HEREDOC): 7,
    ("001", Origin.VARIABLE): 1,
    ("002", Origin.SQL_BLOCK): 19,
    ("002", Origin.COMMAND): 1,
}
"""How many statements the runbooks have, by runbook and kind of place."""

RUNBOOK_METRICS = (
    "outbound_message_dead_letter_queue_size",
    "outbound_message_delivered_latency_seconds",
    "outbound_message_delivery_duration_seconds",
    "outbound_message_delivery_latency_seconds",
    "outbound_message_dlq_messages",
    "outbound_message_dlq_size",
    "outbound_message_failures_total",
    "outbound_message_queue_depth",
    "outbound_message_queue_depth_by_channel",
    "outbound_message_retry_count",
    "outbound_message_send_failure_total",
    "outbound_message_send_latency_seconds",
    "outbound_message_send_success_total",
    "outbound_message_sent_total",
    "outbound_message_stuck_total",
    "outbound_message_total",
    "resilience4j_circuitbreaker_state",
    "whatsapp_message_stuck_alert",
    "whatsapp_quota_limit",
    "whatsapp_quota_remaining",
    "whatsapp_quota_used",
    "whatsapp_rate_limit_hits_total",
    "whatsapp_session_window_expiration_seconds",
    "whatsapp_webhook_signature_failures_total",
)
"""Metric names that the three runbooks use."""

ENDPOINTS = (
    ("GET /actuator/health", "000:120, 001:90", "sender", "state of the database and the breakers"),
    ("GET /actuator/prometheus", "000:42, 002:50", "sender",
     "the sender's own metrics; the exporter's are at its `/metrics`"),
    ("GET /actuator/metrics/{name}", "000:301", "sender", "one of them, as JSON"),
    ("GET /api/v2/diagnostics/whatsapp/sessions", "000", "sender", "service windows"),
    ("GET /api/v2/diagnostics/whatsapp/retry-queue", "000", "sender", "what waits for a retry"),
    ("POST /api/v2/diagnostics/whatsapp/dry-run-send", "000", "sender", "what a send would meet"),
    ("GET /api/v2/diagnostics/whatsapp/error-patterns", "000", "sender", "errors of some hours"),
    ("GET /api/v1/dashboard/outbound/health", "001", "sender", "numbers per channel"),
    ("POST /api/v1/outbound/messages/{id}/retry", "000, 001", "sender", "queues it again"),
    ("SELECT init_contact_preferences(number, profile, language)", "003:183", "database",
     "a contact gets the default quiet hours"),
    ("SELECT mark_opted_out(number, reason)", "003:205", "database",
     "no more messages; what is queued for the contact is refused"),
    ("SELECT wa_id, quiet_hours_start, … FROM contact_preferences", "003:178", "database",
     "the sender keeps to these hours"),
)  # fmt: skip
"""What 000 to 003 call or ask, who answers it, and with what."""

TRACES = (
    ("Query 1: all traces of a message", "000:1406", "message 12345"),
    ("Query 2: failed sends by error code", "000:1429",
     "errors --code 132016 --operation whatsapp-cloud-api-send --max-duration 10s"),
    ("Query 3: attempts to a number", "000:1445", "recipient +33612345678"),
    ("Query 4: latency of sent messages", "000:1470", "latency --max-duration 60s"),
    ("Query 5: circuit breaker open", "000:1491", "breaker"),
    ("Query 6: request and webhook", "000:1506, 000:1515, 000:1532", "delivery 12345"),
    ("Query 7: all attempts at a message", "000:1553", "attempts 12345"),
    ("Query 8: session window checks", "000:1576", "sessions"),
    ("Export", "000:1635", "export --out traces.json"),
    ("Analysis of the export", "000:1635", "analyze traces.json"),
    ("Provider errors in an outage", "000:1707",
     "errors --code 1 --operation whatsapp-cloud-api-send"),
)  # fmt: skip
"""What 000 asks Jaeger, where, and the command that answers."""

_GENERATED = re.compile(
    r"(?P<start><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def refresh(document: str) -> str:
    """Replace the tables between the marks of a page by today's.

    Raises:
        KeyError: A mark names a table that there is not.

    """
    tables = {
        "counts": _count_table(),
        "effects": _effect_table(),
        "statement-faults": _fault_table(STATEMENT_FAULTS.values()),
        "script-faults": _fault_table(SCRIPT_FAULTS.values()),
        "metrics": _metric_table(),
        "expressions": _expression_table(),
        "corrections": _correction_table(),
        "alerts": _alert_table(),
        "endpoints": _endpoint_table(),
        "traces": _trace_table(),
        "trace-faults": _fault_table(TRACE_FAULTS.values()),
        "trace-edges": _edge_table(),
    }
    return _GENERATED.sub(
        lambda block: f"{block['start']}\n{tables[block['name']]}\n\n{block['end']}", document
    )


def _count_table() -> str:
    rows = [
        [
            origin.value,
            *(str(STATEMENT_COUNTS.get((number, origin), 0)) for number in NUMBERS),
            str(sum(STATEMENT_COUNTS.get((number, origin), 0) for number in NUMBERS)),
        ]
        for origin in Origin
    ]
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(1, len(NUMBERS) + 2)]
    return _table(["Place", *NUMBERS, "All"], [*rows, ["all", *sums]])


def _effect_table() -> str:
    return _table(
        ["Statement", "At", "Observable effect", "Test"],
        (
            [
                effect.what,
                ", ".join(effect.places),
                effect.promise,
                f"`{effect.prove.__name__}`",
            ]
            for effect in EFFECTS
        ),
    )


def _fault_table(faults: Iterable[Fault]) -> str:
    return _table(
        ["At", "What is wrong", "How it shows", "What works"],
        ([fault.place, _code(fault.reason), fault.symptom, f"`{fault.cure}`"] for fault in faults),
    )


def _metric_table() -> str:
    metrics = [METRICS[name] for name in RUNBOOK_METRICS]
    return _table(
        ["Runbooks' name", "Kind", "Labels", "From", "Says the same as"],
        (
            [
                f"`{metric.name}`",
                metric.kind,
                ", ".join(metric.labels) or "none",
                metric.origin,
                f"`{metric.alias_of}`" if metric.alias_of else "itself",
            ]
            for metric in metrics
        ),
    )


def _expression_table() -> str:
    return _table(
        ["At", "Expression here", "Answered by"],
        (
            [
                ", ".join(each.places),
                f"`{each.corrected or each.translated}`" + (" *" if each.corrected else ""),
                "; ".join(dict.fromkeys(_answer(each))),
            ]
            for each in EXPRESSIONS
        ),
    )


def _answer(expression: Expression) -> list[str]:
    words = re.findall(r"[a-z_0-9:]+", expression.corrected or expression.written)
    named = [METRICS[n] for word in words if (n := word.removesuffix("_bucket")) in METRICS]
    return [_describe_source(metric) for metric in named]


def _describe_source(metric: Metric) -> str:
    match metric.origin:
        case Source.EXPORTER:
            return f"exporter: `{metric.alias_of or metric.name}`"
        case Source.RECORDING:
            return f"recording rule over `{metric.alias_of}`"
        case Source.SENDER:
            return "sender"
        case Source.MONITORING:
            return "Prometheus or Alertmanager about itself"


def _correction_table() -> str:
    return _table(
        ["At", "As written", "What is wrong"],
        (
            [", ".join(each.places), f"`{each.written}`", each.why]
            for each in EXPRESSIONS
            if each.corrected
        ),
    )


def _alert_table() -> str:
    return _table(
        ["Runbooks' alert", "In", "Here", "Tier", "Note"],
        (
            [f"`{each.name}`", each.source, each.answered_by, str(each.tier or "all"), each.remark]
            for each in ALIASES
        ),
    )


def _trace_table() -> str:
    return _table(
        ["Asked in 000", "At", "Command"],
        ([asked, place, f"`outbound-slo trace {command}`"] for asked, place, command in TRACES),
    )


def _edge_table() -> str:
    return _table(
        ["At", "What is so", "Here"],
        ([", ".join(edge.places), edge.reason, edge.here] for edge in TRACE_EDGES),
    )


def _endpoint_table() -> str:
    return _table(
        ["Asked", "In", "Answered by", "With"],
        ([f"`{asked}`", place, who, what] for asked, place, who, what in ENDPOINTS),
    )


def _code(text: str) -> str:
    r"""Mark what is code in a reason: psql's commands, shell options and arithmetic."""
    return re.sub(r"(\\COPY|\(\(N\+\+\)\)|set -e|grep -c|\|\| echo \"0\")", r"`\1`", text)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    return "\n".join([line(headings), "|" + "---|" * len(headings), *map(line, rows)])


def write(page: Path = PAGE) -> None:
    """Bring the page's tables up to date."""
    page.write_text(refresh(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
