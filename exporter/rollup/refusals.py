"""What a database refuses the rollup's commands, as mistakes that a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from outbound_slo.vocabulary.mistakes import UserMistake


@contextmanager
def told() -> Iterator[None]:
    """Turn the database's refusals into mistakes of the user.

    Raises:
        UserMistake: The database is a replica, or the role may not do what was asked.

    """
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise UserMistake(
            f"The database can't be written to: {error.diag.message_primary}",
            "Ask the primary; verify notes what it found, too",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserMistake(
            f"The role may not do this: {error.diag.message_primary}",
            "Use the role that owns the outbox's tables",
        ) from error
