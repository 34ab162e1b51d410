"""Everything that a simulator is started with."""

from dataclasses import dataclass, field

from outbound_slo.simulator.accounts import Template
from outbound_slo.simulator.courier import Persistence
from outbound_slo.simulator.ledger import LedgerKind
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.limits import Limits
from outbound_slo.simulator.meta import GraphVersions


@dataclass(frozen=True, slots=True)
class Credentials:
    """What senders must show, and what webhooks are signed with; an empty token accepts any."""

    app_secret: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    twilio_auth_token: str = field(default="", repr=False)
    sendgrid_api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Options:
    """A simulator's settings; what can be changed while it runs has its start value here.

    Attributes:
        port: 0 picks a free one.
        callback_url: Full URL of the receiver of Meta's webhooks; empty posts none.
        latency_ms: What every answer of a provider takes, and up to `latency_spread_ms` more.
        ledger_limit: Messages and requests that a full ledger remembers.
        sendgrid_events_url: Full URL of the receiver of SendGrid's events; empty posts none.
        sendgrid_signing_key: Private key in PEM that signs those; empty makes one.
        twilio_inbound_url: Full URL of the receiver of inbound SMS; empty posts none.
        webhook_version: Graph API version of the webhook bodies.

    """

    host: str = "127.0.0.1"
    port: int = 0
    callback_url: str = ""
    credentials: Credentials = field(default_factory=Credentials)
    latency_ms: float = 50
    latency_spread_ms: float = 0
    behaviour: Behaviour = field(default_factory=Behaviour)
    persistence: Persistence = field(default_factory=Persistence)
    versions: GraphVersions = field(default_factory=GraphVersions)
    webhook_version: int = 26
    account_id: str = "102290129340398"
    phone_number_ids: tuple[str, ...] = ()
    templates: tuple[Template, ...] = ()
    enforces_window: bool = False
    unknown_template_code: int = 132001
    closed_window_code: int = 131047
    ledger: LedgerKind = LedgerKind.FULL
    ledger_limit: int = 1_000_000
    limits: Limits = field(default_factory=Limits)
    sendgrid_events_url: str = ""
    sendgrid_signing_key: str = field(default="", repr=False)
    twilio_inbound_url: str = ""
    seed: int = 1
