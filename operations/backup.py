"""A backup of the queue that is known to be good (001, "Database Checkpoint & Backup").

pg_dump and the count of the rows see the same snapshot. The file is read back before it gets its
name, so a file of that name is whole. 001's CHECKPOINT is left out: it flushes the server's memory,
which a dump does not read from the disk anyway, and makes every writer wait for the disk.

It holds the rows of the tables of `BACKED_UP`, secrets as they are stored (encrypted). What the
rollup counted is left out and counted anew after a restore.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from operations.archiver import (
    Archiver,
    ArchiveUnreadable,
    count_rows,
    dump_tables,
    list_tables,
    read_server_version,
)
from operations.tables import BACKED_UP
from outbound_slo.database import describe, load_queries
from outbound_slo.vocabulary.mistakes import UserMistake

_QUERIES = load_queries("operations", "sql/backup.sql")
FORMAT = 1
_PARTIAL = ".partial"
_OWNER_ONLY = 0o600
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Holding:
    """One table of a backup: its schema, its rows, and its size in the database in bytes."""

    schema: str
    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One instant of the database, open while its transaction is.

    Attributes:
        name: What pg_dump calls it.
        taken_at: The instant.
        holdings: The tables.
        migrations: The newest migration of each component.

    """

    name: str
    taken_at: datetime
    holdings: Sequence[Holding]
    migrations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies beside a backup, as `<file>.json`, and tells what has to be in it.

    Attributes:
        format: Version of this form.
        file: Name of the backup.
        bytes: Its size.
        sha256: Its checksum, in hexadecimal.
        taken_at: The instant that it shows, RFC 3339 in UTC.
        database: Host, port and name.
        server_version: The server's.
        pg_dump_version: That of the program that wrote it.
        migrations: The newest migration of each component; a restore needs at least these.
        tables: Rows per table.

    """

    format: int
    file: str
    bytes: int
    sha256: str
    taken_at: str
    database: str
    server_version: str
    pg_dump_version: str
    migrations: Mapping[str, str]
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made: where it is, and its manifest."""

    path: Path
    manifest: Manifest


@contextmanager
def take_snapshot(connection: psycopg.Connection, *, estimated: bool = False) -> Iterator[Snapshot]:
    """Give one instant of the queue's tables, with their rows counted.

    Args:
        connection: Not in a transaction yet.
        estimated: Give the planner's estimates in place of a count, which reads whole tables.

    """
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        # However long pg_dump takes, this transaction waits for it.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("SET LOCAL statement_timeout = 0")
        exported = connection.execute(_QUERIES["export"].encode()).fetchone()
        assert exported is not None  # noqa: S101 - a SELECT without FROM gives a row
        located = connection.execute(
            _QUERIES["locate"].encode(), {"names": list(BACKED_UP)}
        ).fetchall()
        holdings = [
            Holding(schema, table, about if estimated else _count(connection, schema, table), size)
            for schema, table, size, about in located
        ]
        newest = connection.execute(_QUERIES["newest_migrations"].encode()).fetchall()
        yield Snapshot(exported[0], exported[1], holdings, dict(newest))


def name_backup(taken_at: datetime) -> str:
    """Name a file by its instant: `outbound-queue-20260102T030405Z.dump`."""
    return f"outbound-queue-{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}.dump"


