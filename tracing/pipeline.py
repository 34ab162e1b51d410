"""The way out for finished spans, as the options choose it."""

import os
from collections.abc import Mapping
from typing import Protocol

from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol
from tracing.collector import Collector
from tracing.export import SpanCounts, SpanExport
from tracing.http_collector import HttpCollector
from tracing.options import CollectorOptions
from tracing.wire import RequestWriter


class Pipeline(Protocol):
    """Takes finished spans, exports them, and tells how many were lost; any thread may call it."""

    def take(self, span: bytes) -> None:
        """Queue a finished span, an OTLP `Span` as bytes, or count it as dropped; never waits."""

    def counts(self) -> SpanCounts:
        """Give the counts of this moment."""

    def close(self, timeout_s: float) -> None:
        """Export what waits for at most `timeout_s` seconds; the rest counts as dropped."""


def open_pipeline(
    endpoint: str,
    options: CollectorOptions,
    resource: Mapping[str, str],
    scope: str,
    *,
    capacity: int,
) -> Pipeline:
    """Open the way out that the options ask for.

    Args:
        endpoint: The collector's address.
        options: How to talk to it, and through which pipeline.
        resource: Attributes of the service.
        scope: Name of the instrumentation scope.
        capacity: Spans that may wait; the SDK's queue has a bound of its own, OTEL_BSP_*.

    Raises:
        UserMistake: The address does not fit, or a package is missing.

    """
    if options.protocol is TraceProtocol.GRPC:
        # gRPC's own lines about every handshake that fails would stand between those of our log.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if options.pipeline is TracePipeline.SDK:
        try:
            from tracing.sdk_pipeline import open_sdk_pipeline  # noqa: PLC0415 - of an extra

            return open_sdk_pipeline(endpoint, options, resource, scope)
        except ImportError as error:
            raise _miss("OUTBOUND_TRACE_PIPELINE is sdk", "sdk", error) from error
    return SpanExport(
        open_collector(endpoint, options), RequestWriter(resource, scope), capacity=capacity
    )


def open_collector(endpoint: str, options: CollectorOptions) -> Collector:
    """Give the collector that speaks the options' protocol; nothing is connected yet.

    Raises:
        UserMistake: The address does not fit, or a package is missing.

    """
    if options.protocol is TraceProtocol.HTTP:
        return HttpCollector(endpoint, options)
    try:
        from tracing.grpc_collector import GrpcCollector  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise _miss("OTEL_EXPORTER_OTLP_PROTOCOL is grpc", "grpc", error) from error
    return GrpcCollector(endpoint, options)


def _miss(setting: str, extra: str, error: ImportError) -> UserMistake:
    return UserMistake(
        f"{setting}, and the Python package {error.name} is not installed",
        f"Install it with: pip install 'outbound-slo[{extra}]'",
    )
