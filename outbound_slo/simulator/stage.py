"""The stage: everything one running simulator holds, and what accepting a message sets off."""

import time
from collections import Counter

import aiohttp

from outbound_slo.simulator.accounts import MetaAccount
from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.courier import Courier, create_post
from outbound_slo.simulator.faults import FaultBoard
from outbound_slo.simulator.ledger import Acceptance, Ledger
from outbound_slo.simulator.lifecycle import Step, plan_life
from outbound_slo.simulator.meta import MetaWire
from outbound_slo.simulator.meta_webhooks import InboundText, StatusUpdate
from outbound_slo.simulator.options import Options
from outbound_slo.simulator.packing import Address, Event
from outbound_slo.simulator.sendgrid import SendGridWire
from outbound_slo.simulator.twilio import TwilioWire, build_callback
from outbound_slo.simulator.wire import Provider, Submission, Wire

_TWILIO_STATUSES = {"sent": "sent", "delivered": "delivered", "failed": "undelivered"}
_TWILIO_UNREACHABLE = 30003


class Stage:
    """One simulator's state. Made inside a running event loop."""

    def __init__(self, options: Options, session: aiohttp.ClientSession) -> None:
        """Build every part from the options; `session` posts the webhooks."""
        secrets = options.credentials
        self.options = options
        self.session = session
        self.rng = create_rng(options.seed)
        self.clock = time.time
        self.steady_clock = time.monotonic
        self.started_at = time.monotonic()
        self.requests: Counter[str] = Counter()
        self.faults = FaultBoard()
        self.ledger = Ledger(options.ledger_limit)
        self.account = MetaAccount(
            account_id=options.account_id,
            phone_number_ids=options.phone_number_ids,
            templates=options.templates,
            enforces_window=options.enforces_window,
        )
        self.meta = MetaWire(
            self.account,
            self.rng,
            secrets.access_token,
            options.versions,
            options.unknown_template_code,
            options.closed_window_code,
        )
        self.wires: dict[Provider, Wire] = {
            Provider.META: self.meta,
            Provider.TWILIO: TwilioWire(secrets.twilio_auth_token),
            Provider.SENDGRID: SendGridWire(secrets.sendgrid_api_key),
        }
        self.courier = Courier(
            create_post(session, options.persistence.answer_seconds),
            Address(
                callback_url=options.callback_url,
                app_secret=secrets.app_secret,
                twilio_auth_token=secrets.twilio_auth_token,
                account_id=options.account_id,
                webhook_version=options.webhook_version,
            ),
            options.behaviour,
            options.persistence,
            self.rng,
            self.clock,
        )

    def find_latency(self) -> float:
        """Draw the seconds that an answer takes without any fault."""
        spread = self.options.latency_spread_ms
        extra = self.rng.random() * spread if spread else 0.0
        return (self.options.latency_ms + extra) / 1000

    def accept(self, wire: Wire, submission: Submission, *, answered: bool) -> str:
        """Take a message: enter it in the ledger, plan its statuses; return the provider's id."""
        now = self.clock()
        message_id = wire.create_id(self.rng)
        for reference in submission.references:
            acceptance = Acceptance(
                wire.provider.value,
                message_id,
                submission.recipient,
                reference.attempt,
                now,
                answered,
            )
            self.ledger.record(reference.message, acceptance)
        if wire.provider is Provider.META:
            self._plan_statuses(submission, message_id, now)
        elif wire.provider is Provider.TWILIO and submission.callback_url:
            self._plan_callbacks(submission, message_id)
        return message_id

    def send_inbound(self, sender: str, name: str, text: str, phone_number_id: str) -> str:
        """Play a user who writes to the business: opens the window, posts the webhook."""
        now = self.clock()
        message_id = self.meta.create_id(self.rng)
        self.account.note_inbound(sender.lstrip("+"), now)
        self.courier.schedule(
            InboundText(phone_number_id, message_id, sender, name, text, now), delay=0
        )
        return message_id

    def _plan_statuses(self, submission: Submission, message_id: str, now: float) -> None:
        behaviour = self.courier.behaviour
        for step in plan_life(behaviour, self.rng, is_readable=True):
            update = StatusUpdate(
                phone_number_id=submission.sender,
                message_id=message_id,
                status=step.status,
                recipient=submission.recipient,
                occurred_at=now + step.occurred,
                category=submission.category,
                callback_data=submission.callback_data,
                error_code=behaviour.failed_code if step.status == "failed" else None,
            )
            self.courier.schedule(update, step.due)

    def _plan_callbacks(self, submission: Submission, message_id: str) -> None:
        for step in plan_life(self.courier.behaviour, self.rng, is_readable=False):
            self.courier.schedule(_build_sms_event(submission, message_id, step), step.due)


def _build_sms_event(submission: Submission, message_id: str, step: Step) -> Event:
    error = _TWILIO_UNREACHABLE if step.status == "failed" else None
    return build_callback(submission, message_id, _TWILIO_STATUSES[step.status], error)
