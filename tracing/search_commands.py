"""The searches of `outbound-slo trace`: queries 2 to 8 of runbook 000 as commands."""

from collections.abc import Sequence
from typing import Annotated

import typer

from outbound_slo.settings import TracingSettings
from outbound_slo.vocabulary.spans import SpanName
from tracing.analysis import SLOW_S, LatencySummary
from tracing.arguments import (
    AsJson,
    Limit,
    Lookback,
    MaxDuration,
    MessageId,
    MinDuration,
    Operation,
    Service,
    Url,
    give_up,
    print_json,
    print_rows,
    read_query,
    read_recipient,
    show_milliseconds,
    show_plainly,
)
from tracing.jaeger import DEFAULT_LIMIT, DEFAULT_SERVICE, DEFAULT_URL, JaegerClient
from tracing.queries import (
    find_attempts,
    find_closed_windows,
    find_deliveries,
    find_errors,
    find_open_breakers,
    find_recipient,
    measure_sends,
)
from tracing.rows import Delivery, FoundTrace
from tracing.setup import read_recipients
from tracing.tree import show_duration, show_moment


def register(app: typer.Typer) -> None:
    """Add these commands to `outbound-slo trace`."""
    app.command("errors")(list_errors)
    app.command("recipient")(list_recipient)
    app.command("latency")(show_latency)
    app.command("breaker")(list_breaker)
    app.command("delivery")(show_delivery)
    app.command("attempts")(list_attempts)
    app.command("sessions")(list_sessions)


def list_errors(
    code: Annotated[str, typer.Option("--code", help="Error code, as 131016.")],
    operation: Operation = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "6h",
    limit: Limit = 100,
) -> None:
    """List the latest traces with an error code; exit code 1 if there is none (000, query 2).

    000 asks for --operation whatsapp-cloud-api-send; without it the other providers' answers and
    webhooks that brought the code are found too.
    """
    query = read_query(lookback, limit, operation, min_duration, max_duration)
    found = find_errors(JaegerClient(url, service=service), code, query)
    _list_traces(found, f"error code {code}, last {lookback}", url, as_json=as_json)


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
    """List the latest attempts to one recipient; exit code 1 if there is none (000, query 3).

    OUTBOUND_TRACE_RECIPIENTS and its key have to be those of the sender.
    """
    recipient = read_recipients(TracingSettings.read()).write(read_recipient(number))
    client = JaegerClient(url, service=service)
    found = find_recipient(client, recipient, read_query(lookback, limit))
    _list_traces(found, f"recipient {recipient}, last {lookback}", url, as_json=as_json)


def show_latency(
    operation: Annotated[
        str, typer.Option("--operation", help="Span whose duration is measured.")
    ] = SpanName.OUTBOUND_MESSAGE_PROCESS.value,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "1h",
    limit: Limit = 500,
) -> None:
    """Say how long accepted sends took; exit code 1 if there were none (000, query 4)."""
    query = read_query(lookback, limit, operation, min_duration, max_duration)
    summary = measure_sends(JaegerClient(url, service=service), query)
    title = f"{operation} with status SENT, last {lookback}"
    if summary is None:
        if as_json:
            print_json(None)
        give_up(f"no trace found at {url}: {title}")
    print_latency(summary, f"{title}, {limit} traces at most", as_json=as_json)


def list_breaker(
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "6h",
    limit: Limit = 100,
) -> None:
    """List attempts that met an open circuit breaker; exit code 1 if none did (000, query 5)."""
    found = find_open_breakers(JaegerClient(url, service=service), read_query(lookback, limit))
    rows = [
        (
            _show_start(each.start_us),
            each.channel or "-",
            "-" if each.failure_rate is None else f"{each.failure_rate:g} %",
            each.trace_id,
        )
        for each in found
    ]
    columns = ("started (UTC)", "channel", "failure rate", "trace")
    title = f"circuit breaker open, last {lookback}"
    _list(found, rows, columns, title, url, as_json=as_json)


