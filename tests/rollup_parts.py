"""Messages that live in a database with the rollup, and what it counted of them."""

import psycopg

Connection = psycopg.Connection
Counts = dict[tuple[str, ...], int]


def empty_rollup(connection: Connection) -> None:
    """Forget every message and all that was counted."""
    connection.execute(
        "TRUNCATE outbound_message, outbound_attempt, outbound_message_archive,"
        " outbound_event_total, outbound_event_delta, outbound_message_delta,"
        " outbound_state_total, outbound_cohort_total, outbound_watched_organisation"
    )


def read(connection: Connection, kind: str) -> Counts:
    """Give how many events of a kind were counted, by channel, outcome and code."""
    rows = connection.execute(
        "SELECT lower(channel), lower(outcome), error_code, sum(events) FROM outbound_event"
        " WHERE kind = %s GROUP BY 1, 2, 3",
        (kind,),
    ).fetchall()
    return {tuple(map(str, row[:-1])): int(row[-1]) for row in rows}


def read_latency(connection: Connection, kind: str) -> dict[float, tuple[int, float]]:
    """Give events and seconds per upper edge, of all channels."""
    rows = connection.execute(
        "SELECT edge, sum(events), sum(microseconds) / 1e6 FROM outbound_event"
        " WHERE kind = %s GROUP BY 1",
        (kind,),
    ).fetchall()
    return {edge: (int(events), float(seconds)) for edge, events, seconds in rows}


def add_messages(
    connection: Connection, count: int = 1, channel: str = "WHATSAPP", org: str = "org"
) -> list[int]:
    """Queue messages, each with one attempt in flight."""
    rows = connection.execute(
        "INSERT INTO outbound_message (org_id, channel, to_recipient)"
        " SELECT %s, %s, '+' || gen_random_uuid() FROM generate_series(1, %s) RETURNING id",
        (org, channel, count),
    ).fetchall()
    ids = [row[0] for row in rows]
    start_attempt(connection, ids)
    return ids


def start_attempt(connection: Connection, ids: list[int]) -> None:
    """Claim messages as the sender does."""
    connection.execute(
        "WITH claimed AS ("
        " UPDATE outbound_message SET status = 'SENDING', attempt_count = attempt_count + 1,"
        " attempt_seq = attempt_seq + 1, updated_at = now() WHERE id = ANY (%s) RETURNING *)"
        " INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel)"
        " SELECT id, attempt_seq, channel FROM claimed",
        (ids,),
    )


def settle(
    connection: Connection, ids: list[int], outcome: str, status: str, code: str | None = None
) -> None:
    """Settle attempt and message in one statement, as the sender does."""
    connection.execute(
        "WITH attempt AS ("
        " UPDATE outbound_attempt AS a SET outcome = %(outcome)s, error_code = %(code)s,"
        " finished_at = now() FROM outbound_message AS m"
        " WHERE m.id = ANY (%(ids)s) AND a.outbound_message_id = m.id"
        " AND a.attempt_no = m.attempt_seq AND a.outcome IN ('IN_FLIGHT', 'UNKNOWN'))"
        " UPDATE outbound_message SET status = %(status)s, error_code = %(code)s,"
        " sent_at = CASE WHEN %(status)s = 'SENT' THEN now() ELSE sent_at END, updated_at = now()"
        " WHERE id = ANY (%(ids)s)",
        {"ids": ids, "outcome": outcome, "status": status, "code": code},
    )


def deliver(connection: Connection, ids: list[int]) -> None:
    connection.execute(
        "UPDATE outbound_message SET status = 'DELIVERED', delivered_at = now()"
        " WHERE id = ANY (%s)",
        (ids,),
    )
