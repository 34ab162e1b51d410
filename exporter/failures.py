"""Why a query failed, in the seven words that the error counter uses.

One table maps PostgreSQL's SQLSTATE to a reason, by full code first and by class (its first two
characters) second; a test holds one real error to each line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import psycopg


class Reason(StrEnum):
    """The label `reason` of the error counter."""

    TIMEOUT = "timeout"
    PERMISSION = "permission"
    SCHEMA = "schema"
    CONNECTION = "connection"
    CARDINALITY = "cardinality"
    DATA = "data"
    CORRUPTION = "corruption"


@dataclass(frozen=True, slots=True)
class Failure:
    """A query's failure: the reason for machines, one line for people."""

    reason: Reason
    text: str


class BadResultError(Exception):
    """A query worked, but its result can't be the metrics that the pack says.

    Args:
        reason: SCHEMA for columns, DATA for values, CARDINALITY for too many series.
        text: What is wrong, in one line.

    """

    def __init__(self, reason: Reason, text: str) -> None:
        """Keep the reason beside the text."""
        super().__init__(text)
        self.reason = reason


REASON_BY_SQLSTATE: Mapping[str, Reason] = MappingProxyType(
    {
        "57014": Reason.TIMEOUT,  # query_canceled: statement_timeout
        "55P03": Reason.TIMEOUT,  # lock_not_available: lock_timeout
        "25P03": Reason.TIMEOUT,  # idle_in_transaction_session_timeout
        "42501": Reason.PERMISSION,  # insufficient_privilege
        "40001": Reason.CONNECTION,  # a replica cancels a query that conflicts with recovery
        "0A": Reason.SCHEMA,  # feature_not_supported
        "22": Reason.DATA,  # data_exception: division by zero, a value that does not fit
        "25": Reason.SCHEMA,  # the statement writes; the transaction is read only
        "28": Reason.PERMISSION,  # invalid_authorization
        "42": Reason.SCHEMA,  # undefined table, column or function; syntax
        "3D": Reason.SCHEMA,  # no such database
        "3F": Reason.SCHEMA,  # no such schema
        "08": Reason.CONNECTION,  # connection_exception
        "53": Reason.CONNECTION,  # insufficient_resources: too many connections, disk full
        "57": Reason.CONNECTION,  # operator_intervention: shutdown
        "58": Reason.CONNECTION,  # system_error
        "XX001": Reason.CORRUPTION,  # data_corrupted: a page or a TOAST value that can't be read
        "XX002": Reason.CORRUPTION,  # index_corrupted
    }
)


def classify(error: psycopg.Error) -> Failure:
    """Give the reason of an error that PostgreSQL or the connection to it reported."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    state = error.sqlstate
    if state is None:
        # Without a code the server did not answer: the connection is gone.
        gone = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Failure(Reason.CONNECTION if gone else Reason.SCHEMA, lines[0])
    reason = REASON_BY_SQLSTATE.get(state) or REASON_BY_SQLSTATE.get(state[:2], Reason.DATA)
    return Failure(reason, lines[0])