def show_delivery(
    message_id: MessageId,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "7d",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """Join accepted attempts with their webhooks; exit code 1 if none was (000, query 6)."""
    client = JaegerClient(url, service=service)
    found = find_deliveries(client, message_id, read_query(lookback, limit))
    if as_json:
        print_json(show_plainly(found))
    else:
        for delivery in found:
            typer.echo("\n".join(_tell_delivery(message_id, delivery)))
    if not found:
        give_up(
            f"no trace at {url} tells that a provider accepted message {message_id} "
            f"in the last {lookback}"
        )


def list_attempts(
    message_id: MessageId,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "7d",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List all attempts at a message by start; exit code 1 if there is none (000, query 7)."""
    client = JaegerClient(url, service=service)
    found = find_attempts(client, message_id, read_query(lookback, limit))
    rows = [
        (
            "?" if each.attempt is None else each.attempt,
            _show_start(each.start_us),
            each.status or "-",
            each.error_code or "-",
            each.trace_id,
        )
        for each in found
    ]
    columns = ("no", "started (UTC)", "status", "error", "trace")
    title = f"attempts at message {message_id}, last {lookback}"
    _list(found, rows, columns, title, url, as_json=as_json)


def list_sessions(
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    service: Service = DEFAULT_SERVICE,
    lookback: Lookback = "6h",
    limit: Limit = 100,
) -> None:
    """List WhatsApp attempts outside the 24-hour window; exit code 1 if none (000, query 8)."""
    found = find_closed_windows(JaegerClient(url, service=service), read_query(lookback, limit))
    rows = [
        (
            "-" if each.message_id is None else each.message_id,
            {True: "yes", False: "no", None: "-"}[each.has_template],
            each.recipient or "-",
            each.trace_id,
        )
        for each in found
    ]
    columns = ("message", "template", "number", "trace")
    title = f"outside the 24-hour session window, last {lookback}"
    _list(found, rows, columns, title, url, as_json=as_json)


def print_latency(summary: LatencySummary, title: str, *, as_json: bool) -> None:
    """Print a summary of durations, in seconds."""
    if as_json:
        print_json(show_plainly(summary))
        return
    typer.echo(title)
    typer.echo(f"count            {summary.count}")
    typer.echo(f"over {SLOW_S:g} s        {summary.slow}")
    for name, seconds in (
        ("mean", summary.mean_s),
        ("std deviation", summary.stddev_s),
        ("p50", summary.p50_s),
        ("p95", summary.p95_s),
        ("p99", summary.p99_s),
    ):
        typer.echo(f"{name:<16} {seconds:.3f} s")


def _list_traces(found: Sequence[FoundTrace], title: str, url: str, *, as_json: bool) -> None:
    rows = [
        (
            _show_start(each.start_us),
            _name_attempt(each),
            each.status or "-",
            show_duration(each.duration_us),
            each.trace_id,
        )
        for each in found
    ]
    columns = ("started (UTC)", "message", "status", "took", "trace")
    _list(found, rows, columns, title, url, as_json=as_json)


def _list(
    found: Sequence[object],
    rows: Sequence[Sequence[object]],
    columns: Sequence[str],
    title: str,
    url: str,
    *,
    as_json: bool,
) -> None:
    if as_json:
        print_json(show_plainly(found))
    elif found:
        typer.echo(title)
        print_rows(rows, columns)
    if not found:
        give_up(f"no trace found at {url}: {title}")


def _tell_delivery(message_id: int, delivery: Delivery) -> list[str]:
    lines = [
        f"message {message_id}, attempt {delivery.attempt or '?'}, trace {delivery.trace_id}",
        f"  provider message id  {delivery.provider_message_id}",
        f"  sent at              {show_milliseconds(delivery.sent_us)}",
    ]
    for receipt in delivery.receipts:
        received = show_milliseconds(receipt.received_us)
        told = receipt.status or "no status"
        lines.append(f"  webhook received at  {received}  {told} after {receipt.latency_s:.3f} s")
        if receipt.trace_id != delivery.trace_id:
            lines.append(f"    told in a trace of its own: {receipt.trace_id}")
    if not delivery.receipts:
        lines.append("  webhook received at  none yet")
    latency = delivery.latency_s
    lines.append(
        "  delivery latency     " + ("not delivered yet" if latency is None else f"{latency:.3f} s")
    )
    return lines


def _show_start(moment_us: int) -> str:
    return show_moment(moment_us).removesuffix("Z")


def _name_attempt(each: FoundTrace) -> str:
    message = "-" if each.message_id is None else str(each.message_id)
    return message if each.attempt is None else f"{message} #{each.attempt}"
