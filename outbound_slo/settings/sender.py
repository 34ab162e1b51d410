"""Claiming, sending, retrying, and the sender's HTTP face."""

import re
from typing import Annotated, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from outbound_slo.settings.environment import Environment, variable
from outbound_slo.vocabulary.mistakes import UserMistake

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
Seconds = Annotated[tuple[Duration, ...], NoDecode, BeforeValidator(_split_seconds)]

_WINDOW = re.compile(r"([01]?\d|2[0-3]):[0-5]\d-([01]?\d|2[0-3]):[0-5]\d")


class SenderSettings(Environment):
    """Everything about claiming, sending and retrying (000, 002)."""

    worker_enabled: bool = Field(default=True, validation_alias=variable("OUTBOUND_WORKER_ENABLED"))
    batch_size: int = Field(
        default=10, ge=1, le=1000, validation_alias=variable("OUTBOUND_WORKER_BATCH_SIZE")
    )
    poll_interval_ms: int = Field(
        default=5000, ge=10, validation_alias=variable("OUTBOUND_WORKER_POLL_INTERVAL_MS")
    )
    concurrency: int = Field(
        default=64, ge=1, le=1000, validation_alias=variable("OUTBOUND_WORKER_CONCURRENCY")
    )
    strict_order: bool = Field(
        default=False,
        validation_alias=variable("OUTBOUND_STRICT_ORDER"),
        description="A message waits for every earlier one of its organisation to that recipient.",
    )
    redis_url: Annotated[SecretStr, AfterValidator(_check_redis)] = Field(
        default=SecretStr(""),
        validation_alias=variable("OUTBOUND_REDIS_URL"),
        description="All senders share the limits per second there; unset: each has its own.",
    )
    drain_s: Duration = Field(
        default=15.0,
        validation_alias=variable("OUTBOUND_DRAIN_SECONDS"),
        description="After SIGTERM: how long what is in flight may take to end and be written.",
    )
    backoff_seconds: Seconds = Field(
        default=BACKOFF_SECONDS,
        min_length=1,
        validation_alias=variable("OUTBOUND_RETRY_BACKOFF_SECONDS"),
    )
    retry_jitter: float = Field(
        default=0.1, ge=0, le=1, validation_alias=variable("OUTBOUND_RETRY_JITTER")
    )
    recovery_window_s: Duration = Field(
        default=600.0, validation_alias=variable("OUTBOUND_RECOVERY_WINDOW_SECONDS")
    )
    silence_s: Duration = Field(
        default=60.0,
        validation_alias=variable("OUTBOUND_WEBHOOK_SILENCE_SECONDS"),
        description="Without a webhook for so long, though messages are accepted: no re-sends.",
    )
    request_timeout_s: Duration = Field(
        default=10.0, validation_alias=variable("OUTBOUND_REQUEST_TIMEOUT_SECONDS")
    )
    breaker_window: int = Field(
        default=100, ge=2, validation_alias=variable("OUTBOUND_BREAKER_WINDOW_CALLS")
    )
    breaker_minimum_calls: int = Field(
        default=20, ge=1, validation_alias=variable("OUTBOUND_BREAKER_MINIMUM_CALLS")
    )
    breaker_failure_rate: float = Field(
        default=50.0,
        gt=0,
        le=100,
        validation_alias=variable("OUTBOUND_BREAKER_FAILURE_RATE_PERCENT"),
    )
    breaker_slow_call_rate: float = Field(
        default=100.0,
        gt=0,
        le=100,
        validation_alias=variable("OUTBOUND_BREAKER_SLOW_CALL_RATE_PERCENT"),
    )
    breaker_slow_call_s: Duration = Field(
        default=5.0, validation_alias=variable("OUTBOUND_BREAKER_SLOW_CALL_SECONDS")
    )
    breaker_open_s: Duration = Field(
        default=60.0, validation_alias=variable("OUTBOUND_BREAKER_OPEN_SECONDS")
    )
    breaker_probes: int = Field(
        default=5, ge=1, validation_alias=variable("OUTBOUND_BREAKER_HALF_OPEN_CALLS")
    )
    breaker_probing_s: Duration = Field(
        default=60.0,
        validation_alias=variable("OUTBOUND_BREAKER_HALF_OPEN_SECONDS"),
        description="Time for the half-open calls to answer; then the breaker opens again.",
    )
    quiet_hours_default: Annotated[str, AfterValidator(_check_window)] = Field(
        default="",
        validation_alias=variable("OUTBOUND_QUIET_HOURS_DEFAULT"),
        description="As 22:00-07:00: quiet hours of numbers without a row in contact_preferences.",
    )
    quiet_hours_zone: Annotated[str, AfterValidator(_check_zone)] = Field(
        default="UTC",
        validation_alias=variable("OUTBOUND_QUIET_HOURS_ZONE"),
        description="IANA name: for recipients whose time zone neither row nor number tells.",
    )
    http_host: str = Field(default="127.0.0.1", validation_alias=variable("OUTBOUND_HTTP_HOST"))
    http_port: int = Field(
        default=8080, ge=0, le=65535, validation_alias=variable("OUTBOUND_HTTP_PORT")
    )
    public_url: str = Field(
        default="",
        validation_alias=variable("OUTBOUND_PUBLIC_URL"),
        description="How providers reach the HTTP face; Twilio gets it as its callback.",
    )
    admin_token: SecretStr | None = Field(
        default=None,
        validation_alias=variable("OUTBOUND_ADMIN_TOKEN"),
        description="Bearer token of everything below /api/; unset: that is closed.",
    )
    previous_admin_token: SecretStr | None = Field(
        default=None,
        validation_alias=variable("OUTBOUND_PREVIOUS_ADMIN_TOKEN"),
        description="Accepted too, while the token is changed.",
    )
    log_format: str = Field(
        default="text", pattern="^(text|json)$", validation_alias=variable("OUTBOUND_LOG_FORMAT")
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        validation_alias=variable("OUTBOUND_LOG_LEVEL"),
        description="The least serious level that is written; `info` has a line per attempt.",
    )
    sentry_dsn: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=variable("SENTRY_DSN"),
        description="Where errors are reported, with 002's tags; unset: nowhere.",
    )
    sentry_environment: str = Field(
        default="production", validation_alias=variable("SENTRY_ENVIRONMENT")
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
