"""`outbound-slo trace export|analyze`: traces into a file, and the numbers of such a file (000)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from outbound_slo.vocabulary.spans import SpanName
from tracing.analysis import measure, summarize
from tracing.arguments import (
    AsJson,
    Limit,
    Lookback,
    MaxDuration,
    MinDuration,
    Operation,
    Service,
    Url,
    give_up,
    print_json,
    read_query,
)
from tracing.interchange import load_document, save_document, write_document
from tracing.jaeger import DEFAULT_SERVICE, DEFAULT_URL, JaegerClient
from tracing.search_commands import print_latency

_STDOUT = "-"
# A thousand traces are some ten megabytes, which a busy server takes its time for.
_TIMEOUT_S = 120.0


def register(app: typer.Typer) -> None:
    """Add these commands to `outbound-slo trace`."""
    app.command("export")(export_traces)
    app.command("analyze")(analyze_file)


def export_traces(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="File to write; - for stdout.")],
    operation: Operation = SpanName.WHATSAPP_SEND.value,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "24h",
    limit: Limit = 1000,
) -> None:
    """Write the latest traces as JSON for Jaeger's page and jq; exit code 1 if there is none.

    The file appears whole or not at all. It has the form of Jaeger's /api/traces, whichever API the
    server speaks. --operation "" takes traces of every kind. --json prints what was done as data.
    """
    query = read_query(lookback, limit, operation or None, min_duration, max_duration)
    client = JaegerClient(url, service=service, timeout_s=_TIMEOUT_S)
    answer = client.ask(query)
    if not answer.traces:
        give_up(f"no trace found at {url}: {operation or 'any operation'}, last {lookback}")
    document = write_document(answer)
    if out == _STDOUT:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    save_document(document, Path(out))
    if as_json:
        print_json({"traces": len(answer.traces), "file": out})
    else:
        typer.echo(f"{len(answer.traces)} traces written to {out}")


def analyze_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Export of ours, or of Jaeger's.")],
    operation: Annotated[
        str | None,
        typer.Option("--operation", help="Span to measure; without it each trace's root."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how long the traces of an exported file took; exit code 1 if it holds none."""
    traces = load_document(file)
    summary = summarize(measure(traces, operation))
    if summary is None:
        if as_json:
            print_json(None)
        give_up(f"no trace in {file}" + (f" has a span {operation}" if operation else ""))
    measured = operation or "root span of each trace"
    print_latency(summary, f"{file}: {measured}", as_json=as_json)
