"""The environments of the demo's processes: loopback addresses, made-up secrets, short waits.

Nothing of the user's own settings gets through: a demo must never send with real credentials.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from outbound_slo.demo.pace import Pace
from outbound_slo.settings import OWN_PREFIXES, TOLERATED_PREFIXES
from outbound_slo.simulator.signatures import EventKey, create_event_key

_DROPPED_NAMES = frozenset(
    {"DATABASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
)  # Proxies do not lead back to loopback.
_DROPPED_PREFIXES = (*OWN_PREFIXES, "SIMULATOR_", "OTEL_", "PG")


_TOKEN_LASTS = timedelta(days=60)
"""How long Meta's long-lived tokens last."""


def _make_secret() -> str:
    return secrets.token_hex(16)


def _end_token() -> datetime:
    return datetime.now(UTC) + _TOKEN_LASTS


@dataclass(frozen=True, slots=True)
class Secrets:
    """What sender and provider share; new for each run."""

    access_token: str = field(default_factory=_make_secret, repr=False)
    access_token_ends: datetime = field(default_factory=_end_token)
    app_secret: str = field(default_factory=_make_secret, repr=False)
    verify_token: str = field(default_factory=_make_secret, repr=False)
    twilio_auth_token: str = field(default_factory=_make_secret, repr=False)
    sendgrid_api_key: str = field(default_factory=_make_secret, repr=False)
    sendgrid_event_key: EventKey = field(default_factory=create_event_key, repr=False)
    admin_token: str = field(default_factory=_make_secret, repr=False)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is: the database's URL, and base URLs without a slash at the end."""

    database: str
    provider: str
    traces: str
    sender_port: int
    exporter_port: int

    @property
    def sender(self) -> str:
        """Base URL of the sender's HTTP face."""
        return f"http://127.0.0.1:{self.sender_port}"

    @property
    def exporter(self) -> str:
        """Base URL of the exporter."""
        return f"http://127.0.0.1:{self.exporter_port}"


def strip_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out every setting of this product, of libpq and OpenTelemetry, and all proxies."""
    return {
        name: value
        for name, value in environ.items()
        if name.upper() not in _DROPPED_NAMES
        and (not name.startswith(_DROPPED_PREFIXES) or name.startswith(TOLERATED_PREFIXES))
    }


def build_environment(
    environ: Mapping[str, str], addresses: Addresses, keys: Secrets, pace: Pace
) -> dict[str, str]:
    """Build the environment that sender, exporter and simulator share.

    Args:
        environ: The demo's own.
        addresses: Where everything is.
        keys: What sender and provider share.
        pace: The shortened waits.

    """
    return strip_environment(environ) | {
        "DATABASE_URL": addresses.database,
        "OTEL_EXPORTER_OTLP_ENDPOINT": addresses.traces,
        "OUTBOUND_JAEGER_URL": addresses.traces,
        "OUTBOUND_HTTP_PORT": str(addresses.sender_port),
        "OUTBOUND_PUBLIC_URL": addresses.sender,
        "OUTBOUND_ADMIN_TOKEN": keys.admin_token,
        "OUTBOUND_WORKER_POLL_INTERVAL_MS": str(round(pace.poll_s * 1000)),
        "OUTBOUND_RETRY_BACKOFF_SECONDS": ",".join(f"{wait:g}" for wait in pace.backoff_s),
        "OUTBOUND_RETRY_JITTER": f"{pace.backoff_spread:g}",
        "OUTBOUND_BREAKER_OPEN_SECONDS": f"{pace.breaker_open_s:g}",
        "OUTBOUND_RECOVERY_WINDOW_SECONDS": f"{pace.recovery_window_s:g}",
        # A call has to be over before the window takes its message for a lost one.
        "OUTBOUND_REQUEST_TIMEOUT_SECONDS": f"{min(10.0, pace.recovery_window_s / 2):g}",
        "OUTBOUND_EXPORTER_PORT": str(addresses.exporter_port),
        "OUTBOUND_METRICS_UPDATE_INTERVAL_MS": str(round(pace.refresh_s * 1000)),
        # The queue that an outage leaves has to drain within the demo, at any --rate.
        "WHATSAPP_MESSAGES_PER_SECOND": "0",
        "WHATSAPP_API_URL": addresses.provider,
        "WHATSAPP_ACCESS_TOKEN": keys.access_token,
        "WHATSAPP_ACCESS_TOKEN_EXPIRES_AT": keys.access_token_ends.isoformat(),
        "WHATSAPP_APP_SECRET": keys.app_secret,
        "WHATSAPP_VERIFY_TOKEN": keys.verify_token,
        "TWILIO_API_URL": addresses.provider,
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": keys.twilio_auth_token,
        "TWILIO_FROM_NUMBER": "+12025550100",
        "SENDGRID_API_URL": addresses.provider,
        "SENDGRID_API_KEY": keys.sendgrid_api_key,
        "SENDGRID_FROM_ADDRESS": "agency@example.org",
        "SENDGRID_WEBHOOK_PUBLIC_KEY": keys.sendgrid_event_key.public_key,
        "SIMULATOR_SENDGRID_SIGNING_KEY": keys.sendgrid_event_key.pem,
    }
