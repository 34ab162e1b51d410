"""Looking at the outbox without disturbing it: one snapshot, and an end to every question."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from outbound_slo.database import connect
from outbound_slo.settings import DatabaseSettings
from outbound_slo.vocabulary.mistakes import UserMistake

APPLICATION = "outbound-slo ops"
"""What `pg_stat_activity` calls these sessions."""

PATIENCE_S = 15.0
"""Seconds that one question may take: who looks during an outage must not become a part of it."""


@contextmanager
def open_reading(
    url: str | None = None, *, patience_s: float = PATIENCE_S
) -> Iterator[psycopg.Connection]:
    """Give a transaction that can't write and sees one instant.

    Args:
        url: Where the outbox is; DATABASE_URL by default.
        patience_s: Seconds that a statement may take.

    Raises:
        UserMistake: The database can't be reached, lacks what is asked for, or takes too long.

    """
    conninfo = DatabaseSettings.read().url if url is None else url
    with told(), connect(conninfo, application_name=APPLICATION) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(f"SET LOCAL statement_timeout = {round(patience_s * 1000)}".encode())
        yield connection


@contextmanager
def told() -> Iterator[None]:
    """Turn the database's refusals into mistakes that a person can mend."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise UserMistake(
            f"The database lacks something: {error.diag.message_primary}",
            "Run 'outbound-slo db migrate'",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserMistake(
            f"The database refuses: {error.diag.message_primary}",
            "Use a role that may do this; 'outbound-slo db status' names the schema",
        ) from error
    except psycopg.errors.QueryCanceled as error:
        raise UserMistake(
            "The database took too long to answer",
            "It may be overloaded: look at pg_stat_activity, then try again",
        ) from error
    except psycopg.errors.LockNotAvailable as error:
        raise UserMistake(
            f"The database is busy: {error.diag.message_primary}",
            "Another session holds these rows (pg_stat_activity): try again when it has ended",
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise UserMistake(
            f"The database is a replica or read-only: {error.diag.message_primary}",
            "Let DATABASE_URL name the primary",
        ) from error
    except psycopg.Error as error:
        if not _is_lost(error):
            what = error.diag.message_primary or str(error).strip().splitlines()[0]
            raise UserMistake(
                f"The database refuses: {what}",
                "Batches before this one stand ('outbound-slo ops log'); mend it, then try again",
            ) from error
        raise UserMistake(
            f"The database went away: {(str(error).strip() or 'no answer').splitlines()[0]}",
            "What was done is in 'outbound-slo ops log'; run the command again for the rest",
        ) from error
    except UnicodeEncodeError as error:
        raise UserMistake(
            f"An argument is not valid UTF-8: {error.object[:80]!a}", "Type it anew"
        ) from error


def _is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection has ended: by the server's shutdown, or without a word."""
    state = error.sqlstate
    return isinstance(error, psycopg.OperationalError) and (
        state is None or state.startswith(("08", "57P"))
    )
