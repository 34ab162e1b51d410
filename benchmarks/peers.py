"""The peers of the exporter: Debian's postgres_exporter and sql_exporter, PyPI's query-exporter.

Each is told to leave its own metrics out as far as it can. postgres_exporter and query-exporter ask
the database at every scrape: so a scrape is a refresh, and its wall time theirs. Debian's
sql_exporter asks at an interval only, and a scrape shows what it found last.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests
import yaml

from benchmarks.questions import QUESTIONS, Question, series_of_peer
from outbound_slo.embedded.binaries import Kit, find_tools
from outbound_slo.embedded.child import Child
from outbound_slo.embedded.processes import Supervisor, pick_port, tcp_probe
from outbound_slo.vocabulary.mistakes import UserMistake

POSTGRES_EXPORTER = Kit(
    package="prometheus-postgres-exporter",
    variable="OUTBOUND_SLO_POSTGRES_EXPORTER_BIN",
    programs=MappingProxyType(
        {"postgres_exporter": ("prometheus-postgres-exporter", "postgres_exporter")}
    ),
)
SQL_EXPORTER = Kit(
    package="prometheus-sql-exporter",
    variable="OUTBOUND_SLO_SQL_EXPORTER_BIN",
    programs=MappingProxyType({"sql_exporter": ("prometheus-sql-exporter", "sql_exporter")}),
)
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Command:
    """How a peer is started: its arguments and what it has in its environment beside ours."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer that runs.

    Attributes:
        name: As the report calls it.
        url: Its page.
        child: Its process.

    """

    name: str
    url: str
    child: Child

    def scrape(self) -> str:
        """Read its page.

        Raises:
            requests.RequestException: It did not answer, or with an error.

        """
        answer = requests.get(self.url, timeout=_PATIENCE_S)
        answer.raise_for_status()
        return answer.text


def write_postgres_exporter(questions: Sequence[Question]) -> str:
    """Write its file of queries; it names a series after the query and the column."""
    return _dump(
        {
            question.name: {
                "query": question.statement,
                "metrics": [
                    *(
                        {label: {"usage": "LABEL", "description": label}}
                        for label in question.labels
                    ),
                    *(
                        {column: {"usage": "GAUGE", "description": column}}
                        for column in question.answers
                    ),
                ],
            }
            for question in questions
        }
    )


def write_sql_exporter(database: str, questions: Sequence[Question]) -> str:
    """Write its configuration: everything anew each second.

    A series is named `sql_` and the query's name, with the column in the label `col`.
    """
    job = {
        "name": "runbooks",
        "interval": "1s",
        "connections": [_as_go(database)],
        "queries": [
            {
                "name": question.name,
                "help": question.name,
                "labels": list(question.labels),
                "values": list(question.answers),
                "query": question.statement,
            }
            for question in questions
        ],
    }
    return _dump({"jobs": [job]})


def write_query_exporter(
    database: str, questions: Sequence[Question], interval_s: int | None = None
) -> str:
    """Write its configuration; the columns of its queries bear the metrics' names.

    Args:
        database: URL of the database.
        questions: What to ask.
        interval_s: Seconds from one run to the next; None: at every scrape.

    """
    metrics = {
        series_of_peer(question, column): {
            "type": "gauge",
            **({"labels": list(question.labels)} if question.labels else {}),
        }
        for question in questions
        for column in question.answers
    }
    queries = {
        question.name: {
            "databases": ["outbox"],
            "metrics": [series_of_peer(question, column) for column in question.answers],
            "sql": _rename(question),
            **({"interval": interval_s} if interval_s else {}),
        }
        for question in questions
    }
    dsn = database.replace("postgresql://", "postgresql+psycopg://", 1)
    return _dump({"databases": {"outbox": {"dsn": dsn}}, "metrics": metrics, "queries": queries})


def _rename(question: Question) -> str:
    columns = [
        *question.labels,
        *(f"{column} AS {series_of_peer(question, column)}" for column in question.answers),
    ]
    return f"SELECT {', '.join(columns)} FROM ({question.statement}) AS asked"  # noqa: S608 - our own text


def _as_go(database: str) -> str:
    """Write a URL as Go's driver takes it, which wants TLS unless told otherwise."""
    return database.replace("postgresql://", "postgres://", 1) + "?sslmode=disable"


def _dump(document: object) -> str:
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)


def prepare_postgres_exporter(directory: Path, database: str, port: int) -> Command:
    """Write what postgres_exporter needs, and tell how to start it."""
    queries = directory / "postgres-exporter.yml"
    queries.write_text(write_postgres_exporter(QUESTIONS), "utf-8")
    return Command(
        [
            find_tools(POSTGRES_EXPORTER)["postgres_exporter"],
            "--disable-default-metrics",
            "--disable-settings-metrics",
            "--no-collector.database",
            "--no-collector.bgwriter",
            f"--extend.query-path={queries}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        {"DATA_SOURCE_NAME": _as_go(database)},
    )


def prepare_sql_exporter(directory: Path, database: str, port: int) -> Command:
    """Write what sql_exporter needs, and tell how to start it."""
    file = directory / "sql-exporter.yml"
    file.write_text(write_sql_exporter(database, QUESTIONS), "utf-8")
    return start_sql_exporter(file, port)


def start_sql_exporter(file: Path, port: int) -> Command:
    """Tell how to start sql_exporter with a configuration."""
    return Command(
        [
            find_tools(SQL_EXPORTER)["sql_exporter"],
            f"-config.file={file}",
            f"-web.listen-address=127.0.0.1:{port}",
        ],
        {},
    )


def prepare_query_exporter(directory: Path, database: str, port: int) -> Command:
    """Write what query-exporter needs, and tell how to start it."""
    file = directory / "query-exporter.yml"
    file.write_text(write_query_exporter(database, QUESTIONS), "utf-8")
    return start_query_exporter(file, port)


def start_query_exporter(file: Path, port: int) -> Command:
    """Tell how to start query-exporter with a configuration.

    Raises:
        UserMistake: It is not installed.

    """
    program = shutil.which("query-exporter", path=str(Path(sys.executable).parent))
    if program is None:
        raise UserMistake(
            "query-exporter is not installed beside this Python", "Run: pip install -e '.[bench]'"
        )
    return Command([program, "--host", "127.0.0.1", "--port", str(port), "--config", str(file)], {})


PREPARE: Mapping[str, Callable[[Path, str, int], Command]] = MappingProxyType(
    {
        "postgres_exporter": prepare_postgres_exporter,
        "sql_exporter": prepare_sql_exporter,
        "query_exporter": prepare_query_exporter,
    }
)


def start_peer(supervisor: Supervisor, name: str, command: Command, port: int) -> Peer:
    """Start a peer and wait until it listens; nothing has been asked of it yet."""
    child = supervisor.start(
        name,
        command.arguments,
        ready=tcp_probe(port),
        environment={**os.environ, **command.environment},
    )
    return Peer(name, f"http://127.0.0.1:{port}/metrics", child)


def open_peer(supervisor: Supervisor, name: str, directory: Path, database: str) -> Peer:
    """Start a peer on the runbooks' questions.

    Raises:
        UserMistake: It can't be had or does not start; the message says why.

    """
    port = pick_port()
    return start_peer(supervisor, name, PREPARE[name](directory, database, port), port)
