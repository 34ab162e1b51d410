"""Outboxes on both sides of each recovery criterion's line."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.ops_parts import Operator


@dataclass(frozen=True)
class Case:
    """What is laid into an empty outbox, and how a criterion then stands."""

    key: str
    verdict: str
    measured: float | None
    lay: Callable[[Operator], object]
    within: float = 0.001


def _sent(operator: Operator, count: int, attempts: int = 1, age: str = "5 minutes") -> None:
    operator.add(count, status="SENT", outcome="SENT", attempts=attempts, age=age, code=None)


def _mix(good: int, bad: int, *, attempts: int = 1, code: str = "131016") -> Callable[..., None]:
    def lay(operator: Operator) -> None:
        _sent(operator, good, attempts)
        operator.add(bad, attempts=attempts, age="5 minutes", code=code)

    return lay


def _rows(status: str, count: int, age: str, attempts: int = 5) -> Callable[..., None]:
    def lay(operator: Operator) -> None:
        operator.add(count, status=status, age=age, attempts=attempts)

    return lay


def _waiting(stayed: int, left: int, came: int) -> Callable[..., None]:
    """Lay messages of which some were there ten minutes ago."""

    def lay(operator: Operator) -> None:
        old = operator.add(stayed, status="QUEUED", attempts=0, age="20 minutes")
        old += operator.add(left, status="SENT", outcome="SENT", attempts=1, age="2 minutes")
        operator.execute(
            "UPDATE outbound_message SET due_since = now() - interval '20 minutes'"
            " WHERE id = ANY (%s)",
            old,
        )
        operator.add(came, status="QUEUED", attempts=0, age="1 minute")
        # Came and left since; and one that is planned for later.
        _sent(operator, 3, age="1 minute")
        [planned] = operator.add(1, status="QUEUED", attempts=0, age="30 minutes")
        operator.execute(
            "UPDATE outbound_message SET scheduled_at = now() + interval '1 hour' WHERE id = %s",
            planned,
        )

    return lay


def _deferred(operator: Operator) -> None:
    _sent(operator, 1)
    operator.add(1, status="QUEUED", outcome="DEFERRED", code="quota_exhausted", age="5 minutes")


def _run(*statements: str) -> Callable[..., None]:
    def lay(operator: Operator) -> None:
        for statement in statements:
            operator.execute(statement)

    return lay


def _quota(used: int, limit: int, reset: str = "1 hour", throttle: str = "NULL") -> str:
    return (
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, reset_at,"
        f" throttle_until) VALUES ('org-{used}', {used}, {limit}, now() + interval '{reset}',"
        f" {throttle})"
    )


def _webhooks(count: int, *, processed: bool = True, age: str = "1 minute") -> str:
    done = "now()" if processed else "NULL"
    return (
        "INSERT INTO provider_webhook (provider, body, received_at, processed_at)"
        f" SELECT 'whatsapp', '{{}}', now() - interval '{age}', {done}"
        f" FROM generate_series(1, {count})"
    )


def _health(accepted: str, rejected: str | None) -> str:
    last = f"now() - interval '{rejected}'" if rejected else "NULL"
    return (
        "INSERT INTO provider_webhook_health (provider, last_accepted_at, last_rejected_at)"
        f" VALUES ('whatsapp', now() - interval '{accepted}', {last})"
    )


def _inbound(age: str) -> str:
    return (
        "INSERT INTO message (org_id, channel, from_address, created_at)"
        f" VALUES ('org', 'WHATSAPP', '+33611', now() - interval '{age}')"
    )


def _window(age: str) -> str:
    return (
        "INSERT INTO whatsapp_session_window (org_id, phone_number, last_inbound_at,"
        f" window_expires_at) VALUES ('org', '+33611', now() - interval '{age}',"
        f" now() + interval '24 hours' - interval '{age}')"
    )


def _timed(wait: float, delivery: float, slow: int) -> Callable[..., None]:
    """Lay a hundred deliveries, `slow` of which took as long as said and the rest a second."""

    def lay(operator: Operator) -> None:
        numbers = operator.add(
            100, status="DELIVERED", outcome="SENT", attempts=1, age="5 minutes", code=None
        )
        operator.execute(
            "UPDATE outbound_message SET sent_at = due_since + interval '1 second',"
            " delivered_at = due_since + interval '2 seconds'"
        )
        operator.execute(
            "UPDATE outbound_message SET sent_at = due_since + %s * interval '1 second',"
            " delivered_at = due_since + %s * interval '1 second' WHERE id = ANY (%s)",
            wait,
            wait + delivery,
            numbers[:slow],
        )

    return lay


def _sender(state: str, seen: str = "5 seconds") -> str:
    return (
        "INSERT INTO outbound_sender (worker, version, started_at, seen_at, claiming, in_flight,"
        f" breakers) VALUES ('{state}-{seen}', '1', now(), now() - interval '{seen}', true, 0,"
        f' \'{{"WHATSAPP": "{state}", "SMS": "closed"}}\')'
    )


CASES: tuple[Case, ...] = (
    Case("retried", "met", 90, _mix(9, 1, attempts=2)),
    Case("retried", "not_met", 80, _mix(8, 2, attempts=2)),
    Case("retried", "no_data", None, _mix(8, 2, attempts=1)),
    Case("failures", "met", 5, _mix(19, 1)),
    Case("failures", "not_met", 10, _mix(9, 1)),
    Case("success", "met", 95, _mix(95, 5)),
    Case("success", "not_met", 94, _mix(94, 6)),
    Case("accepted", "met", 1, _mix(1, 5)),
    Case("accepted", "not_met", 0, _mix(0, 5)),
    Case("accepted", "no_data", None, _rows("SENT", 1, "16 minutes")),
    Case("temporary_errors", "met", 0, _mix(1, 1, code="131047")),
    Case("temporary_errors", "not_met", 1, _mix(1, 1, code="131016")),
    Case("rate_limit_errors", "met", 0, _deferred),
    Case("rate_limit_errors", "not_met", 2, _mix(1, 2, code="80007")),
    Case("trend", "met", -2, _waiting(stayed=5, left=4, came=2)),
    Case("trend", "met", 0, _waiting(stayed=5, left=0, came=0)),
    Case("trend", "not_met", 1, _waiting(stayed=5, left=1, came=2)),
    Case("stuck", "met", 0, _rows("SENDING", 1, "4 minutes")),
    Case("stuck", "not_met", 1, _rows("SENDING", 1, "6 minutes")),
    Case("depth", "met", 499, _rows("QUEUED", 499, "1 minute", 0)),
    Case("depth", "not_met", 500, _rows("QUEUED", 500, "1 minute", 0)),
    Case("dead_letters", "met", 99, _rows("FAILED", 99, "1 hour")),
    Case("dead_letters", "not_met", 100, _rows("FAILED", 100, "1 hour")),
    Case("new_dead_letters", "met", 0, _rows("FAILED", 1, "31 minutes")),
    Case("new_dead_letters", "not_met", 1, _rows("FAILED", 1, "29 minutes")),
    Case("usage", "met", 79, _run(_quota(79, 100), _quota(999, 1000, reset="-1 minute"))),
    Case("usage", "not_met", 80, _run(_quota(10, 100), _quota(800, 1000))),
    Case("usage", "not_met", 100, _run(_quota(0, 0))),
    Case("throttle", "met", 0, _run(_quota(1, 2, throttle="now() - interval '1 s'"))),
    Case("throttle", "not_met", 1, _run(_quota(1, 2, throttle="now() + interval '1 min'"))),
    Case("signatures", "met", 100, _run(_webhooks(10), _health("1 minute", "31 minutes"))),
    Case("signatures", "not_met", 90, _run(_webhooks(9), _health("1 minute", "29 minutes"))),
    Case("signatures", "no_data", None, _run(_webhooks(1000), _health("1 minute", "9 minutes"))),
    Case("inbound", "met", 1, _run(_inbound("29 minutes"))),
    Case("inbound", "no_data", None, _run(_inbound("31 minutes"))),
    Case("unprocessed", "met", 50, _run(_webhooks(1, processed=False, age="50 s")), 5),
    Case("unprocessed", "not_met", 70, _run(_webhooks(1, processed=False, age="70 s")), 5),
    Case("refused", "met", 0, _run(_health("1 minute", "2 minutes"))),
    Case("refused", "not_met", 1, _run(_health("2 minutes", "1 minute"))),
    Case("windows", "met", 1, _run(_window("29 minutes"))),
    Case("windows", "not_met", 0, _run(_window("31 minutes"), _inbound("29 minutes"))),
    Case("windows", "no_data", None, _run(_window("31 minutes"))),
    Case("quiet", "met", 1860, _run(_health("1 minute", "31 minutes")), 30),
    Case("quiet", "met", None, _run(_health("1 minute", None))),
    Case("quiet", "not_met", 1740, _run(_health("1 minute", "29 minutes")), 30),
    Case("send_p95", "met", 1, _timed(90, 1, slow=4)),
    Case("send_p95", "not_met", 90, _timed(90, 1, slow=6)),
    Case("delivery_p95", "met", 29, _timed(1, 29, slow=50)),
    Case("delivery_p95", "not_met", 30, _timed(1, 30, slow=50)),
    Case("delivery_p99", "met", 59, _timed(1, 59, slow=50)),
    Case("delivery_p99", "not_met", 60, _timed(1, 60, slow=50)),
    Case("breaker", "met", 0, _run(_sender("closed"), _sender("open", "2 minutes"))),
    Case("breaker", "not_met", 1, _run(_sender("half_open"), _sender("closed"))),
    Case("breaker", "no_data", None, _run(_sender("closed", "2 minutes"))),
)
