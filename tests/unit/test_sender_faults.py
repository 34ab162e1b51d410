import psycopg
import psycopg_pool
import pytest
from psycopg import errors

from sender.faults import is_passing


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        (psycopg.OperationalError("the line is down"), True),
        (psycopg_pool.PoolTimeout("no connection"), True),
        (errors.AdminShutdown(), True),
        (errors.DeadlockDetected(), True),
        (errors.DiskFull(), True),
        (errors.ReadOnlySqlTransaction(), True),
        (errors.ProgramLimitExceeded(), False),
        (errors.StatementTooComplex(), False),
        (errors.UndefinedTable(), False),
        (errors.UntranslatableCharacter(), False),
        (errors.CheckViolation(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_only_faults_of_the_server_or_the_line_pass(fault: psycopg.Error, passes: bool) -> None:
    assert is_passing(fault) is passes
