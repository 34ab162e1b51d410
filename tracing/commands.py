"""`outbound-slo trace`: a message's story by its id, searches, and the embedded store."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from tracing import export_commands, search_commands
from tracing.arguments import (
    AsJson,
    Limit,
    Lookback,
    MessageId,
    Service,
    Url,
    give_up,
    open_console,
    print_json,
    read_query,
    show_plainly,
)
from tracing.explanation import explain_message
from tracing.jaeger import DEFAULT_LIMIT, DEFAULT_SERVICE, DEFAULT_URL, JaegerClient
from tracing.queries import find_message
from tracing.store.archive import DEFAULT_MAX_BYTES, DEFAULT_RETENTION_S, TraceArchive
from tracing.store.server import serve
from tracing.telling import tell_explanation
from tracing.traces import show_trace
from tracing.tree import draw_message, draw_trace

app = typer.Typer(
    help="The story of a message, from its traces.", no_args_is_help=True, add_completion=False
)
search_commands.register(app)
export_commands.register(app)

_MIB = 1024 * 1024
_S_PER_DAY = 24 * 3600


@app.command("message")
def show_message(
    message_id: MessageId,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in words what happened and what to do next.")
    ] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "7d",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """Draw every attempt of one message with its webhooks; exit code 1 if no trace names it."""
    client = JaegerClient(url, service=service)
    traces = find_message(client, message_id, read_query(lookback, limit))
    if not traces:
        if as_json:
            print_json([])
        give_up(f"no trace names message {message_id} in the last {lookback} at {url}")
    if explain:
        explanation = explain_message(message_id, traces, now_us=time.time_ns() // 1000)
        if as_json:
            print_json(show_plainly(explanation))
        else:
            tell_explanation(explanation)
    elif as_json:
        print_json([show_trace(trace) for trace in traces])
    else:
        open_console().print(draw_message(message_id, traces))


@app.command("show")
def show_one(
    trace_id: Annotated[str, typer.Argument(metavar="TRACE_ID", help="Hexadecimal.")],
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Draw one trace by its id; exit code 1 if the server has no such."""
    trace = JaegerClient(url).trace(trace_id)
    if trace is None:
        give_up(f"no trace {trace_id} at {url}")
    elif as_json:
        print_json([show_trace(trace)])
    else:
        open_console().print(draw_trace(trace))


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
