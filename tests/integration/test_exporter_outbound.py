"""The pack `outbound` on a real database: its numbers, and the runbooks' names for them."""

import pytest

from exporter.loader import load_pack
from exporter.service import Service
from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.metrics import METRICS, Origin
from sender.inbox import MAX_TRIES
from tests.exporter_parts import (
    Connection,
    add,
    open_service,
    parse_openmetrics,
    pick,
    refresh_and_read,
    send,
    total,
)

PACK = load_pack("outbound", ErrorPolicy.RUNBOOK)


def test_an_empty_outbox_has_every_series_and_nothing_in_them(service: Service) -> None:
    numbers = refresh_and_read(service)
    absent = {"whatsapp_quota_used", "whatsapp_quota_limit", "whatsapp_quota_remaining"}
    absent |= {
        "whatsapp_throttle_remaining_seconds",
        "whatsapp_session_window_expiration_seconds",
        "outbound_rollup_verified_timestamp_seconds",
        "outbound_webhook_last_accepted_timestamp_seconds",
        "outbound_webhook_last_rejected_timestamp_seconds",
        "outbound_provider_notices_recent",
        "whatsapp_templates",
        "outbound_organisation_messages_finished_total",
        "outbound_sender_last_seen_timestamp_seconds",
    }
    # With an interval of their own, and so not on the first page; they depend on the server.
    slow = {query.name for query in PACK.queries if query.schedule}
    late = {each.name for query in slow for each in PACK.fed_by(query)}

    names = {name.removesuffix("_bucket") for name, _ in numbers}
    for metric in METRICS.values():
        if metric.origin is Origin.EXPORTER and metric.name not in late:
            assert (metric.name in names) is (metric.name not in absent), metric.name
    own = ("outbound_exporter_", "outbound_rollup_")
    business = {k: v for k, v in numbers.items() if not k[0].startswith((*own, *late))}
    assert set(business.values()) == {0.0}


def test_every_query_of_the_pack_works_on_the_migrated_schema(service: Service) -> None:
    numbers = refresh_and_read(service)

    success = pick(numbers, "outbound_exporter_query_success")
    assert len(success) == len(PACK.queries)
    assert set(success.values()) == {1.0}
    assert total(numbers, "outbound_exporter_query_errors_total") == 0


def test_queue_depth_is_by_channel_and_status(service: Service, outbox: Connection) -> None:
    add(outbox, 3)
    add(outbox, 2, channel="SMS", status="SENT")
    numbers = refresh_and_read(service)

    for name in ("outbound_message_queue_depth", "outbound_message_queue_depth_by_channel"):
        assert total(numbers, name, channel="whatsapp", status="queued") == 3
        assert total(numbers, name, channel="sms", status="sent") == 2
        assert total(numbers, name) == 5


def test_dead_letters_have_their_code_and_the_runbooks_category(
    service: Service, outbox: Connection
) -> None:
    add(outbox, 2, status="FAILED", attempts=5, code="132016")
    add(outbox, 1, status="FAILED", attempts=7, channel="SMS")
    add(outbox, 4, status="FAILED", attempts=4, code="131016")
    numbers = refresh_and_read(service)

    dead = pick(numbers, "outbound_dead_letters", error_code="132016")
    assert list(dead.values()) == [2]
    assert ("category", "Session Window") in next(iter(dead))
    unknown = pick(numbers, "outbound_dead_letters", channel="sms", error_code="unknown")
    assert list(unknown.values()) == [1]
    assert not pick(numbers, "outbound_dead_letters", error_code="131016")
    assert total(numbers, "outbound_message_dead_letter_queue_size") == 3
    assert total(numbers, "outbound_message_dlq_size") == 3
    assert total(numbers, "outbound_message_dlq_messages", channel="whatsapp") == 2


STUCK_CASES = [
    ({"status": "SENDING", "updated": "5 minutes 1 second"}, {"sending_too_long"}),
    ({"status": "SENDING", "updated": "4 minutes 30 seconds"}, set()),
    ({"created": "5 minutes 1 second", "updated": "1 minute"}, {"overdue"}),
    ({"created": "4 minutes 30 seconds", "updated": "1 minute"}, set()),
    ({"created": "3 hours", "updated": "1 minute"}, {"overdue", "queued_too_long"}),
    (
        {"created": "3 hours", "updated": "3 hours", "attempts": 3},
        {"overdue", "queued_too_long", "no_progress"},
    ),
    ({"created": "1 minute", "updated": "3 hours", "attempts": 3}, {"no_progress"}),
    ({"created": "1 minute", "updated": "3 hours", "attempts": 2}, set()),
    ({"created": "3 hours", "updated": "3 hours", "attempts": 4, "retry_in": "10 min"}, set()),
    ({"created": "3 hours", "updated": "3 hours", "scheduled_in": "10 minutes"}, set()),
    ({"created": "3 days", "updated": "1 min", "scheduled_in": "-1 minute"}, set()),
    ({"created": "3 hours", "status": "SENT"}, set()),
]


