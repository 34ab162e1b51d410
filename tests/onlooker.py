"""One session for all that a test asks of its database, since many looks are one wait.

To open a session costs its server and us fifty times what a look does.
"""

import weakref
from typing import Any

import psycopg


class Onlooker:
    """Runs statements, each committed at once, in a session that is opened again if it was lost.

    Args:
        database: URL of the database.

    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._connection: psycopg.Connection | None = None

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement; gives its rows.

        Raises:
            psycopg.Error: What the server says; of a session that was lost meanwhile, nothing.

        """
        kept = self._connection
        if kept is not None:
            try:
                return _run(kept, statement, values)
            except psycopg.OperationalError:
                if not kept.broken:
                    raise
            # The server ended it while nobody asked anything, so the statement was not run.
            kept.close()
        self._connection = psycopg.connect(self._database, autocommit=True)
        # Tables may change their form between two looks.
        self._connection.prepare_threshold = None
        weakref.finalize(self, self._connection.close)
        return _run(self._connection, statement, values)


def _run(
    connection: psycopg.Connection, statement: str, values: tuple[object, ...]
) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement.encode(), values)
    return cursor.fetchall() if cursor.description else []
