"""Contacts' preferences in the database: what runbook 003's statements do to the queue."""

from collections.abc import Iterator, Mapping

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

NUMBER = "+250788123456"
OTHER = "+250788999001"


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[DictRow]]:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as opened:
        yield opened


def _queue(
    connection: psycopg.Connection[DictRow], recipient: str = NUMBER, **values: object
) -> int:
    columns = {"org_id": "org", "channel": "WHATSAPP", "to_recipient": recipient, **values}
    names, places = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    return int(
        _ask(
            connection,
            f"INSERT INTO outbound_message ({names}) VALUES ({places}) RETURNING id AS answer",
            columns,
        )
    )


def _ask(
    connection: psycopg.Connection[DictRow], query: str, values: Mapping[str, object] | None = None
) -> str:
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return str(next(iter(row.values())))


def _message(connection: psycopg.Connection[DictRow], number: int) -> DictRow:
    query = "SELECT *, due_at <= now() AS due FROM outbound_message WHERE id = %s"
    row = connection.execute(query, (number,)).fetchone()
    assert row is not None
    return row


def _mark(connection: psycopg.Connection[DictRow], written: str = NUMBER) -> int:
    return int(_ask(connection, f"SELECT mark_opted_out('{written}', 'user_request')"))


def _defer(connection: psycopg.Connection[DictRow], code: str = "quiet_hours") -> int:
    """Queue a message as the sender leaves it when it puts one off."""
    connection.execute("SELECT init_contact_preferences(%s)", (NUMBER,))
    number = _queue(connection, error_code=code)
    connection.execute("UPDATE outbound_message SET scheduled_at = now() + interval '8 hours'")
    assert not _message(connection, number)["due"]
    return number


def test_a_contact_begins_with_the_runbooks_quiet_hours(
    connection: psycopg.Connection[DictRow],
) -> None:
    connection.execute("SELECT init_contact_preferences('+250788123456', NULL, 'en')")
    row = connection.execute(
        "SELECT wa_id, quiet_hours_start::text, quiet_hours_end::text, timezone, language,"
        " opted_out FROM contact_preferences WHERE wa_id = '+250788123456'"
    ).fetchone()
    assert row == {
        "wa_id": NUMBER,
        "quiet_hours_start": "22:00:00",
        "quiet_hours_end": "07:00:00",
        "timezone": None,
        "language": "en",
        "opted_out": False,
    }


def test_beginning_again_keeps_what_a_contact_has_chosen(
    connection: psycopg.Connection[DictRow],
) -> None:
    _mark(connection)
    connection.execute("UPDATE contact_preferences SET quiet_hours_start = '20:00'")
    connection.execute("SELECT init_contact_preferences(%s, 'profile-7', NULL)", (NUMBER,))
    row = connection.execute(
        "SELECT opted_out, quiet_hours_start::text AS start, profile_id, language"
        " FROM contact_preferences"
    ).fetchall()
    assert row == [
        {"opted_out": True, "start": "20:00:00", "profile_id": "profile-7", "language": "en"}
    ]


def test_the_runbooks_bulk_insert_gives_quiet_hours_to_all_who_have_none(
    connection: psycopg.Connection[DictRow],
) -> None:
    _queue(connection)
    _queue(connection, OTHER)
    connection.execute(
        "INSERT INTO contact_preferences (wa_id, quiet_hours_start) VALUES (%s, '20:00')", (OTHER,)
    )
    # 003 reads its platform's own queue; here a view of ours stands for it.
    connection.execute(
        "CREATE TEMP VIEW notifications AS SELECT to_recipient AS to_wa_id FROM outbound_message"
    )
    connection.execute(
        "INSERT INTO contact_preferences (wa_id, quiet_hours_start, quiet_hours_end)"
        " SELECT DISTINCT to_wa_id, '22:00'::time, '07:00'::time FROM notifications"
        " WHERE to_wa_id NOT IN (SELECT wa_id FROM contact_preferences)"
        " ON CONFLICT (wa_id) DO NOTHING"
    )
    rows = connection.execute(
        "SELECT wa_id, quiet_hours_start::text AS start FROM contact_preferences ORDER BY wa_id"
    ).fetchall()
    assert rows == [
        {"wa_id": NUMBER, "start": "22:00:00"},
        {"wa_id": OTHER, "start": "20:00:00"},
    ]


def test_opting_out_ends_what_is_queued_on_every_channel_and_nothing_else(
    connection: psycopg.Connection[DictRow],
) -> None:
    queued = [
        _queue(connection),
        _queue(connection, channel="SMS"),
        _queue(connection, turn="PARKED", max_attempts=3),
    ]
    in_flight = _queue(connection, status="SENDING", attempt_count=1)
    sent = _queue(connection, status="SENT")
    others = _queue(connection, OTHER)
    assert _mark(connection) == 3
    for number in queued:
        message = _message(connection, number)
        assert (message["status"], message["error_code"]) == ("FAILED", "opted_out")
        assert message["error_message"] == "Contact opted out"
        assert message["attempt_count"] == message["max_attempts"]
    assert _message(connection, in_flight)["status"] == "SENDING"
    assert _message(connection, in_flight)["attempt_count"] == 1
    assert _message(connection, sent)["status"] == "SENT"
    assert _message(connection, others)["status"] == "QUEUED"


