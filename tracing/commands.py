"""`outbound-slo trace`: a message's story by its id, searches, and the embedded store."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.jaeger import DEFAULT_LIMIT, DEFAULT_SERVICE, DEFAULT_URL, JaegerClient
from tracing.store.archive import DEFAULT_MAX_BYTES, DEFAULT_RETENTION_S, TraceArchive
from tracing.store.server import serve
from tracing.traces import Trace, show_trace
from tracing.tree import draw_message, draw_trace, list_traces

app = typer.Typer(
    help="The story of a message, from its traces.", no_args_is_help=True, add_completion=False
)

_NOTHING_FOUND = 1
_PIPED_WIDTH = 200
_MIB = 1024 * 1024
_S_PER_DAY = 24 * 3600
_LOOKBACK = re.compile(r"(\d{1,4})([smhd])")
_LOOKBACK_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SEPARATORS = re.compile(r"[\s().\-/]")
_NUMBER = re.compile(r"\+?\d{5,15}")

Url = Annotated[
    str,
    typer.Option("--url", envvar="OUTBOUND_JAEGER_URL", help="Jaeger's query service, or ours."),
]
Service = Annotated[
    str, typer.Option("--service", help="service.name under which the sender's spans are filed.")
]
Lookback = Annotated[str, typer.Option("--lookback", help="How far back to look: 90m, 24h, 7d.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Traces at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Plain data for programs.")]


@app.command("message")
def show_message(
    message_id: Annotated[int, typer.Argument(metavar="ID", help="outbound_message.id")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "7d",
) -> None:
    """Draw every attempt of one message with its webhooks; exit code 1 if no trace names it."""
    client = JaegerClient(url, service=service)
    traces = client.traces_of_message(message_id, lookback=_read_lookback(lookback))
    if as_json:
        _print_json(traces)
    elif traces:
        _console().print(draw_message(message_id, traces))
    if not traces:
        _give_up(f"no trace names message {message_id} in the last {lookback} at {url}")


@app.command("show")
def show_one(
    trace_id: Annotated[str, typer.Argument(metavar="TRACE_ID", help="Hexadecimal.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Draw one trace by its id; exit code 1 if the server has no such."""
    trace = JaegerClient(url).trace(trace_id)
    if trace is None:
        _give_up(f"no trace {trace_id} at {url}")
    elif as_json:
        _print_json([trace])
    else:
        _console().print(draw_trace(trace))


@app.command("errors")
def list_errors(
    code: Annotated[str, typer.Option("--code", help="Error code, as 131016.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "6h",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List the latest traces with an error code; exit code 1 if there is none."""
    client = JaegerClient(url, service=service)
    traces = client.traces_with_error(code, lookback=_read_lookback(lookback), limit=limit)
    _list(traces, f"error code {code}, last {lookback}", url, as_json=as_json)


@app.command("recipient")
def list_recipient(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="E.164 number, spaces allowed, or an address.")
    ],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "24h",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List the latest attempts to one recipient; exit code 1 if there is none."""
    recipient = _read_recipient(number)
    client = JaegerClient(url, service=service)
    traces = client.traces_to(recipient, lookback=_read_lookback(lookback), limit=limit)
    _list(traces, f"recipient {recipient}, last {lookback}", url, as_json=as_json)


@app.command("serve")
def serve_store(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 16686,
    path: Annotated[Path, typer.Option(help="The SQLite file.")] = Path("traces.db"),
    max_mib: Annotated[
        int, typer.Option("--max-mib", min=1, help="Size of the file; the oldest traces go first.")
    ] = DEFAULT_MAX_BYTES // _MIB,
    retention_days: Annotated[
        float, typer.Option("--retention-days", min=0.0, help="Age at which traces go.")
    ] = DEFAULT_RETENTION_S / _S_PER_DAY,
) -> None:
    """Run the embedded trace store: OTLP in (POST /v1/traces), Jaeger's query APIs out."""
    archive = TraceArchive(
        path, max_bytes=max_mib * _MIB, retention_s=int(retention_days * _S_PER_DAY)
    )

    def announce(url: str) -> None:
        typer.echo(f"trace store listening on {url}, keeping {path} below {max_mib} MiB")

    try:
        asyncio.run(serve(archive, host, port, announce=announce))
    finally:
        archive.close()


def _list(traces: Sequence[Trace], title: str, url: str, *, as_json: bool) -> None:
    if as_json:
        _print_json(traces)
    elif traces:
        _console().print(list_traces(traces, title))
    if not traces:
        _give_up(f"no trace found at {url}: {title}")


def _console() -> Console:
    # Into a pipe or a file lines are not broken at the 80 columns that rich assumes there.
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=_PIPED_WIDTH if piped else None)


def _print_json(traces: Sequence[Trace]) -> None:
    typer.echo(json.dumps([show_trace(trace) for trace in traces], indent=2, ensure_ascii=False))


def _give_up(line: str) -> None:
    typer.echo(line, err=True)
    raise typer.Exit(_NOTHING_FOUND)


def _read_lookback(text: str) -> timedelta:
    match = _LOOKBACK.fullmatch(text)
    if match is None:
        raise UserMistake(f"--lookback {text!r} is not a span of time", "Write 90m, 24h or 7d")
    return timedelta(**{_LOOKBACK_UNITS[match[2]]: int(match[1])})


def _read_recipient(text: str) -> str:
    if "@" in text:
        return text.strip()
    number = _SEPARATORS.sub("", text)
    if _NUMBER.fullmatch(number) is None:
        raise UserMistake(
            f"{text!r} is neither a telephone number nor an address", "Write it as +33612345678"
        )
    return number
