"""What tracing costs: `make bench-tracing`. Its last line of output is one JSON object.

The same stories are told through our tracing and through the stock SDK (batch processor, OTLP over
HTTP, protobuf), in turns in one process; a sink in another process takes what they export. CPU time
is that of the whole process, exporter threads included; the least of all rounds counts, since other
work on the machine can only add.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from benchmarks.report import Goal, Report
from benchmarks.stories import SPANS, Story, tell_ours, tell_stock
from benchmarks.trace_store import measure_load, measure_search
from outbound_slo.embedded.processes import Supervisor, pick_port, tcp_probe
from tracing.setup import Tracing, start_tracing

GOALS = (
    Goal("cpu_vs_stock_sdk", "CPU per message, made and exported, over the SDK's", at_most=0.25),
    Goal("make_vs_sdk", "CPU to make spans, over the SDK's"),
    Goal("export_vs_sdk", "CPU to encode and post them, over the SDK's"),
    Goal("us_per_span", "µs of CPU per span: made, encoded and posted"),
    Goal("make_us_per_span", "µs to make a span, its bytes included"),
    Goal("export_us_per_span", "µs to queue and post it"),
    Goal("off_us_per_span", "µs with no collector: ids only"),
    Goal("sdk_us_per_span", "µs by the SDK: made, encoded and posted"),
    Goal("dropped_at_1000_per_second", "spans dropped at 1,000 messages/s", at_most=0),
    Goal("processor_at_1000_per_second", "share of a processor taken at 1,000 messages/s"),
    Goal("store_lost", "spans neither stored nor counted as dropped, at that rate", at_most=0),
    Goal("store_dropped", "spans dropped and counted, six a message"),
    Goal("store_behind", "spans that still waited when the last was told"),
    Goal("store_spans_per_second", "spans stored a second"),
    Goal("query_vs_scan", "a message by its id over a scan of all spans", at_most=0.05),
    Goal("query_ms", "ms that it takes, over HTTP"),
)

_RATE = 1000
_TICK_S = 0.01


def run_benchmark(
    messages: Annotated[int, typer.Option(min=100, help="Per round.")] = 300,
    rounds: Annotated[int, typer.Option(min=1)] = 25,
    paced_s: Annotated[float, typer.Option(min=1, help="Seconds at 1,000 messages/s.")] = 10,
    stored: Annotated[
        int, typer.Option(min=1000, help="Attempts of six spans among which one is found.")
    ] = 170_000,
) -> None:
    """Measure what tracing costs beside the stock SDK."""
    report = Report(GOALS)
    with tempfile.TemporaryDirectory() as directory, Supervisor(Path(directory)) as supervisor:
        port = pick_port()
        supervisor.start(
            "sink", [sys.executable, "-m", "benchmarks.sink", str(port)], ready=tcp_probe(port)
        )
        collector = f"http://127.0.0.1:{port}"
        _compare(report, collector, messages, rounds)
        _pace(report, collector, paced_s)
        measure_load(report, supervisor, Path(directory), paced_s)
        measure_search(report, supervisor, Path(directory), stored)
    report.finish()


def _compare(report: Report, collector: str, messages: int, rounds: int) -> None:
    measures: dict[str, Callable[[], float]] = {
        "ours_off": partial(_measure_ours, start_tracing, messages),
        "ours_make": partial(_measure_ours, partial(start_tracing, sinks=[_discard]), messages),
        "ours_export": partial(
            _measure_ours,
            partial(start_tracing, endpoint=collector, queue_capacity=messages * SPANS),
            messages,
        ),
        "sdk_make": partial(_measure_stock, None, messages),
        "sdk_export": partial(_measure_stock, collector, messages),
    }
    spent: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, measure in measures.items():
            spent[name].append(measure() / (messages * SPANS) * 1e6)
    report.show_rows(
        f"µs of CPU per span, {rounds} rounds of {messages} messages",
        [{"": name, "least": min(found), "most": max(found)} for name, found in spent.items()],
    )
    least = {name: min(found) for name, found in spent.items()}
    report.note("cpu_vs_stock_sdk", least["ours_export"] / least["sdk_export"])
    report.note("make_vs_sdk", least["ours_make"] / least["sdk_make"])
    exporting = least["ours_export"] - least["ours_make"]
    report.note("export_vs_sdk", exporting / (least["sdk_export"] - least["sdk_make"]))
    report.note("us_per_span", least["ours_export"])
    report.note("make_us_per_span", least["ours_make"])
    report.note("export_us_per_span", exporting)
    report.note("off_us_per_span", least["ours_off"])
    report.note("sdk_us_per_span", least["sdk_export"])


def _discard(_: bytes) -> None:
    """Take a span that is only to be made."""


def _measure_ours(start: Callable[[], Tracing], messages: int) -> float:
    """Give the CPU seconds of so many stories, with what follows them."""
    tracing = start()
    began = time.process_time()
    _tell(tell_ours(tracing), 0, messages)
    tracing.shutdown(60)
    spent = time.process_time() - began
    if tracing.dropped():
        raise RuntimeError(f"{tracing.dropped()} spans were dropped: the figures mean nothing")
    return spent


def _measure_stock(collector: str | None, messages: int) -> float:
    processor: SpanProcessor = SpanProcessor()
    if collector is not None:
        # Room for all: what the default queue drops when flooded would cost it nothing.
        processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=f"{collector}/v1/traces"), max_queue_size=messages * SPANS
        )
    provider = TracerProvider(
        resource=Resource.create({"service.name": "backend"}),
        span_limits=SpanLimits(max_attribute_length=2048),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    began = time.process_time()
    _tell(tell_stock(provider), 0, messages)
    provider.shutdown()
    return time.process_time() - began


def _tell(story: Story, first: int, end: int) -> None:
    for number in range(first, end):
        story(number)


def _pace(report: Report, collector: str, seconds: float) -> None:
    """Tell 1,000 stories a second, as a sender would: many at once, then a wait."""
    messages = round(seconds * _RATE)
    tracing = start_tracing(endpoint=collector)
    story = tell_ours(tracing)
    told = 0
    began, spent = time.monotonic(), time.process_time()
    while told < messages:
        due = min(round((time.monotonic() - began) * _RATE), messages)
        _tell(story, told, due)
        told = due
        time.sleep(_TICK_S)
    tracing.shutdown(60)
    took = time.monotonic() - began
    report.tell(f"{told} messages in {took:.1f} s: {tracing.counts()}")
    report.note("processor_at_1000_per_second", (time.process_time() - spent) / seconds)
    report.note("dropped_at_1000_per_second", tracing.dropped())


if __name__ == "__main__":
    typer.run(run_benchmark)
