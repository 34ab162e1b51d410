"""Which faults of the database pass by themselves, and which are the statement's own. Pure."""

import psycopg

_TOO_MUCH = "54"
"""SQLSTATE class of program limits: the values are too large, today and tomorrow."""

_WRONG_STATE = "25"
"""SQLSTATE class of transaction states; a server that became a standby refuses to write so."""


def is_passing(fault: psycopg.Error) -> bool:
    """Tell whether the same statement may succeed later, on this server or the next."""
    kind = (fault.sqlstate or "")[:2]
    if kind == _WRONG_STATE:
        return True
    return isinstance(fault, psycopg.OperationalError) and kind != _TOO_MUCH
