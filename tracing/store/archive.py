"""The traces on disk: one SQLite file that takes spans, finds traces, and stays within its size."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.store.otlp import ReceivedSpan, searchable_tags
from tracing.store.search import TraceSearch

DEFAULT_MAX_BYTES = 256 * 1024 * 1024
DEFAULT_RETENTION_S = 7 * 24 * 3600
_SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 10.0
_EVICTED_AT_ONCE = 200
# Evicting to somewhat below the bound, so that not every export pays for it.
_KEPT_SHARE = 0.9
_TOO_MANY_ORIGINS = 1000
_FREQUENT = 1000
# The write-ahead log lies beside the file; it is cut to this whenever it has been written back.
_JOURNAL_BYTES = 8 * 1024 * 1024

_SCHEMA = load_queries("tracing.store", "schema.sql")
_SQL = load_queries("tracing.store", "queries.sql")


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span and where it came from: `origin` holds its resource and its scope, and no spans."""

    span: Span
    origin: ResourceSpans


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace as far as its spans have arrived, the root first (D27), then by start."""

    trace_id: bytes
    spans: tuple[StoredSpan, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """A span name of a service, with OTLP's number for its kind."""

    service: str
    name: str
    kind: int


class TraceArchive:
    """A bounded store of traces in one file; every method may be called from any thread.

    The oldest traces (by arrival of their first span) go when the file would outgrow `max_bytes`,
    or when they are older than `retention_s`.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        retention_s: int = DEFAULT_RETENTION_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, or make it.

        Raises:
            UserMistake: It cannot be opened, or is something else.

        """
        self._max_bytes = max_bytes
        self._retention_s = retention_s
        self._clock = clock
        try:
            self._writer = _open(path)
            self._prepare(path)
            self._reader = _open(path)
        except sqlite3.Error as error:
            raise UserMistake(
                f"cannot keep traces in {path}: {error}",
                "Name a trace store, or a new file in a directory that can be written",
            ) from error
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._operations: dict[tuple[str, str, int], int] = {}
        self._origins: dict[bytes, int] = {}
        self._next_span: int = self._writer.execute(_SQL["next_span"]).fetchone()[0]

    def save(self, spans: Sequence[ReceivedSpan]) -> None:
        """Keep spans, all or none; a span known already is replaced. Then evict what is too much.

        Raises:
            sqlite3.Error: The disk is full or the file has been damaged.

        """
        latest = {(span.trace_id, span.span_id): span for span in spans}
        with self._writing:
            try:
                with self._transaction():
                    self._add(latest.values())
                self._evict()
            except sqlite3.Error:
                # Ids remembered from a transaction that was rolled back would point nowhere.
                self._operations.clear()
                self._origins.clear()
                raise

    def find(self, search: TraceSearch) -> list[StoredTrace]:
        """Find traces, the latest first, at most `search.limit` of them."""
        with self._reading:
            found = self._by_tags(search) if search.tags else self._by_operation(search)
            traces = [self._load(trace_id) for trace_id in found]
        held = [trace for trace in traces if trace is not None]
        return sorted(held, key=_start_of, reverse=True)

    def trace(self, trace_id: bytes) -> StoredTrace | None:
        """Give one trace, or None when there is no such."""
        with self._reading:
            return self._load(trace_id)

    def services(self) -> list[str]:
        """Name the services, in order."""
        with self._reading:
            return [row[0] for row in self._reader.execute(_SQL["services"])]

    def operations(self, service: str | None) -> list[Operation]:
        """List the operations of one service, or of all."""
        with self._reading:
            rows = self._reader.execute(_SQL["operations"], {"service": service, "name": None})
            return [Operation(service=row[1], name=row[2], kind=row[3]) for row in rows]

    def totals(self) -> tuple[int, int]:
        """Count traces and spans."""
        with self._reading:
            traces, spans = self._reader.execute(_SQL["totals"]).fetchone()
        return traces, spans

    def size_bytes(self) -> int:
        """Give the bytes in use; the file itself shrinks to this as it is written on."""
        with self._writing:
            return self._size()

    def close(self) -> None:
        """Close the file."""
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()

    def _prepare(self, path: Path) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version not in {0, _SCHEMA_VERSION} or (version == 0 and tables):
            raise UserMistake(
                f"{path} is an SQLite file, but not a trace store of this version",
                "Name another file, or remove this one to start afresh",
            )
        if not tables:
            # Only a new file can take this; it lets the file shrink after an eviction.
            self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.executescript(_SCHEMA["schema"])
        self._writer.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # A full disk makes SQLite roll back by itself.
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        self._writer.execute("COMMIT")

    def _add(self, spans: Iterable[ReceivedSpan]) -> None:
        by_trace: dict[bytes, dict[bytes, ReceivedSpan]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, {})[span.span_id] = span
        rows: list[dict[str, object]] = []
        tags: list[dict[str, int]] = []
        for trace_id, members in by_trace.items():
            trace = self._trace_row(trace_id, members.keys())
            for span in members.values():
                number = self._next_span
                self._next_span += 1
                rows.append(
                    {
                        "span": number,
                        "trace": trace,
                        "span_id": span.span_id,
                        "operation": self._operation_row(span.service, span.name, span.kind),
                        "origin": self._origin_row(span.origin),
                        "start_ns": span.start_ns,
                        "duration_ns": span.end_ns - span.start_ns,
                        "body": span.body,
                    }
                )
                tags += [{"tag": _hash(*tag), "span": number} for tag in span.searchable]
        self._writer.executemany(_SQL["add_span"], rows)
        self._writer.executemany(_SQL["add_tag"], tags)

    def _trace_row(self, trace_id: bytes, arriving: Iterable[bytes]) -> int:
        key = {"trace_id": trace_id, "received_s": int(self._clock())}
        added = self._writer.execute(_SQL["add_trace"], key)
        if added.rowcount == 1 and added.lastrowid is not None:
            return added.lastrowid
        trace: int = self._writer.execute(_SQL["find_trace"], key).fetchone()[0]
        again = set(arriving)
        held = self._writer.execute(_SQL["spans_held"], {"trace": trace}).fetchall()
        self._forget_spans([(span, body) for span, span_id, body in held if span_id in again])
        return trace

    def _operation_row(self, service: str, name: str, kind: int) -> int:
        known = self._operations.get((service, name, kind))
        if known is None:
            key = {"service": service, "name": name, "kind": kind}
            self._writer.execute(_SQL["add_operation"], key)
            known = int(self._writer.execute(_SQL["find_operation"], key).fetchone()[0])
            self._operations[service, name, kind] = known
        return known

    def _origin_row(self, body: bytes) -> int:
        known = self._origins.get(body)
        if known is None:
            self._writer.execute(_SQL["add_origin"], {"body": body})
            known = int(self._writer.execute(_SQL["find_origin"], {"body": body}).fetchone()[0])
            self._origins[body] = known
        return known

    def _by_tags(self, search: TraceSearch) -> list[bytes]:
        wanted = set(search.tags.items())
        driving = min((_hash(key, value) for key, value in wanted), key=self._frequency)
        found: dict[bytes, None] = {}
        bounds = {
            "tag": driving,
            "service": search.service,
            "name": search.operation,
            **_bounds(search),
        }
        with closing(self._reader.execute(_SQL["spans_by_tag"], bounds)) as rows:
            for trace_id, body in rows:
                if trace_id not in found and wanted <= set(searchable_tags(Span.FromString(body))):
                    found[trace_id] = None
                    if len(found) == search.limit:
                        break
        return list(found)

    def _by_operation(self, search: TraceSearch) -> list[bytes]:
        named = {"service": search.service, "name": search.operation}
        latest: dict[bytes, int] = {}
        for operation in self._reader.execute(_SQL["operations"], named).fetchall():
            bounds = {"operation": operation[0], **_bounds(search)}
            seen: set[bytes] = set()
            with closing(self._reader.execute(_SQL["spans_by_operation"], bounds)) as rows:
                for trace_id, start_ns in rows:
                    latest[trace_id] = max(start_ns, latest.get(trace_id, 0))
                    seen.add(trace_id)
                    if len(seen) == search.limit:
                        break
        return sorted(latest, key=latest.__getitem__, reverse=True)[: search.limit]

    def _frequency(self, tag: int) -> int:
        limits = {"tag": tag, "limit": _FREQUENT}
        return int(self._reader.execute(_SQL["tag_frequency"], limits).fetchone()[0])

    def _load(self, trace_id: bytes) -> StoredTrace | None:
        rows = self._reader.execute(_SQL["spans_of_trace"], {"trace_id": trace_id}).fetchall()
        spans = [
            StoredSpan(Span.FromString(body), ResourceSpans.FromString(origin))
            for body, origin in rows
        ]
        if not spans:
            return None
        return StoredTrace(trace_id, tuple(sorted(spans, key=_place_in_trace)))

    def _size(self) -> int:
        return int(self._writer.execute(_SQL["size"]).fetchone()[0])

    def _evict(self) -> None:
        before_s = int(self._clock()) - self._retention_s
        self._forget_while(lambda: True, "expired_traces", before_s)
        if self._size() > self._max_bytes:
            floor = int(self._max_bytes * _KEPT_SHARE)
            self._forget_while(lambda: self._size() > floor, "oldest_traces", before_s)
            if self._writer.execute(_SQL["count_origins"]).fetchone()[0] > _TOO_MANY_ORIGINS:
                self._writer.execute(_SQL["forget_unused_origins"])
                self._origins.clear()
            # As a script, since it gives back one page per step and `execute` takes a single one.
            self._writer.executescript("PRAGMA incremental_vacuum")

    def _forget_while(self, needed: Callable[[], bool], query: str, before_s: int) -> None:
        key = {"before_s": before_s, "traces": _EVICTED_AT_ONCE}
        while needed():
            traces = [row[0] for row in self._writer.execute(_SQL[query], key)]
            if not traces:
                return
            with self._transaction():
                for trace in traces:
                    held = self._writer.execute(_SQL["spans_held"], {"trace": trace}).fetchall()
                    self._forget_spans([(span, body) for span, _, body in held])
                    self._writer.execute(_SQL["forget_trace"], {"trace": trace})

    def _forget_spans(self, spans: Sequence[tuple[int, bytes]]) -> None:
        tags = [
            {"tag": _hash(*tag), "span": span}
            for span, body in spans
            for tag in searchable_tags(Span.FromString(body))
        ]
        self._writer.executemany(_SQL["forget_tag"], tags)
        self._writer.executemany(_SQL["forget_span"], [{"span": span} for span, _ in spans])


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    # A crash of the machine may cost the last moments of tracing, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
    return connection


def _hash(key: str, value: str) -> int:
    digest = blake2b(f"{key}\0{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _bounds(search: TraceSearch) -> dict[str, int]:
    return {
        "start_min_ns": search.start_min_ns,
        "start_max_ns": search.start_max_ns,
        "duration_min_ns": search.duration_min_ns,
        "duration_max_ns": search.duration_max_ns,
    }


def _start_of(trace: StoredTrace) -> int:
    return trace.spans[0].span.start_time_unix_nano


def _place_in_trace(stored: StoredSpan) -> tuple[bool, int]:
    return bool(stored.span.parent_span_id), stored.span.start_time_unix_nano
