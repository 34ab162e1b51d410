"""The way to PostgreSQL: connections, named queries and migrations."""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from outbound_slo.vocabulary.mistakes import UserMistake

MIGRATION_LOCK = 0x6F75_7462  # "outb": any number works, as long as all of our versions agree.

_BLOCK = re.compile(r"^-- name: *(?P<name>[a-z][a-z0-9_]*) *$", re.MULTILINE)
_MIGRATION_FILE = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+\.sql$")


def load_queries(package: str, file: str) -> Mapping[str, str]:
    """Read the named blocks of an SQL file that lies in a package.

    A block starts with a line `-- name: the_name` and ends where the next starts.

    Raises:
        ValueError: A name stands twice, or the file has text before its first block.

    """
    return parse_queries(resources.files(package).joinpath(file).read_text("utf-8"), file)


def parse_queries(text: str, origin: str) -> Mapping[str, str]:
    """Split SQL text into its named blocks; `origin` names it in errors."""
    marks = list(_BLOCK.finditer(text))
    head = text[: marks[0].start()] if marks else text
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise ValueError(f"{origin}: SQL before the first '-- name:' line")
    blocks: dict[str, str] = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        name = mark["name"]
        if name in blocks:
            raise ValueError(f"{origin}: the name {name} stands twice")
        blocks[name] = text[mark.end() : following.start() if following else None].strip()
    return MappingProxyType(blocks)


def describe(conninfo: str) -> str:
    """Name a database for people: host, port and database, never the password."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return "the database"
    host = parts.get("host", "the default host")
    return f"{host}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def connect(
    conninfo: str,
    *,
    autocommit: bool = False,
    key: str = "DATABASE_URL",
    application_name: str | None = None,
    prepare_threshold: int | None = 5,
) -> psycopg.Connection:
    """Open a connection.

    Args:
        conninfo: Where the database is.
        autocommit: Whether each statement is a transaction.
        key: What the user calls the address.
        application_name: What the server calls the session.
        prepare_threshold: As psycopg's own.

    Raises:
        UserMistake: The address is malformed, or nothing answers there.

    """
    try:
        return psycopg.connect(
            conninfo,
            autocommit=autocommit,
            connect_timeout=10,
            application_name=application_name,
            prepare_threshold=prepare_threshold,
        )
    except psycopg.ProgrammingError as error:
        raise UserMistake(
            # libpq repeats what it can't read, which may be the password.
            f"{key} is malformed",
            "Write it as postgresql://user:password@host:5432/database",
        ) from error
    except psycopg.OperationalError as error:
        # libpq's second line only asks whether the server runs; the mend says so already.
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserMistake(
            f"Cannot connect to the database {describe(conninfo)}: {reason}",
            f"Check {key} and that the server is up",
        ) from error


_NO_TRANSACTION = "-- In no transaction"
_LOCK_POLL_S = 0.1
_LOCK_TRIES = 30
_LOCK_PAUSE_S = 1.0
_LOCK_TIMEOUT = "2s"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL, applied once, in one transaction.

    A file whose first line begins with `-- In no transaction` holds named statements that can each
    be repeated, for CREATE INDEX CONCURRENTLY. They run one by one, all of them again after a
    failure.
    """

    component: str
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Hash of the text, so that an edited migration is noticed."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def in_transaction(self) -> bool:
        """Whether all of it is undone when a part of it fails."""
        return not self.text.startswith(_NO_TRANSACTION)


@dataclass(frozen=True, slots=True)
class MigrationState:
    """A migration and whether the database has it."""

    migration: Migration
    applied: bool


def read_migrations(directory: Traversable, component: str) -> Sequence[Migration]:
    """Read a directory of `NNNN_name.sql` files in the order of their numbers.

    Raises:
        ValueError: Two files share a number.

    """
    found: dict[int, Migration] = {}
    for file in sorted(directory.iterdir(), key=lambda entry: entry.name):
        match = _MIGRATION_FILE.match(file.name)
        if match is None:
            continue
        number = int(match["number"])
        if number in found:
            raise ValueError(f"{component}: two migrations have the number {number:04}")
        found[number] = Migration(component, number, file.name, file.read_text("utf-8"))
    return list(found.values())


CORE = "outbound_slo"


def core_migrations() -> Sequence[Migration]:
    """Give the migrations of the outbox itself."""
    return read_migrations(resources.files("outbound_slo").joinpath("migrations"), CORE)


