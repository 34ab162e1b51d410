"""The rights that README.md lists are those that a sender asks for and works with."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import MessageStatus
from sender import premises
from sender.outbox import (
    Pool,
    count_held,
    expire,
    fall_asleep,
    recover,
    renew_quotas,
    wake_forgotten,
    wake_up,
)
from sender.premises import check_database
from tests.outbox_parts import Outbox

README = Path(__file__).parents[2].joinpath("README.md").read_text("utf-8")
ROLE = "outbound_sender_role"

_GRANT = re.compile(r"GRANT\s+([A-Z, ]+?)\s+ON\s+([a-z_,\s]+?)\s+TO\s+(\w+);")


def read_rights() -> list[tuple[str, str]]:
    """Give each table and right that README.md grants to a sender's role."""
    return [
        (table, right)
        for rights, tables, role in _GRANT.findall(README)
        for table, right in product(re.split(r",\s*", tables), rights.split(", "))
        if role == ROLE
    ]


RIGHTS = read_rights()


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection]:
    """Give the owner's connection; a role there has README.md's rights and no other."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
        try:
            for table, right in RIGHTS:
                connection.execute(f"GRANT {right} ON {table} TO {ROLE}".encode())
            yield connection
        finally:
            connection.execute(f"DROP OWNED BY {ROLE}".encode())
            connection.execute(f"DROP ROLE {ROLE}".encode())


def test_a_sender_starts_with_the_rights_of_the_readme_and_without_none_of_them(
    database: str, owner: psycopg.Connection
) -> None:
    own = make_conninfo(database, user=ROLE)
    check_database(own)
    assert len(RIGHTS) == 32
    for table, right in RIGHTS:
        owner.execute(f"REVOKE {right} ON {table} FROM {ROLE}".encode())
        with pytest.raises(UserMistake, match=f"{ROLE} may not {right} in {table} of"):
            check_database(own)
        owner.execute(f"GRANT {right} ON {table} TO {ROLE}".encode())
    check_database(own)


def test_the_readme_lists_exactly_what_a_sender_asks_for() -> None:
    asked = [
        (table, right)
        for rights, tables in premises._RIGHTS
        for table, right in product(tables, rights.split(", "))
    ]

    assert sorted(RIGHTS) == sorted(asked)


@pytest.mark.usefixtures("owner")
def test_messages_are_claimed_settled_and_recovered_with_these_rights(database: str) -> None:
    theirs, ours = Outbox(database), Outbox(make_conninfo(database, user=ROLE))
    one, two = theirs.add("+33600000001", count=2)
    [other] = theirs.add("+33600000002")

    assert set(ours.claim()) == {one, other}
    assert ours.settle(one) == 1
    assert ours.settle(other, MessageStatus.FAILED, error_code="131026") == 1
    assert ours.claim() == [two]
    assert ours.settle(two, MessageStatus.QUEUED, retry_in_s=0.0) == 1
    assert ours.claim() == [two]
    # Time in which the server was down does not count, so a window that is over needs another sign.
    recovered = ours.use(lambda pool: recover(pool, window_s=-1.0, silence_s=60.0))
    assert recovered == {two: MessageStatus.QUEUED}

    async def keep_house(pool: Pool) -> None:
        assert await count_held(pool, window_s=60.0) == {}
        assert await wake_forgotten(pool) == 0
        assert await expire(pool) == 0
        await renew_quotas(pool)
        await fall_asleep(pool, worker="w", seconds=1.0)
        await wake_up(pool, worker="w")

    ours.use(keep_house)
    assert theirs.turns() == {
        one: ("SENT", "OPEN"),
        two: ("QUEUED", "OPEN"),
        other: ("FAILED", "OPEN"),
    }