@pytest.mark.parametrize(("columns", "reasons"), STUCK_CASES)
def test_a_message_is_stuck_for_exactly_the_reasons_that_hold(
    service: Service, outbox: Connection, columns: dict[str, object], reasons: set[str]
) -> None:
    add(outbox, **columns)
    numbers = refresh_and_read(service)

    found = {
        dict(labels)["reason"]
        for labels, count in pick(numbers, "outbound_messages_stuck").items()
        if count
    }
    assert found == reasons
    # The runbooks' name counts the message once, however many rules it meets.
    assert total(numbers, "outbound_message_stuck_total") == (1 if reasons else 0)
    assert total(numbers, "whatsapp_message_stuck_alert") == int("sending_too_long" in reasons)


@pytest.mark.parametrize(
    "limit",
    [
        "throttle_until = now() + interval '1 hour'",
        "throttle_until = now() - interval '1 minute'",
        "messages_sent_count = 5, quota_limit = 5",
        "freed_at = now() - interval '1 minute'",
    ],
)
def test_what_a_throttle_or_a_quota_holds_or_held_until_now_is_not_stuck(
    service: Service, outbox: Connection, limit: str
) -> None:
    add(outbox, created="3 hours", updated="1 minute")
    outbox.execute("INSERT INTO whatsapp_rate_limit (org_id) SELECT org_id FROM outbound_message")
    assert total(refresh_and_read(service), "outbound_messages_stuck") == 2
    outbox.execute(f"UPDATE whatsapp_rate_limit SET {limit}".encode())
    assert total(refresh_and_read(service), "outbound_messages_stuck") == 0


@pytest.mark.parametrize(
    ("switch", "paused"), [("SMS", {"sms"}), ("ALL", {"whatsapp", "sms", "email"})]
)
def test_a_paused_channel_is_shown_and_what_waits_there_is_not_stuck(
    service: Service, outbox: Connection, switch: str, paused: set[str]
) -> None:
    add(outbox, channel="SMS", created="3 hours", updated="1 minute")
    turn = "UPDATE outbound_switch SET paused = %s, until = now() + %s::interval WHERE channel = %s"
    outbox.execute(turn, (True, None, switch))
    numbers = refresh_and_read(service)
    shown = pick(numbers, "outbound_channel_paused")
    assert {dict(labels)["channel"] for labels, value in shown.items() if value} == paused
    assert len(shown) == 3
    assert total(numbers, "outbound_messages_stuck") == 0
    outbox.execute(turn, (True, "-1 second", switch))
    assert total(refresh_and_read(service), "outbound_channel_paused") == 0


def test_blocked_messages_are_counted_with_the_age_of_the_oldest(
    service: Service, outbox: Connection
) -> None:
    add(outbox, 3, created="100 seconds")
    assert total(refresh_and_read(service), "outbound_messages_blocked") == 0
    outbox.execute("UPDATE outbound_message SET turn = 'PARKED'")
    numbers = refresh_and_read(service)
    assert total(numbers, "outbound_messages_blocked", channel="whatsapp") == 3
    assert total(numbers, "outbound_oldest_blocked_age_seconds", channel="whatsapp") >= 100
    assert total(numbers, "outbound_oldest_blocked_age_seconds", channel="sms") == 0


def test_the_runbooks_stuck_alert_is_whatsapps(service: Service, outbox: Connection) -> None:
    add(outbox, 2, status="SENDING", updated="1 hour", channel="SMS")
    numbers = refresh_and_read(service)

    assert total(numbers, "whatsapp_message_stuck_alert") == 0
    assert total(numbers, "outbound_message_stuck_total", status="sending") == 2


def test_retries_are_the_queued_that_were_tried(service: Service, outbox: Connection) -> None:
    add(outbox, 2, attempts=1, retry_in="10 minutes")
    add(outbox, 5)
    add(outbox, 1, attempts=2, status="SENT")

    assert total(refresh_and_read(service), "outbound_message_retry_count", channel="whatsapp") == 2