def require_directory(directory: Path) -> None:
    """Make sure that a backup can be written there.

    Raises:
        UserMistake: It is no directory, or not ours to write to.

    """
    if not directory.is_dir():
        raise UserMistake(f"{directory} is no directory", f"Make it: mkdir -p {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UserMistake(f"{directory} can't be written to", "Choose another one")


def create_backup(
    archiver: Archiver,
    connection: psycopg.Connection,
    conninfo: str,
    snapshot: Snapshot,
    directory: Path,
    watch: Callable[[Path], None],
    release: Callable[[], None],
) -> Backup:
    """Dump a snapshot, read the file back, and only then give it its name.

    Args:
        archiver: pg_dump and pg_restore.
        connection: Whose transaction holds the snapshot.
        conninfo: Where the database is.
        snapshot: What to dump.
        directory: Where the backup and its manifest go, readable by their owner alone.
        watch: Called twice a second with the file that grows.
        release: Ends the snapshot after the dump: while it is open VACUUM removes nothing.

    Raises:
        UserMistake: pg_dump failed, or the file is not what it should be; nothing is left then.

    """
    path = directory / name_backup(snapshot.taken_at)
    if path.exists():
        raise UserMistake(f"{path} is there already", "Wait a second and try again")
    with _claimed(directory / f".{path.name}{_PARTIAL}") as partial:
        dump_tables(
            archiver,
            conninfo,
            snapshot.name,
            [(each.schema, each.table) for each in snapshot.holdings],
            partial,
            lambda: watch(partial),
        )
        release()
        manifest = Manifest(
            format=FORMAT,
            file=path.name,
            bytes=partial.stat().st_size,
            sha256=hash_file(partial),
            taken_at=snapshot.taken_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            database=describe(conninfo),
            server_version=read_server_version(connection)[1],
            pg_dump_version=archiver.version,
            migrations=snapshot.migrations,
            tables={each.table: each.rows for each in snapshot.holdings},
        )
        faults = find_faults(archiver, partial, manifest)
        if faults:
            raise UserMistake(
                f"The backup is not what it should be: {faults[0]}", "It was removed; try again"
            )
        _sync(partial)
        # First, so that a backup of this name never lacks it.
        _write_manifest(path, manifest)
        partial.rename(path)
        _sync(directory)
    return Backup(path, manifest)


def find_faults(archiver: Archiver, path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Compare a backup with its manifest: checksum, tables and rows; empty where all is well."""
    size = path.stat().st_size
    if size != manifest.bytes:
        return (f"it has {size:,} bytes and had {manifest.bytes:,}",)
    if hash_file(path) != manifest.sha256:
        return ("its checksum is another one",)
    try:
        listed = set(list_tables(archiver, path))
        missing = sorted(set(manifest.tables) - listed)
        if missing:
            return (f"it lacks {', '.join(missing)}",)
        rows = count_rows(archiver, path)
    except ArchiveUnreadable as fault:
        return (f"pg_restore cannot read it: {fault}",)
    return tuple(
        f"{table} has {rows[table]:,} rows and had {expected:,}"
        for table, expected in manifest.tables.items()
        if rows[table] != expected
    )


def read_manifest(path: Path) -> Manifest:
    """Read what lies beside a backup.

    Raises:
        UserMistake: There is no backup, no manifest, or it is none of ours.

    """
    beside = place_manifest(path)
    for file in (path, beside):
        if not file.is_file():
            raise UserMistake(
                f"There is no file {file}",
                "Give the .dump file; its manifest lies beside it as .dump.json",
            )
    try:
        written: dict[str, Any] = json.loads(beside.read_text("utf-8"))
        manifest = Manifest(**written)
    except (ValueError, TypeError) as error:
        raise UserMistake(
            f"{beside} is no manifest of a backup", "Bring back the one that was written with it"
        ) from error
    if manifest.format != FORMAT:
        raise UserMistake(
            f"{beside} has the format {manifest.format}", "Use the version of outbound-slo it names"
        )
    return manifest


def place_manifest(path: Path) -> Path:
    """Say where a backup's manifest lies."""
    return path.with_name(f"{path.name}.json")


def remove_leftovers(directory: Path) -> list[str]:
    """Remove what backups left that were killed; those under way are spared.

    Returns:
        The names of the files removed.

    """
    removed = []
    for partial in sorted(directory.glob(f".outbound-queue-*{_PARTIAL}")):
        with suppress(OSError), partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()
            removed.append(partial.name)
    return removed


def hash_file(path: Path) -> str:
    """Give a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _claimed(partial: Path) -> Iterator[Path]:
    """Make a file that only we can read, locked while we live; gone unless it was renamed."""
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY)
    except OSError as failure:
        raise UserMistake(
            f"{partial} can't be made: {failure.strerror}", "Another backup may be under way"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield partial
    finally:
        os.close(descriptor)
        partial.unlink(missing_ok=True)


def _count(connection: psycopg.Connection, schema: str, table: str) -> int:
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


def _write_manifest(path: Path, manifest: Manifest) -> None:
    beside = place_manifest(path)
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Have the disk hold a file, or a directory's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
