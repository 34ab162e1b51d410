"""Asking many things of one instant, each with an end of its own.

A question that takes too long, or that the role may not ask, leaves a gap in the answer and not a
screen without any: who looks at night looks at a database that is in trouble.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

from operations.facts import Unanswered

Row = TypeVar("Row")

PATIENCE_S = 3.0
"""Seconds that one question may take."""

_BOUND = "SELECT set_config('statement_timeout', %s, true)"


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks named questions in a transaction that is open.

    Attributes:
        connection: In a transaction that sees one instant.
        queries: Statements by name.
        patience_s: Seconds that one may take.

    """

    connection: psycopg.Connection
    queries: Mapping[str, str]
    patience_s: float = PATIENCE_S

    def ask(
        self, name: str, shape: type[Row], values: Mapping[str, object]
    ) -> Sequence[Row] | Unanswered:
        """Put one question; its rows, or why there are none.

        Raises:
            psycopg.Error: The database went away, or the statement is wrong.

        """
        try:
            # A savepoint: what is cancelled takes no other question with it.
            with self.connection.transaction():
                self.connection.execute(_BOUND, (str(round(self.patience_s * 1000)),))
                with self.connection.cursor(row_factory=class_row(shape)) as cursor:
                    cursor.execute(self.queries[name].encode(), values)
                    return cursor.fetchall()
        except psycopg.errors.QueryCanceled:
            return Unanswered("took too long")
        except psycopg.errors.InsufficientPrivilege as error:
            return Unanswered(f"this role may not look: {error.diag.message_primary}")
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            return Unanswered(
                f"the database lacks something, run 'outbound-slo db migrate': "
                f"{error.diag.message_primary}"
            )

    def require(self, name: str, values: Mapping[str, object] | None = None) -> tuple[Any, ...]:
        """Put a question that has one row and that nothing can do without.

        Raises:
            psycopg.Error: As the database says.

        """
        row = self.connection.execute(self.queries[name].encode(), values or {}).fetchone()
        if row is None:
            raise RuntimeError(f"{name} gave no row")
        return tuple(row)