def test_ages_are_of_the_oldest_and_never_below_zero(service: Service, outbox: Connection) -> None:
    add(outbox, created="100 seconds")
    add(outbox, created="-1 hour", channel="SMS")
    add(outbox, status="SENDING", updated="-1 hour", channel="EMAIL")
    numbers = refresh_and_read(service)
    name = "outbound_oldest_message_age_seconds"

    assert total(numbers, name, channel="whatsapp", state="queued") >= 100
    assert total(numbers, name, channel="whatsapp", state="due") >= 100
    assert total(numbers, name, channel="whatsapp", state="sending") == 0
    assert total(numbers, name, channel="sms") == 0
    assert total(numbers, name, channel="email") == 0


def test_a_deferred_message_is_queued_but_not_due(service: Service, outbox: Connection) -> None:
    add(outbox, created="100 seconds", scheduled_in="1 hour")
    numbers = refresh_and_read(service)

    assert total(numbers, "outbound_oldest_message_age_seconds", state="queued") >= 100
    assert total(numbers, "outbound_oldest_message_age_seconds", state="due") == 0


@pytest.mark.parametrize(
    "held",
    [
        """INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, reset_at)
           VALUES ('org', 1000, 1000, now() + interval '6 hours')""",
        """INSERT INTO whatsapp_rate_limit (org_id, quota_limit, reset_at, throttle_until)
           VALUES ('org', 1000, now() + interval '6 hours', now() + interval '1 hour')""",
        """INSERT INTO whatsapp_provider_config (org_id, phone_number_id, enabled)
           VALUES ('org', '1', false)""",
        "UPDATE outbound_switch SET paused = true WHERE channel = 'WHATSAPP'",
        "UPDATE outbound_message SET turn = 'PARKED'",
    ],
    ids=["no quota left", "throttled", "switched off", "paused", "behind another one"],
)
def test_a_message_that_is_held_back_is_queued_but_not_due(
    service: Service, outbox: Connection, held: str
) -> None:
    add(outbox, created="100 seconds")
    outbox.execute(held)
    numbers = refresh_and_read(service)

    assert total(numbers, "outbound_oldest_message_age_seconds", state="queued") >= 100
    assert total(numbers, "outbound_oldest_message_age_seconds", state="due") == 0


def test_webhooks_that_nobody_applied_are_told_from_those_given_up(
    service: Service, outbox: Connection
) -> None:
    outbox.execute(
        "INSERT INTO provider_webhook (provider, body, tries, received_at, processed_at)"
        " SELECT 'whatsapp', '{}', tries, now() - age, done FROM (VALUES"
        " (0, interval '90 seconds', NULL::timestamptz), (%(last)s, interval '10 seconds', NULL),"
        " (%(most)s, interval '1 hour', NULL), (0, interval '2 hours', now()))"
        " AS webhook (tries, age, done)",
        {"last": MAX_TRIES - 1, "most": MAX_TRIES},
    )
    numbers = refresh_and_read(service)

    name, age = "outbound_webhooks_open", "outbound_oldest_webhook_age_seconds"
    assert total(numbers, name, provider="whatsapp", state="waiting") == 2
    assert total(numbers, name, provider="whatsapp", state="given_up") == 1
    assert total(numbers, name, provider="twilio") == 0
    assert 90 <= total(numbers, age, provider="whatsapp", state="waiting") < 3600
    assert total(numbers, age, provider="whatsapp", state="given_up") >= 3600


def test_what_providers_told_lately_is_on_the_page(service: Service, outbox: Connection) -> None:
    outbox.execute(
        "INSERT INTO provider_notice (provider, kind, severity, account, told_at, fingerprint)"
        " SELECT 'whatsapp', 'account_update', 'critical', 'a', now() - age, age::text"
        " FROM unnest(ARRAY[interval '1 hour', interval '23 hours', interval '25 hours']) AS age"
    )
    outbox.execute(
        "INSERT INTO whatsapp_template (business_account_id, name, language, status, quality)"
        " VALUES ('a', 'one', 'en', 'APPROVED', 'GREEN'), ('a', 'two', 'en', 'PAUSED', NULL)"
    )
    outbox.execute(
        "INSERT INTO provider_webhook_health (provider, last_accepted_at, last_rejected_at)"
        " VALUES ('whatsapp', to_timestamp(1000), to_timestamp(2000)),"
        " ('twilio', to_timestamp(3000), NULL)"
    )
    numbers = refresh_and_read(service)

    assert total(numbers, "outbound_provider_notices_recent", severity="critical") == 2
    assert total(numbers, "whatsapp_templates", status="approved", quality="green") == 1
    assert total(numbers, "whatsapp_templates", status="paused", quality="unknown") == 1
    accepted = "outbound_webhook_last_accepted_timestamp_seconds"
    rejected = "outbound_webhook_last_rejected_timestamp_seconds"
    assert total(numbers, accepted, provider="twilio") == 3000
    assert total(numbers, rejected, provider="whatsapp") == 2000
    assert not pick(numbers, rejected, provider="twilio")