def test_an_opt_out_is_counted_as_the_senders_own_refusal(
    connection: psycopg.Connection[DictRow],
) -> None:
    number = _queue(connection)
    # An earlier attempt that failed: the refusal is one of its own, after it.
    connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome)"
        " VALUES (%s, 1, 'FAILED')",
        (number,),
    )
    _mark(connection)
    attempts = connection.execute(
        "SELECT attempt_no, outcome, error_code FROM outbound_attempt ORDER BY attempt_no"
    ).fetchall()
    assert [tuple(attempt.values()) for attempt in attempts] == [
        (1, "FAILED", None),
        (2, "REFUSED", "opted_out"),
    ]
    events = connection.execute(
        "SELECT kind, outcome, error_code, events FROM outbound_event ORDER BY kind"
    ).fetchall()
    assert [tuple(event.values()) for event in events] == [
        ("attempt", "REFUSED", "opted_out", 1),
        ("finished", "REFUSED", "opted_out", 1),
    ]


def test_opting_out_twice_keeps_the_first_reason_and_ends_what_came_between(
    connection: psycopg.Connection[DictRow],
) -> None:
    _mark(connection)
    query = "SELECT opted_out, opt_out_at, opt_out_reason FROM contact_preferences"
    first = connection.execute(query).fetchall()
    assert first[0]["opt_out_reason"] == "user_request"
    late = _queue(connection)
    assert int(_ask(connection, f"SELECT mark_opted_out('{NUMBER}', 'stop keyword')")) == 1
    assert connection.execute(query).fetchall() == first
    assert _message(connection, late)["status"] == "FAILED"
    assert _mark(connection) == 0


@pytest.mark.parametrize(
    "written", ["250788123456", " +250 788 123 456 ", "00250788123456", "+250 (788) 123-456"]
)
def test_a_number_is_understood_however_it_is_written(
    connection: psycopg.Connection[DictRow], written: str
) -> None:
    _queue(connection)
    assert _mark(connection, written) == 1
    assert _ask(connection, "SELECT wa_id FROM contact_preferences") == NUMBER


def test_an_email_address_can_opt_out(connection: psycopg.Connection[DictRow]) -> None:
    _queue(connection, "ann@example.org", channel="EMAIL")
    assert _mark(connection, "ann@example.org") == 1


@pytest.mark.parametrize(
    ("written", "said"), [("", "No recipient is given"), ("0788123456", "has no country code")]
)
def test_an_address_that_would_opt_nobody_out_is_refused(
    connection: psycopg.Connection[DictRow], written: str, said: str
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match=said):
        _mark(connection, written)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("timezone = 'Africa/Kigaly'", 'time zone "Africa/Kigaly" not recognized'),
        ("quiet_hours_end = '24:00'", "contact_preferences_times_of_day"),
    ],
)
def test_preferences_that_no_sender_could_read_are_refused(
    connection: psycopg.Connection[DictRow], values: str, said: str
) -> None:
    connection.execute("SELECT init_contact_preferences(%s)", (NUMBER,))
    with pytest.raises(psycopg.Error, match=said):
        connection.execute(f"UPDATE contact_preferences SET {values}".encode())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE contact_preferences SET quiet_hours_end = NULL",
        "UPDATE contact_preferences SET timezone = 'Asia/Tokyo'",
        "DELETE FROM contact_preferences",
        "UPDATE outbound_message SET quiet_hours_override = true",
        "UPDATE outbound_message SET priority = 0",
    ],
)
def test_what_quiet_hours_hold_is_judged_again_when_the_reason_may_be_gone(
    connection: psycopg.Connection[DictRow], statement: str
) -> None:
    number = _defer(connection)
    connection.execute(statement.encode())
    assert _message(connection, number)["due"]


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("quiet_hours", "UPDATE contact_preferences SET language = 'fr', timezone = NULL"),
        ("quiet_hours", "UPDATE outbound_message SET priority = 2"),
        ("quota_exhausted", "UPDATE contact_preferences SET quiet_hours_end = NULL"),
        ("quota_exhausted", "UPDATE outbound_message SET quiet_hours_override = true"),
    ],
)
def test_nothing_else_ends_a_wait(
    connection: psycopg.Connection[DictRow], code: str, statement: str
) -> None:
    number = _defer(connection, code)
    connection.execute(statement.encode())
    assert not _message(connection, number)["due"]


def test_an_opt_out_finds_what_is_queued_by_index(
    connection: psycopg.Connection[DictRow],
) -> None:
    connection.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient)"
        " SELECT 'org', 'SMS', '+336' || n FROM generate_series(1, 20000) AS n"
    )
    connection.execute("ANALYZE outbound_message")
    plan = connection.execute(
        "EXPLAIN SELECT id FROM outbound_message WHERE to_recipient = '+33612' AND"
        " status = 'QUEUED' ORDER BY id FOR UPDATE"
    ).fetchall()
    text = "\n".join(str(line["QUERY PLAN"]) for line in plan)
    assert "idx_outbound_message_conversation" in text
    assert "Seq Scan" not in text
