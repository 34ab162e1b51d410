"""Settings, read once from the environment and frozen.

Variables of runbook 002 keep their names. A variable with one of our prefixes that no setting
has is refused, since a misspelt switch that does nothing is found out at night.
"""

import difflib
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.mistakes import UserMistake

OWN_PREFIXES = ("OUTBOUND_", "WHATSAPP_", "TWILIO_", "SENDGRID_")
TOLERATED_PREFIXES = ("OUTBOUND_SLO_",)

BACKOFF_SECONDS = (60.0, 300.0, 900.0, 3600.0, 21600.0)
"""Waits before attempts 2 to 6: 1, 5, 15, 60 and 360 minutes (000, OutboundJobWorker)."""


def _split_seconds(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _check_window(text: str) -> str:
    if text and not _WINDOW.fullmatch(text):
        raise ValueError(f"{text!r} is no part of a day such as 22:00-07:00")
    return text


def _check_redis(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("it does not begin with redis://, rediss:// or unix://")
    try:
        _ = urlsplit(text).port
    except ValueError:
        # Python's own words repeat what was there, which may be a password.
        raise ValueError("its port is no number up to 65535") from None
    return url


def _check_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone such as Africa/Kigali")
    return name


Duration = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[tuple[Duration, ...], NoDecode, BeforeValidator(_split_seconds)]

_WINDOW = re.compile(r"([01]?\d|2[0-3]):[0-5]\d-([01]?\d|2[0-3]):[0-5]\d")
_HTTP_ADDRESS = r"^https?://[^\s/?#]+"


def _variable(name: str) -> AliasChoices:
    return AliasChoices(name)


def _blame(name: str) -> str:
    """Give the general name of an OTLP variable unless its special form is what was set."""
    return name if name in os.environ else name.replace("_TRACES_", "_")


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True)

    @classmethod
    def read(cls) -> Self:
        """Read the process's environment.

        Raises:
            UserMistake: A value has the wrong form, a required one is missing, or a variable
                with one of our prefixes is none of ours.

        """
        refuse_unknown(os.environ)
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = _blame(str(first["loc"][0]))
            if first["type"] == "missing":
                raise UserMistake(f"{name} is not set", "Set it in the environment") from error
            raise UserMistake(
                f"{name} has a value that does not fit: {first['msg'].lower()}",
                "docs/settings.md shows its form",
            ) from None


class DatabaseSettings(_Environment):
    """Where the outbox is."""

    url: str = Field(validation_alias=_variable("DATABASE_URL"))


def _otlp(name: str) -> AliasChoices:
    """Name a variable of OTLP, whose form for traces alone goes first."""
    return AliasChoices(f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}")


class TracingSettings(_Environment):
    """Where spans go and where they are asked for (000; OpenTelemetry's standard variables)."""

    endpoint: str | None = Field(
        default=None,
        validation_alias=_variable("OTEL_EXPORTER_OTLP_ENDPOINT"),
        description="Base URL of an OTLP/HTTP collector; unset: spans are made but not exported.",
    )
    service_name: str = Field(default="backend", validation_alias=_variable("OTEL_SERVICE_NAME"))
    resource_attributes: str = Field(
        default="",
        validation_alias=_variable("OTEL_RESOURCE_ATTRIBUTES"),
        description="Further attributes of the service: `key=value,key=value`.",
    )
    disabled: bool = Field(
        default=False,
        validation_alias=_variable("OTEL_SDK_DISABLED"),
        description="True exports nothing, whatever the endpoint.",
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


class SenderSettings(_Environment):
    """Everything about claiming, sending and retrying (000, 002)."""

    worker_enabled: bool = Field(
        default=True, validation_alias=_variable("OUTBOUND_WORKER_ENABLED")
    )
    batch_size: int = Field(
        default=10, ge=1, le=1000, validation_alias=_variable("OUTBOUND_WORKER_BATCH_SIZE")
    )
    poll_interval_ms: int = Field(
        default=5000, ge=10, validation_alias=_variable("OUTBOUND_WORKER_POLL_INTERVAL_MS")
    )
    concurrency: int = Field(
        default=64, ge=1, le=1000, validation_alias=_variable("OUTBOUND_WORKER_CONCURRENCY")
    )
    strict_order: bool = Field(
        default=False,
        validation_alias=_variable("OUTBOUND_STRICT_ORDER"),
        description="A message waits for every earlier one of its organisation to that recipient.",
    )
    redis_url: Annotated[SecretStr, AfterValidator(_check_redis)] = Field(
        default=SecretStr(""),
        validation_alias=_variable("OUTBOUND_REDIS_URL"),
        description="All senders share the limits per second there; unset: each has its own.",
    )
    drain_s: Duration = Field(
        default=15.0,
        validation_alias=_variable("OUTBOUND_DRAIN_SECONDS"),
        description="After SIGTERM: how long what is in flight may take to end and be written.",
    )
    backoff_seconds: Seconds = Field(
        default=BACKOFF_SECONDS,
        min_length=1,
        validation_alias=_variable("OUTBOUND_RETRY_BACKOFF_SECONDS"),
    )
    retry_jitter: float = Field(
        default=0.1, ge=0, le=1, validation_alias=_variable("OUTBOUND_RETRY_JITTER")
    )
    recovery_window_s: Duration = Field(
        default=600.0, validation_alias=_variable("OUTBOUND_RECOVERY_WINDOW_SECONDS")
    )
    request_timeout_s: Duration = Field(
        default=10.0, validation_alias=_variable("OUTBOUND_REQUEST_TIMEOUT_SECONDS")
    )
    breaker_window: int = Field(
        default=100, ge=2, validation_alias=_variable("OUTBOUND_BREAKER_WINDOW_CALLS")
    )
    breaker_minimum_calls: int = Field(
        default=20, ge=1, validation_alias=_variable("OUTBOUND_BREAKER_MINIMUM_CALLS")
    )
    breaker_failure_rate: float = Field(
        default=50.0,
        gt=0,
        le=100,
        validation_alias=_variable("OUTBOUND_BREAKER_FAILURE_RATE_PERCENT"),
    )
    breaker_slow_call_rate: float = Field(
        default=100.0,
        gt=0,
        le=100,
        validation_alias=_variable("OUTBOUND_BREAKER_SLOW_CALL_RATE_PERCENT"),
    )
    breaker_slow_call_s: Duration = Field(
        default=5.0, validation_alias=_variable("OUTBOUND_BREAKER_SLOW_CALL_SECONDS")
    )
    breaker_open_s: Duration = Field(
        default=60.0, validation_alias=_variable("OUTBOUND_BREAKER_OPEN_SECONDS")
    )
    breaker_probes: int = Field(
        default=5, ge=1, validation_alias=_variable("OUTBOUND_BREAKER_HALF_OPEN_CALLS")
    )
    breaker_probing_s: Duration = Field(
        default=60.0,
        validation_alias=_variable("OUTBOUND_BREAKER_HALF_OPEN_SECONDS"),
        description="Time for the half-open calls to answer; then the breaker opens again.",
    )
    quiet_hours_default: Annotated[str, AfterValidator(_check_window)] = Field(
        default="",
        validation_alias=_variable("OUTBOUND_QUIET_HOURS_DEFAULT"),
        description="As 22:00-07:00: quiet hours of numbers without a row in contact_preferences.",
    )
    quiet_hours_zone: Annotated[str, AfterValidator(_check_zone)] = Field(
        default="UTC",
        validation_alias=_variable("OUTBOUND_QUIET_HOURS_ZONE"),
        description="IANA name: for recipients whose time zone neither row nor number tells.",
    )
    http_host: str = Field(default="127.0.0.1", validation_alias=_variable("OUTBOUND_HTTP_HOST"))
    http_port: int = Field(
        default=8080, ge=0, le=65535, validation_alias=_variable("OUTBOUND_HTTP_PORT")
    )
    public_url: str = Field(
        default="",
        validation_alias=_variable("OUTBOUND_PUBLIC_URL"),
        description="How providers reach the HTTP face; Twilio gets it as its callback.",
    )
    admin_token: SecretStr | None = Field(
        default=None,
        validation_alias=_variable("OUTBOUND_ADMIN_TOKEN"),
        description="Bearer token of everything below /api/; unset: that is closed.",
    )
    previous_admin_token: SecretStr | None = Field(
        default=None,
        validation_alias=_variable("OUTBOUND_PREVIOUS_ADMIN_TOKEN"),
        description="Accepted too, while the token is changed.",
    )
    log_format: str = Field(
        default="text", pattern="^(text|json)$", validation_alias=_variable("OUTBOUND_LOG_FORMAT")
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        validation_alias=_variable("OUTBOUND_LOG_LEVEL"),
        description="The least serious level that is written; `info` has a line per attempt.",
    )
    sentry_dsn: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable("SENTRY_DSN"),
        description="Where errors are reported, with 002's tags; unset: nowhere.",
    )
    sentry_environment: str = Field(
        default="production", validation_alias=_variable("SENTRY_ENVIRONMENT")
    )

    @model_validator(mode="after")
    def _outlast_requests(self) -> Self:
        """Refuse a window in which an attempt may still be under way: it would count as lost."""
        if self.recovery_window_s <= self.request_timeout_s:
            raise UserMistake(
                f"OUTBOUND_RECOVERY_WINDOW_SECONDS is {self.recovery_window_s:g}, no longer than "
                f"OUTBOUND_REQUEST_TIMEOUT_SECONDS, which is {self.request_timeout_s:g}",
                "Make the window longer, or the time-out shorter",
            )
        return self


class ProviderSettings(_Environment):
    """Addresses and credentials of the providers (002; facts of 2026 for the API version, D13)."""

    whatsapp_enabled: bool = Field(
        default=True, validation_alias=_variable("WHATSAPP_PROVIDER_ENABLED")
    )
    whatsapp_api_url: str = Field(
        default="https://graph.facebook.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=_variable("WHATSAPP_API_URL"),
    )
    whatsapp_api_version: str = Field(
        default="v26.0", pattern=r"^v\d+\.\d+$", validation_alias=_variable("WHATSAPP_API_VERSION")
    )
    whatsapp_phone_number_id: str = Field(
        default="", validation_alias=_variable("WHATSAPP_PHONE_NUMBER_ID")
    )
    whatsapp_access_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("WHATSAPP_ACCESS_TOKEN")
    )
    whatsapp_app_secret: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("WHATSAPP_APP_SECRET")
    )
    whatsapp_previous_app_secret: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("WHATSAPP_PREVIOUS_APP_SECRET")
    )
    whatsapp_verify_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("WHATSAPP_VERIFY_TOKEN")
    )
    secrets_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable("OUTBOUND_SECRETS_KEY"),
        description="Key of pgp_sym_encrypt for what whatsapp_provider_config has encrypted.",
    )
    whatsapp_error_policy: ErrorPolicy = Field(
        default=ErrorPolicy.RUNBOOK, validation_alias=_variable("WHATSAPP_ERROR_POLICY")
    )
    whatsapp_per_second: Rate = Field(
        default=80.0,
        validation_alias=_variable("WHATSAPP_MESSAGES_PER_SECOND"),
        description="For all organisations together; Meta's default for one number. 0: no limit.",
    )
    twilio_api_url: str = Field(
        default="https://api.twilio.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=_variable("TWILIO_API_URL"),
    )
    twilio_account_sid: str = Field(default="", validation_alias=_variable("TWILIO_ACCOUNT_SID"))
    twilio_auth_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("TWILIO_AUTH_TOKEN")
    )
    twilio_previous_auth_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=_variable("TWILIO_PREVIOUS_AUTH_TOKEN"),
        description="Still accepted under callbacks while the token is changed.",
    )
    twilio_from: str = Field(default="", validation_alias=_variable("TWILIO_FROM_NUMBER"))
    twilio_per_second: Rate = Field(
        default=0.0,
        validation_alias=_variable("TWILIO_MESSAGES_PER_SECOND"),
        description="0: no limit; Twilio queues what its numbers can't send at once.",
    )
    sendgrid_api_url: str = Field(
        default="https://api.sendgrid.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=_variable("SENDGRID_API_URL"),
    )
    sendgrid_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=_variable("SENDGRID_API_KEY")
    )
    sendgrid_webhook_public_key: str = Field(
        default="",
        validation_alias=_variable("SENDGRID_WEBHOOK_PUBLIC_KEY"),
        description="Verification key of the signed event webhook, base64 as SendGrid shows it.",
    )
    sendgrid_previous_webhook_public_key: str = Field(
        default="",
        validation_alias=_variable("SENDGRID_PREVIOUS_WEBHOOK_PUBLIC_KEY"),
        description="Still accepted while the key is changed.",
    )
    sendgrid_from: str = Field(default="", validation_alias=_variable("SENDGRID_FROM_ADDRESS"))
    sendgrid_per_second: Rate = Field(
        default=0.0,
        validation_alias=_variable("SENDGRID_MESSAGES_PER_SECOND"),
        description="0: no limit.",
    )