def migrate(conninfo: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Apply what the database lacks, each migration in a transaction of its own (or in none).

    Any number of processes may call this at once: an advisory lock lets one work.

    Args:
        conninfo: Where the database is.
        migrations: In the order to apply them; the outbox's own by default.

    Returns:
        The names of the files applied now, as `component/file`.

    Raises:
        UserMistake: The database cannot be reached, a migration that it has was edited since,
            or a migration fails (then nothing of that migration remains, or it can be repeated).

    """
    wanted = core_migrations() if migrations is None else migrations
    done: list[str] = []
    connected = connect(conninfo, autocommit=True, application_name="outbound-slo migrate")
    with connected as connection, _told():
        _lock(connection)
        for state in _compare(connection, wanted, create=True):
            if state.applied:
                continue
            _apply(connection, state.migration)
            done.append(f"{state.migration.component}/{state.migration.name}")
    return done


def migration_states(
    conninfo: str, migrations: Sequence[Migration] | None = None
) -> Sequence[MigrationState]:
    """Tell of each migration whether the database has it; changes nothing.

    Raises:
        UserMistake: The database cannot be reached, or a migration was edited since.

    """
    wanted = core_migrations() if migrations is None else migrations
    with connect(conninfo, autocommit=True) as connection, _told():
        return list(_compare(connection, wanted, create=False))


_NOT_ALLOWED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.ReadOnlySqlTransaction,
)


_MEND = "Mend the cause and run 'outbound-slo db migrate' again"
_MENDS: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.LockNotAvailable: (
        "Another session holds the table (pg_stat_activity): let it end, and run "
        "'outbound-slo db migrate' again"
    )
}


@contextmanager
def _told() -> Iterator[None]:
    """Turn the database's refusals into mistakes of the user."""
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error).strip().splitlines()[0]
        mend = "See the server's log, and try again"
        if isinstance(error, _NOT_ALLOWED):
            mend = "Use a role that owns the outbox's schema, on the primary; see search_path, too"
        raise UserMistake(f"The database refuses: {said}", mend) from error


def _compare(
    connection: psycopg.Connection, wanted: Sequence[Migration], *, create: bool
) -> Iterator[MigrationState]:
    if create:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS outbound_slo_migration ("
            " component text NOT NULL, number integer NOT NULL, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),"
            " PRIMARY KEY (component, number))"
        )
    exists = connection.execute("SELECT to_regclass('outbound_slo_migration')").fetchone()
    known: dict[tuple[str, int], str] = {}
    if exists and exists[0] is not None:
        rows = connection.execute("SELECT component, number, checksum FROM outbound_slo_migration")
        known = {(component, number): checksum for component, number, checksum in rows}
    for migration in wanted:
        checksum = known.get((migration.component, migration.number))
        if checksum is not None and checksum != migration.checksum:
            raise UserMistake(
                f"The migration {migration.component}/{migration.name} was applied to this "
                "database with another text",
                "Put the file back as it was and add a new migration for the change",
            )
        yield MigrationState(migration, applied=checksum is not None)


def _lock(connection: psycopg.Connection) -> None:
    # Asked for again and again: a session that waits inside a statement holds a snapshot, which
    # CREATE INDEX CONCURRENTLY in the one that has the lock would wait for in turn.
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATION_LOCK,)).fetchone()
        if row and row[0]:
            return
        time.sleep(_LOCK_POLL_S)


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    # Claims and settlements would queue up behind a migration that waits for a table. Where the
    # caller has set a time of their own, they know how often to try.
    row = connection.execute("SHOW lock_timeout").fetchone()
    tries = _LOCK_TRIES if row == ("0",) else 1
    for turn in range(tries):
        try:
            _try_to_apply(connection, migration, hurried=tries > 1)
        except UserMistake as mistake:
            if turn + 1 == tries or not isinstance(
                mistake.__cause__, psycopg.errors.LockNotAvailable
            ):
                raise
            time.sleep(_LOCK_PAUSE_S)
        else:
            return


def _try_to_apply(connection: psycopg.Connection, migration: Migration, *, hurried: bool) -> None:
    undone = "was undone" if migration.in_transaction else "can be repeated"
    try:
        with connection.transaction() if migration.in_transaction else nullcontext():
            if migration.in_transaction:
                if hurried:
                    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'".encode())
                connection.execute(migration.text.encode())
            else:
                for statement in parse_queries(migration.text, migration.name).values():
                    connection.execute(statement.encode())
            connection.execute(
                sql.SQL(
                    "INSERT INTO outbound_slo_migration (component, number, name, checksum)"
                    " VALUES (%s, %s, %s, %s)"
                ),
                (migration.component, migration.number, migration.name, migration.checksum),
            )
    except psycopg.errors.DuplicateTable as error:
        raise UserMistake(
            f"The migration {migration.component}/{migration.name} was undone, since it makes what "
            f"is there: {error.diag.message_primary}",
            "Migrate an empty schema, or use the exporter alone on the tables that are there",
        ) from error
    except psycopg.Error as error:
        raise UserMistake(
            f"The migration {migration.component}/{migration.name} failed and {undone}: "
            f"{str(error).strip().splitlines()[0]}",
            error.diag.message_hint or _MENDS.get(type(error), _MEND),
        ) from error
