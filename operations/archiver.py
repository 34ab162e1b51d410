"""pg_dump and pg_restore: found, run, and their archives read back."""

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from outbound_slo.embedded.binaries import POSTGRESQL_CLIENT, Tools, present_tools
from outbound_slo.vocabulary.mistakes import UserMistake

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\.\d+)?")
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA \S+ (\S+) ", re.MULTILINE)
_COPY = re.compile(rb"COPY (?:\S+\.)?\"?(\w+)\"? \(")
_END_OF_COPY = b"\\.\n"
_POLL_S = 0.5
_LOCK_WAIT = "10s"
_INSTALL = "Install PostgreSQL's client programs, or name their directory in " + (
    POSTGRESQL_CLIENT.variable
)


class ArchiveUnreadable(Exception):  # noqa: N818 - a state of a file, told as a finding
    """pg_restore cannot read an archive; the text is its reason."""


@dataclass(frozen=True, slots=True)
class Archiver:
    """A pair of pg_dump and pg_restore.

    Attributes:
        tools: Where they are.
        version: Their version, as `15.18`.

    """

    tools: Tools
    version: str

    @property
    def major(self) -> int:
        """The part of the version that has to be the server's or newer."""
        return int(self.version.split(".")[0])


def find_archiver(server_major: int = 0, environ: Mapping[str, str] = os.environ) -> Archiver:
    """Find the first pair that is not older than a server: named, installed, or unpacked.

    Args:
        server_major: The server's major version; 0: any will do.
        environ: Environment variables to heed.

    Raises:
        UserMistake: There is none, or all are older.

    """
    newest: Archiver | None = None
    for tools in present_tools(POSTGRESQL_CLIENT, environ):
        told = _VERSION.search(tools.run("pg_dump", "--version").stdout)
        if told is None:
            continue
        archiver = Archiver(tools, told[1] + (told[2] or ""))
        if archiver.major >= server_major:
            return archiver
        newest = max(newest or archiver, archiver, key=lambda each: each.major)
    if newest is None:
        raise UserMistake("There is no pg_dump with a pg_restore on this machine", _INSTALL)
    raise UserMistake(
        f"pg_dump {newest.version} is older than the server, whose version is {server_major}",
        f"{_INSTALL}: version {server_major} or newer",
    )


def split_conninfo(conninfo: str) -> tuple[str, dict[str, str]]:
    """Part an address into what may stand in a list of processes, and environment variables.

    Returns:
        A conninfo of what libpq takes from no variable, often empty, and the variables; the
        password is among these alone.

    Raises:
        UserMistake: It holds a secret that no variable takes.

    """
    plain: dict[str, str] = {}
    variables: dict[str, str] = {}
    for option in Conninfo.parse(conninfo.encode()):
        if option.val is None:
            continue
        keyword, value = option.keyword.decode(), option.val.decode()
        if option.envvar:
            variables[option.envvar.decode()] = value
        elif "password" in keyword or b"*" in (option.dispchar or b""):
            raise UserMistake(
                f"{keyword} in DATABASE_URL would stand in the list of processes",
                "Use a key without a passphrase for backups",
            )
        else:
            plain[keyword] = value
    return make_conninfo("", **plain), variables


def dump_tables(
    archiver: Archiver,
    conninfo: str,
    snapshot: str,
    tables: Iterable[tuple[str, str]],
    to: Path,
    watch: Callable[[], None],
) -> None:
    """Write the rows of some tables, as one snapshot has them, into an archive.

    Args:
        archiver: The programs.
        conninfo: Where the database is; its password goes through the environment.
        snapshot: Of `pg_export_snapshot`, whose transaction is open.
        tables: Schema and name of each.
        to: The file; written over, its mode is kept.
        watch: Called twice a second.

    Raises:
        UserMistake: pg_dump failed; its reason is told.

    """
    plain, variables = split_conninfo(conninfo)
    chosen = [f'--table="{schema}"."{name}"' for schema, name in tables]
    command = [
        archiver.tools["pg_dump"],
        *("--format=custom", "--data-only", "--strict-names", "--no-password"),
        *(f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT}", f"--file={to}"),
        *chosen,
        *([f"--dbname={plain}"] if plain else []),
    ]
    environment = archiver.tools.environment() | variables | {"LC_ALL": "C"}
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=complaints
        ) as child:
            try:
                while not _has_ended(child):
                    watch()
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            complaints.seek(0)
            reason = _find_reason(complaints.read().decode(errors="replace"))
            raise UserMistake(
                f"pg_dump failed: {reason}", "No backup was made; mend that and try again"
            )


def list_tables(archiver: Archiver, archive: Path) -> list[str]:
    """Name the tables whose rows an archive holds.

    Raises:
        ArchiveUnreadable: Its list of contents cannot be read.

    """
    told = archiver.tools.run("pg_restore", "--list", str(archive))
    if told.returncode != 0:
        raise ArchiveUnreadable(_find_reason(told.stderr))
    return _TABLE_DATA.findall(told.stdout)


def count_rows(archiver: Archiver, archive: Path) -> Counter[str]:
    """Count the rows of each table by reading all of an archive as a restore would.

    Raises:
        ArchiveUnreadable: Some of it cannot be read.

    """
    command = [archiver.tools["pg_restore"], "--data-only", "--file=-", str(archive)]
    rows: Counter[str] = Counter()
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            env=archiver.tools.environment(),
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as child,
    ):
        assert child.stdout is not None  # noqa: S101 - asked for above
        try:
            _count_lines(child.stdout, rows)
        except BaseException:
            child.kill()
            raise
        if child.wait() != 0:
            complaints.seek(0)
            raise ArchiveUnreadable(_find_reason(complaints.read().decode(errors="replace")))
    return rows


def read_server_version(connection: psycopg.Connection) -> tuple[int, str]:
    """Give a server's major version, and all of it as it writes it."""
    number = connection.info.server_version
    return number // 10_000, f"{number // 10_000}.{number % 10_000}"


def _count_lines(lines: Iterable[bytes], rows: Counter[str]) -> None:
    table = ""
    for line in lines:
        if table:
            # A row can't look like this: its own backslash would be doubled.
            if line == _END_OF_COPY:
                table = ""
            else:
                rows[table] += 1
        elif begun := _COPY.match(line):
            table = begun[1].decode()
            rows[table] += 0


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _find_reason(complaints: str) -> str:
    lines: Sequence[str] = complaints.strip().splitlines() or ["no reason given"]
    told = next((line for line in lines if "error:" in line), lines[0])
    return told.partition("error: ")[2] or told