class ExporterSettings(_Environment):
    """How the exporter refreshes and where it serves (002)."""

    refresh_interval_ms: int = Field(
        default=10000, ge=100, validation_alias=_variable("OUTBOUND_METRICS_UPDATE_INTERVAL_MS")
    )
    host: str = Field(default="127.0.0.1", validation_alias=_variable("OUTBOUND_EXPORTER_HOST"))
    port: int = Field(
        default=9109, ge=0, le=65535, validation_alias=_variable("OUTBOUND_EXPORTER_PORT")
    )
    statement_timeout_ms: int = Field(
        default=5000, ge=1, validation_alias=_variable("OUTBOUND_EXPORTER_STATEMENT_TIMEOUT_MS")
    )


class ToolSettings(_Environment):
    """Where commands find the services they ask."""

    jaeger_url: str = Field(
        default="http://127.0.0.1:16686", validation_alias=_variable("OUTBOUND_JAEGER_URL")
    )


ALL_SETTINGS: tuple[type[_Environment], ...] = (
    DatabaseSettings,
    TracingSettings,
    SenderSettings,
    ProviderSettings,
    ExporterSettings,
    ToolSettings,
)


@cache
def known_variables() -> frozenset[str]:
    """Name every environment variable that some setting reads."""
    names: set[str] = set()
    for group in ALL_SETTINGS:
        for field in group.model_fields.values():
            alias = field.validation_alias
            if isinstance(alias, AliasChoices):
                names.update(str(choice) for choice in alias.choices)
    return frozenset(names)


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Refuse variables that look like ours and are not.

    Raises:
        UserMistake: Such a variable is set; names it and the nearest one that exists.

    """
    known = known_variables()
    for name in sorted(environment):
        if not name.startswith(OWN_PREFIXES) or name in known:
            continue
        if name.startswith(TOLERATED_PREFIXES):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]}? If not, unset it" if near else "Unset it"
        raise UserMistake(f"The environment sets {name}, which is no setting of ours", hint)
