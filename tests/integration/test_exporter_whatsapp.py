"""What the pack `outbound` tells of WhatsApp's quota, windows and recipients."""

from exporter.service import Service
from tests.exporter_parts import Connection, pick, refresh_and_read, total


def test_quota_is_the_configured_one_of_the_running_window(
    service: Service, outbox: Connection
) -> None:
    outbox.execute(
        "INSERT INTO whatsapp_rate_limit"
        " (org_id, messages_sent_count, quota_limit, reset_at, throttle_until) VALUES"
        " ('busy', 950, 1000, now() + interval '1 hour', now() + interval '1 minute'),"
        " ('over', 1200, 1000, now() + interval '1 hour', now() - interval '1 minute'),"
        " ('ended', 1000, 1000, now() - interval '1 hour', NULL)"
    )
    numbers = refresh_and_read(service)

    def of(name: str) -> dict[str, float]:
        return {dict(labels)["org_id"]: value for labels, value in pick(numbers, name).items()}

    assert of("whatsapp_quota_used") == {"busy": 950, "over": 1200, "ended": 0}
    assert of("whatsapp_quota_limit") == {"busy": 1000, "over": 1000, "ended": 1000}
    assert of("whatsapp_quota_remaining") == {"busy": 50, "over": 0, "ended": 1000}
    assert total(numbers, "whatsapp_throttled_organisations") == 1
    throttled = of("whatsapp_throttle_remaining_seconds")
    assert 50 < throttled.pop("busy") <= 60
    assert throttled == {"over": 0, "ended": 0}


def test_the_session_window_that_closes_next_is_the_one_that_counts(
    service: Service, outbox: Connection
) -> None:
    outbox.execute(
        "INSERT INTO whatsapp_session_window (org_id, phone_number, window_expires_at) VALUES"
        " ('org', '+1', now() + interval '2 hours'), ('org', '+2', now() + interval '1 hour'),"
        " ('org', '+3', now() - interval '1 hour')"
    )
    numbers = refresh_and_read(service)

    seconds = total(numbers, "whatsapp_session_window_expiration_seconds", channel="whatsapp")
    assert 3000 < seconds <= 3600
    assert total(numbers, "whatsapp_session_windows_active", channel="whatsapp") == 2


def _sent(outbox: Connection, recipient: str, age: str, **columns: str) -> None:
    values = {"org_id": "org", "channel": "WHATSAPP", "status": "DELIVERED"} | columns
    outbox.execute(
        "INSERT INTO outbound_message (org_id, to_recipient, channel, status, sent_at)"
        " VALUES (%(org_id)s, %(to)s, %(channel)s, %(status)s, now() - %(age)s::interval)",
        {"to": recipient, "age": age} | values,
    )


def _reply(outbox: Connection, sender: str, *ages: str) -> None:
    """Store replies, the last one last, and the window that it opened, as the inbox does."""
    for age in ages:
        values = {"sender": sender, "age": age}
        outbox.execute(
            "INSERT INTO message (org_id, channel, from_address, created_at)"
            " VALUES ('org', 'WHATSAPP', %(sender)s, now() - %(age)s::interval)",
            values,
        )
        outbox.execute(
            "INSERT INTO whatsapp_session_window"
            " (org_id, phone_number, last_inbound_at, window_expires_at)"
            " VALUES ('org', %(sender)s, now() - %(age)s::interval,"
            "         now() - %(age)s::interval + interval '24 hours')"
            " ON CONFLICT (org_id, phone_number) DO UPDATE"
            " SET last_inbound_at = EXCLUDED.last_inbound_at,"
            "     window_expires_at = EXCLUDED.window_expires_at",
            values,
        )


def _unique(service: Service) -> dict[str, float]:
    found = pick(refresh_and_read(service), "whatsapp_unique_recipients")
    return {dict(labels)["org_id"]: value for labels, value in found.items()}


def test_a_recipient_counts_once_per_organisation_within_a_day(
    service: Service, outbox: Connection
) -> None:
    outbox.execute("INSERT INTO whatsapp_rate_limit (org_id) VALUES ('quiet'), ('org')")
    for age in ("1 minute", "3 hours", "23 hours"):
        _sent(outbox, "+1", age)
    _sent(outbox, "+2", "2 hours", status="SENT")
    _sent(outbox, "+1", "2 hours", org_id="other")
    _sent(outbox, "+3", "25 hours")
    _sent(outbox, "+4", "1 hour", status="FAILED")
    _sent(outbox, "+5", "1 hour", channel="SMS")

    assert _unique(service) == {"org": 2, "other": 1, "quiet": 0}


def test_what_was_sent_within_a_window_does_not_count(service: Service, outbox: Connection) -> None:
    within, before, after = "+1", "+2", "+3"
    _sent(outbox, within, "1 hour")
    _reply(outbox, within, "2 hours")
    _sent(outbox, before, "2 hours")
    _reply(outbox, before, "1 hour")
    _sent(outbox, after, "1 hour")
    _reply(outbox, after, "26 hours")
    assert _unique(service) == {"org": 2}


def test_a_later_reply_does_not_hide_the_window_of_an_earlier_one(
    service: Service, outbox: Connection
) -> None:
    _sent(outbox, "+1", "10 hours")
    _reply(outbox, "+1", "11 hours", "1 hour")
    _sent(outbox, "+2", "10 hours")
    _reply(outbox, "+2", "35 hours", "1 hour")

    assert _unique(service) == {"org": 1}