def test_the_duration_of_attempts_leaves_out_those_that_asked_no_provider(
    service: Service, outbox: Connection
) -> None:
    send(outbox, 2)
    send(outbox, 3, "REFUSED", "opted_out")
    numbers = refresh_and_read(service)

    name = "outbound_attempt_duration_seconds"
    assert total(numbers, f"{name}_count", channel="whatsapp") == 2
    assert total(numbers, f"{name}_bucket", channel="whatsapp", le="0.025") == 2


@pytest.mark.parametrize(
    ("kept", "flag", "shown"),
    [(True, "00", True), (False, "00", False), (None, "01", True), (None, "00", False)],
)
def test_the_latest_kept_trace_of_a_failure_is_an_exemplar(
    service: Service, outbox: Connection, kept: bool | None, flag: str, shown: bool
) -> None:
    send(outbox, 1, "FAILED", "131026")
    outbox.execute(
        "UPDATE outbound_attempt SET finished_at = now(), started_at = now() - interval '1 second',"
        " traceparent = '00-' || repeat('ab', 16) || '-' || repeat('c', 16) || '-' || %s,"
        " trace_kept = %s",
        (flag, kept),
    )
    service.refresh()
    families = parse_openmetrics(service.publication.page().openmetrics.plain.decode())
    found = {
        (sample.name, sample.labels.get("error_code")): sample.exemplar.labels["trace_id"]
        for family in families
        for sample in family.samples
        if sample.exemplar
    }

    assert (found.get(("outbound_attempts_total", "131026")) == "ab" * 16) is shown
    assert bool(found) is shown


def test_the_rollups_epoch_stays_while_the_database_does_and_changes_with_the_rollup(
    service: Service, outbox: Connection
) -> None:
    epoch = total(refresh_and_read(service), "outbound_rollup_epoch")
    assert total(refresh_and_read(service), "outbound_rollup_epoch") == epoch
    outbox.execute("UPDATE outbound_rollup SET installed_at = now() + interval '1 second'")
    assert total(refresh_and_read(service), "outbound_rollup_epoch") != epoch


def test_events_reach_the_page_under_all_their_names(service: Service, outbox: Connection) -> None:
    send(outbox, 7)
    send(outbox, 2, "FAILED", "131026")
    send(outbox, 1, "FAILED", "130429")
    send(outbox, 4, "REFUSED", "opted_out")
    numbers = refresh_and_read(service)

    sent = {"channel": "whatsapp", "outcome": "sent"}
    assert total(numbers, "outbound_attempts_total", **sent) == 7
    assert total(numbers, "outbound_messages_finished_total", **sent) == 7
    assert total(numbers, "outbound_message_send_success_total", channel="whatsapp") == 7
    assert total(numbers, "outbound_message_sent_total", channel="whatsapp") == 7
    # Refusals of our own are in no denominator (D3).
    assert total(numbers, "outbound_message_total", channel="whatsapp") == 10
    assert total(numbers, "outbound_attempts_total", outcome="refused") == 4
    for name in ("outbound_message_failures_total", "outbound_message_send_failure_total"):
        assert total(numbers, name, channel="whatsapp", error_code="131026") == 2
        assert total(numbers, name) == 3
    assert total(numbers, "whatsapp_rate_limit_hits_total") == 1
    assert total(numbers, "outbound_send_latency_seconds_count", channel="whatsapp") == 7


def test_delivery_latency_has_the_runbooks_names_too(service: Service, outbox: Connection) -> None:
    send(outbox, 2)
    outbox.execute(
        "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = sent_at + interval '25s'"
    )
    numbers = refresh_and_read(service)

    for name in (
        "outbound_delivery_latency_seconds",
        "outbound_message_delivery_duration_seconds",
        "outbound_message_delivery_latency_seconds",
    ):
        assert total(numbers, f"{name}_bucket", channel="whatsapp", le="20.0") == 0
        assert total(numbers, f"{name}_bucket", channel="whatsapp", le="30.0") == 2
        assert total(numbers, f"{name}_sum", channel="whatsapp") == 50


def test_without_compat_only_house_names_are_served(pack_database: str) -> None:
    with open_service(pack_database, compat=False) as service:
        names = {name for name, _ in refresh_and_read(service)}

    aliases = {metric.name for metric in METRICS.values() if metric.alias_of}
    assert not aliases & {name.removesuffix("_bucket") for name in names}
    assert "outbound_dead_letters" in names
