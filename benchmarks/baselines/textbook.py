"""The textbook worker: 64 threads, `requests`, a transaction per message, the stock SDK's tracing.

What most outbox tutorials end with: claim one row, note the attempt, call, update, commit. The
spans are as many as ours and hold as many attributes.
"""

import threading

import psycopg
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from benchmarks.baselines.job import Job, build_body, read_job, read_order
from outbound_slo.database import load_queries

THREADS = 64

_QUERIES = load_queries("benchmarks.baselines", "textbook.sql")
_SPANS_INSIDE = ("session.window.check", "http.client.request", "database.save", "metrics.record")


def _start_tracing(collector: str) -> tuple[TracerProvider, Tracer]:
    provider = TracerProvider(resource=Resource.create({"service.name": "backend"}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{collector}/v1/traces"))
    )
    return provider, provider.get_tracer("textbook")


def _tags(number: int, recipient: str) -> dict[str, str | int | bool]:
    return {
        "message.id": number,
        "message.channel": "WHATSAPP",
        "message.attempt": 1,
        "message.to": recipient[:6] + "****",
        "orgId": "bench-0",
        "template.code": "appointment_reminder",
        "has.template": True,
        "circuit.breaker.state": "CLOSED",
        "sessionId": f"session-{number}",
        "status": "SENT",
    }


def _send_one(
    job: Job, connection: psycopg.Connection, session: requests.Session, tracer: Tracer
) -> bool:
    """Send the next message in a transaction of its own; False where the queue is empty."""
    with connection.transaction():
        row = connection.execute(_QUERIES["claim"].encode()).fetchone()
        if row is None:
            return False
        number, recipient, _ = row
        tags = _tags(number, recipient)
        with (
            tracer.start_as_current_span("outbound.message.process", attributes=tags),
            tracer.start_as_current_span("whatsapp.cloud.send", attributes=tags),
        ):
            with tracer.start_as_current_span(_SPANS_INSIDE[0], attributes=tags):
                connection.execute(_QUERIES["attempt"].encode(), {"id": number})
            with tracer.start_as_current_span(_SPANS_INSIDE[1], attributes=tags):
                answer = session.post(
                    job.url, json=build_body(number, recipient), headers=job.headers, timeout=10
                )
                answer.raise_for_status()
            with tracer.start_as_current_span(_SPANS_INSIDE[2], attributes=tags):
                values = {"id": number, "provider_id": answer.json()["messages"][0]["id"]}
                connection.execute(_QUERIES["finish"].encode(), values)
            with tracer.start_as_current_span(_SPANS_INSIDE[3], attributes=tags):
                pass
    return True


def _work(job: Job, tracer: Tracer) -> None:
    with (
        psycopg.connect(job.database, autocommit=True) as connection,
        requests.Session() as session,
    ):
        while _send_one(job, connection, session, tracer):
            pass


def main() -> None:
    """Fill the queue, or work until it is empty."""
    filling, messages = read_order()
    job = read_job()
    if filling:
        with psycopg.connect(job.database) as connection:
            connection.execute(_QUERIES["create"].encode())
            connection.execute(_QUERIES["fill"].encode(), {"messages": messages})
            connection.execute("ANALYZE")
        return
    provider, tracer = _start_tracing(job.collector)
    threads = [threading.Thread(target=_work, args=(job, tracer)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    provider.shutdown()


if __name__ == "__main__":
    main()
