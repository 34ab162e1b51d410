"""Reading the facts of `ops status`: every question of one instant, none of them a big scan."""

import psycopg

from operations.asking import PATIENCE_S, Asker
from operations.facts import (
    CEILING,
    AttemptCount,
    Course,
    DeadCount,
    Disabled,
    DueCount,
    Facts,
    Notice,
    OldestDue,
    OperationSeen,
    Pause,
    Processed,
    Quota,
    SenderSeen,
    StateCount,
    StuckCount,
    Throttle,
    WebhookHealth,
)
from operations.stuck_looking import over_stuck
from outbound_slo.database import load_queries
from outbound_slo.vocabulary import thresholds
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.audit import LOCK_CLASS
from sender.inbox import MAX_TRIES

QUERIES = {
    **load_queries("operations", "sql/status.sql"),
    "stuck_counts": over_stuck("stuck_counts"),
}

SAMPLE = 100_000
"""Attempts that are looked at, the newest: an hour of 28 per second, a tenth of a second's work."""

MOST = 100
"""Rows of a list; a screen shows fewer."""


def look(
    connection: psycopg.Connection,
    place: str,
    *,
    org_id: str | None,
    policy: ErrorPolicy,
    patience_s: float = PATIENCE_S,
) -> Facts:
    """Read everything in the caller's transaction.

    Args:
        connection: In a transaction that can't write and sees one instant.
        place: What to call the database.
        org_id: Only this organisation's messages; None for everybody's.
        policy: Which catalogue of error codes is asked first.
        patience_s: Seconds that one question may take.

    Raises:
        psycopg.Error: The database went away.

    """
    asker = Asker(connection, QUERIES, patience_s)
    asker.require("prepare")
    now, rollup = asker.require("instant")
    # The rollup knows no organisations, and before its first count it reads the table.
    counted = rollup and org_id is None and asker.require("counted")[0]
    source = "rollup" if counted else "rows"
    values: dict[str, object] = {
        "org_id": org_id,
        "ceiling": CEILING + 1,
        "sample": SAMPLE,
        "most": MOST,
        "share": thresholds.ALERT_QUOTA_70.ratio,
        "tries": MAX_TRIES,
        "lock_class": LOCK_CLASS,
    }
    return Facts(
        now=now,
        place=place,
        org_id=org_id,
        policy=policy,
        sample=SAMPLE,
        states=asker.ask(f"states_by_{source}", StateCount, values),
        due=asker.ask("due", DueCount, values),
        oldest_due=asker.ask("oldest_due", OldestDue, values),
        stuck=asker.ask("stuck_counts", StuckCount, values),
        attempts=asker.ask("attempts", AttemptCount, values),
        courses=asker.ask("courses", Course, values),
        processed=asker.ask("last_processed", Processed, values),
        dead=asker.ask(f"dead_by_{source}", DeadCount, values),
        quotas=asker.ask("quotas", Quota, values),
        throttles=asker.ask("throttles", Throttle, values),
        pauses=asker.ask("pauses", Pause, values),
        disabled=asker.ask("disabled", Disabled, values),
        senders=asker.ask("senders", SenderSeen, values),
        webhooks=asker.ask("webhooks", WebhookHealth, values),
        accounts=asker.require("accounts")[0],
        notices=asker.ask("notices", Notice, values),
        operations=asker.ask("operations", OperationSeen, values),
    )
