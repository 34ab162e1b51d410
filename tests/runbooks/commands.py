"""The runbooks' changing statements and the commands that stand in their place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement and its command.

    Attributes:
        place: The statement, as `runbook:line`.
        arguments: The command, after `outbound-slo ops`.
        question: What must be the same after either.
        stdin: What the command reads.

    """

    place: str
    arguments: tuple[str, ...]
    question: str
    stdin: str = ""


_QUOTAS = "SELECT org_id, messages_sent_count, quota_limit, reset_at, throttle_until"

PAIRS: tuple[Pair, ...] = (
    Pair(
        "001:600",
        ("quota", "raise", "ORG-ID-HERE", "5000"),
        f"{_QUOTAS}, updated_by LIKE 'ops-%' FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    Pair(
        "001:722",
        # The world's present secret is none that anybody encrypted.
        ("secret", "rotate", "ORG-ID-HERE", "--secret-file", "-", "--force"),
        "SELECT org_id, phone_number_id, enabled, previous_webhook_secret_encrypted,"
        " outbound_decrypt(webhook_secret_encrypted, 'ENCRYPTION-KEY'),"
        " previous_webhook_secret_until - updated_at, updated_by LIKE 'ops-%'"
        " FROM whatsapp_provider_config ORDER BY org_id",
        stdin="NEW-SECRET-HERE\n",
    ),
    Pair(
        "001:1706",
        ("quota", "reset", "ORG-ID-HERE"),
        "SELECT org_id, messages_sent_count, quota_limit, throttle_until,"
        " CASE WHEN updated_by LIKE 'ops-%' THEN reset_at - updated_at END"
        " FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    Pair(
        "002:326",
        ("quota", "lower", "ORG_ID", "--factor", "0.5"),
        f"{_QUOTAS} FROM whatsapp_rate_limit ORDER BY org_id",
    ),
    Pair(
        "002:334",
        ("quota", "defer", "--hours", "4"),
        "SELECT id, status, attempt_count, priority, due_at = due_since,"
        " due_at BETWEEN now() + interval '3 hours 59 minutes' AND now() + interval '4 hours'"
        " FROM outbound_message ORDER BY id",
    ),
)
"""In the order of the runbooks."""
