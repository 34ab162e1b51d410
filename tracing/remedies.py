"""What to do about each way in which a message can fare badly: 000's section, and next steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Pattern(StrEnum):
    """What an attempt or a message shows: the five patterns of 000, and those beside them."""

    SESSION_EXPIRED = "session window expiry"
    RATE_LIMITED = "rate limit exceeded"
    PROVIDER_ERROR = "provider API error"
    BREAKER_OPEN = "circuit breaker opened"
    TEMPLATE_NOT_FOUND = "template not found"
    OTHER_FAILURE = "another failure"
    DELIVERY_FAILED = "failed after it was accepted"
    UNKNOWN_OUTCOME = "unknown outcome"
    REFUSED = "refused by a rule"
    DEFERRED = "deferred"
    NO_WEBHOOK = "no webhook"
    RETRY_GAP = "retry gap"
    NOT_BEGUN = "no attempt yet"


@dataclass(frozen=True, slots=True)
class Remedy:
    """Where to read on, and what to run.

    Attributes:
        section: A heading of runbook 000, as it stands there.
        steps: In order. `{code}`, `{message}` and `{recipient}` (percent-encoded) are filled in;
            a step whose value is not known is left out.

    """

    section: str
    steps: tuple[str, ...]


_DIAGNOSTICS = "/api/v2/diagnostics/whatsapp"
_MEANING = "outbound-slo errors {code}"
_OTHERS = "outbound-slo trace errors --code {code} --lookback 6h"
_PATTERNS = f"GET {_DIAGNOSTICS}/error-patterns?hours=1"
_QUEUE = f"GET {_DIAGNOSTICS}/retry-queue?limit=100"
_DRY_RUN = f"POST {_DIAGNOSTICS}/dry-run-send"
_HEALTH = "GET /actuator/health"
_PATIENCE = (
    "Wait for a webhook; the sender itself takes the message up again after its recovery window. "
    "To send it by hand before that may send it twice"
)
_TREE = "Diagnostics Endpoints Decision Tree"
_MATRIX = "Error Code Retryability Matrix"

REMEDIES: Mapping[Pattern, Remedy] = MappingProxyType(
    {
        Pattern.SESSION_EXPIRED: Remedy(
            "1. Session Window Expiry Failure",
            (
                f"GET {_DIAGNOSTICS}/sessions?phoneNumber={{recipient}}",
                _DRY_RUN,
                "outbound-slo trace sessions --lookback 6h",
                "Send an approved template, or wait until the recipient writes",
            ),
        ),
        Pattern.RATE_LIMITED: Remedy(
            "2. Rate Limit Exceeded",
            (_PATTERNS, _MEANING, _QUEUE, "SELECT * FROM whatsapp_rate_limit"),
        ),
        Pattern.PROVIDER_ERROR: Remedy(
            "3. Provider API Error (Meta Platform Issue)",
            (_PATTERNS, _OTHERS, _MEANING, "outbound-slo trace latency --lookback 1h"),
        ),
        Pattern.BREAKER_OPEN: Remedy(
            "4. Circuit Breaker Opened",
            (
                "outbound-slo trace breaker --lookback 6h",
                "GET /actuator/metrics/resilience4j.circuitbreaker.state",
                _PATTERNS,
            ),
        ),
        Pattern.TEMPLATE_NOT_FOUND: Remedy(
            "5. Template Not Found",
            (
                _MEANING,
                _OTHERS,
                "Compare the template's name (case matters) and status with the provider's list",
            ),
        ),
        Pattern.OTHER_FAILURE: Remedy(_MATRIX, (_MEANING, _OTHERS, _PATTERNS)),
        Pattern.DELIVERY_FAILED: Remedy(
            _MATRIX, (_MEANING, "outbound-slo trace delivery {message}", _OTHERS)
        ),
        Pattern.UNKNOWN_OUTCOME: Remedy(
            "Recovering Stuck Messages",
            (
                "outbound-slo trace delivery {message}",
                _PATIENCE,
                _HEALTH,
            ),
        ),
        Pattern.REFUSED: Remedy(_TREE, (_MEANING, _DRY_RUN)),
        Pattern.DEFERRED: Remedy(_TREE, (_MEANING, _QUEUE, _DRY_RUN)),
        Pattern.NO_WEBHOOK: Remedy(
            "Webhook Signature Validation Failures",
            (
                "outbound-slo trace delivery {message}",
                "GET /actuator/prometheus: whatsapp_webhook_signature_failures_total",
                "GET /api/v1/dashboard/outbound/health",
            ),
        ),
        Pattern.RETRY_GAP: Remedy(
            "Retry Behavior Configuration", ("outbound-slo trace attempts {message}", _QUEUE)
        ),
        Pattern.NOT_BEGUN: Remedy("Outbound Queue Backup Scenarios", (_HEALTH, _QUEUE)),
    }
)


def fill_steps(pattern: Pattern, values: Mapping[str, str]) -> list[str]:
    """Give a pattern's steps with the message's own values in them."""
    steps = []
    for step in REMEDIES[pattern].steps:
        wanted = [name for name in ("code", "message", "recipient") if f"{{{name}}}" in step]
        if all(values.get(name) for name in wanted):
            steps.append(step.format_map(values) if wanted else step)
    return steps
