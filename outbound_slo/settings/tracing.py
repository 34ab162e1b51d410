"""Where spans go, by OpenTelemetry's variables, and where they are asked for."""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from outbound_slo.settings.environment import Environment, variable
from outbound_slo.vocabulary.transport import TracePipeline, TraceProtocol


def _otlp(name: str) -> AliasChoices:
    """Name a variable of OTLP, whose form for traces alone goes first."""
    return AliasChoices(f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}")


class TracingSettings(Environment):
    """Where spans go and where they are asked for (000; OpenTelemetry's standard variables)."""

    # OpenTelemetry: an empty variable counts as one that is not set.
    model_config = SettingsConfigDict(env_ignore_empty=True)

    endpoint: str | None = Field(
        default=None,
        validation_alias=variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
        description=(
            "The OTLP collector's address; over HTTP `/v1/traces` is added. Unset, as the one for "
            "traces: spans are made but not exported."
        ),
    )
    traces_endpoint: str | None = Field(
        default=None,
        validation_alias=variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        description="The same for traces alone; over HTTP nothing is added to it.",
    )
    protocol: TraceProtocol = Field(
        default=TraceProtocol.HTTP,
        validation_alias=_otlp("PROTOCOL"),
        description="`grpc` needs the extra `grpc`.",
    )
    insecure: bool = Field(
        default=False,
        validation_alias=_otlp("INSECURE"),
        description="No TLS, for gRPC where the address says neither `http://` nor `https://`.",
    )
    timeout_ms: int = Field(
        default=5000,
        ge=1,
        validation_alias=_otlp("TIMEOUT"),
        description="Milliseconds after which a batch is given up, tries and waits together.",
    )
    pipeline: TracePipeline = Field(
        default=TracePipeline.LEAN,
        validation_alias=variable("OUTBOUND_TRACE_PIPELINE"),
        description="`sdk`: OpenTelemetry's own processor and exporter; needs the extra `sdk`.",
    )
    service_name: str = Field(default="backend", validation_alias=variable("OTEL_SERVICE_NAME"))
    resource_attributes: str = Field(
        default="",
        validation_alias=variable("OTEL_RESOURCE_ATTRIBUTES"),
        description="Further attributes of the service: `key=value,key=value`.",
    )
    disabled: bool = Field(
        default=False,
        validation_alias=variable("OTEL_SDK_DISABLED"),
        description="True exports nothing, whatever the endpoint.",
    )
    sampler: str = Field(
        default="always_on",
        validation_alias=variable("OTEL_TRACES_SAMPLER"),
        description="Which traces are exported from their start: `always_on`, `always_off`, "
        "`traceidratio`, or `parentbased_…` of these, where the caller's decision goes first. "
        "Attempts that failed, were slow or stayed unknown are exported in any case.",
    )
    sampler_arg: str | None = Field(
        default=None,
        validation_alias=variable("OTEL_TRACES_SAMPLER_ARG"),
        description="Share of traces for `traceidratio`, 0 to 1; 1 unless given.",
    )
    slow_ms: int = Field(
        default=1000,
        ge=1,
        validation_alias=variable("OUTBOUND_TRACE_SLOW_MS"),
        description="A provider's call that takes longer is slow (000: potential timeout).",
    )
    recipients: Literal["plain", "masked", "hashed"] = Field(
        default="plain",
        validation_alias=variable("OUTBOUND_TRACE_RECIPIENTS"),
        description="How spans name recipients: as they are, by their last four characters, or by "
        "a keyed hash. `trace recipient` reads the same variable.",
    )
    recipient_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=variable("OUTBOUND_TRACE_RECIPIENT_KEY"),
        description="Key of the hash, of some thirty random characters; the same everywhere.",
    )
    headers: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_otlp("HEADERS"),
        description="Sent to the collector: `name=value,name=value`, special characters as `%2C`.",
    )
    compression: str | None = Field(
        default=None,
        pattern="^(gzip|none)$",
        validation_alias=_otlp("COMPRESSION"),
        description="Unset: gzip, but nothing for a collector on this machine.",
    )
    certificate: str | None = Field(
        default=None,
        validation_alias=_otlp("CERTIFICATE"),
        description="File of the certificates to trust instead of the usual ones.",
    )
    client_certificate: str | None = Field(
        default=None,
        validation_alias=_otlp("CLIENT_CERTIFICATE"),
        description="File of our own certificate, for a collector that asks for one.",
    )
    client_key: str | None = Field(
        default=None, validation_alias=_otlp("CLIENT_KEY"), description="File of its key."
    )


class ToolSettings(Environment):
    """Where commands find the services they ask."""

    jaeger_url: str = Field(
        default="http://127.0.0.1:16686", validation_alias=variable("OUTBOUND_JAEGER_URL")
    )
