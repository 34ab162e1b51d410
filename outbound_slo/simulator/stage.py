"""The stage: everything one running simulator holds, and what accepting a message sets off."""

import asyncio
import time
from collections import Counter

import aiohttp

from outbound_slo.simulator.accounts import MetaAccount
from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.courier import Courier, create_post
from outbound_slo.simulator.faults import FaultBoard
from outbound_slo.simulator.ledger import Acceptance, LedgerKind, create_ledger
from outbound_slo.simulator.lifecycle import plan_life
from outbound_slo.simulator.meta import MetaWire, to_wa_id
from outbound_slo.simulator.meta_webhooks import StatusUpdate
from outbound_slo.simulator.options import Options
from outbound_slo.simulator.packing import Address, Packer
from outbound_slo.simulator.sendgrid import SendGridWire
from outbound_slo.simulator.sendgrid_events import MailEvent, MailEventKind, plan_mail
from outbound_slo.simulator.signatures import create_event_key, read_event_key
from outbound_slo.simulator.traffic import Traffic
from outbound_slo.simulator.twilio import TwilioWire, build_callback
from outbound_slo.simulator.wheel import TimerWheel
from outbound_slo.simulator.wire import Answer, Provider, Submission, Wire

_TWILIO_STATUSES = {"sent": "sent", "delivered": "delivered", "failed": "undelivered"}
_TWILIO_UNREACHABLE = 30003


class Stage:
    """One simulator's state. Made inside a running event loop."""

    def __init__(self, options: Options, session: aiohttp.ClientSession) -> None:
        """Build every part from the options; `session` posts the webhooks.

        Raises:
            UserMistake: The signing key of the options is not one.

        """
        secrets = options.credentials
        self.options = options
        self.session = session
        self.rng = create_rng(options.seed)
        self.clock = time.time
        self.steady_clock = time.monotonic
        self.started_at = time.monotonic()
        self.requests: Counter[tuple[Provider, str]] = Counter()
        self.waiting: set[asyncio.Future[Answer | None]] = set()
        self.wheel = TimerWheel(asyncio.get_running_loop())
        self.faults = FaultBoard()
        self.ledger = create_ledger(options.ledger, options.ledger_limit)
        self.traffic = Traffic(options.ledger_limit if options.ledger is LedgerKind.FULL else 0)
        self.account = MetaAccount(
            account_id=options.account_id,
            phone_number_ids=options.phone_number_ids,
            templates=options.templates,
            enforces_window=options.enforces_window,
            limits=options.limits,
        )
        self.meta = MetaWire(
            self.account,
            self.rng,
            secrets.access_token,
            options.versions,
            options.unknown_template_code,
            options.closed_window_code,
        )
        self.twilio = TwilioWire(secrets.twilio_auth_token)
        self.sendgrid = SendGridWire(secrets.sendgrid_api_key)
        self.wires: dict[Provider, Wire] = {
            Provider.META: self.meta,
            Provider.TWILIO: self.twilio,
            Provider.SENDGRID: self.sendgrid,
        }
        pem = options.sendgrid_signing_key
        self.event_key = read_event_key(pem) if pem else create_event_key()
        address = Address(
            callback_url=options.callback_url,
            app_secret=secrets.app_secret,
            twilio_auth_token=secrets.twilio_auth_token,
            account_id=options.account_id,
            event_key=self.event_key,
            sendgrid_events_url=options.sendgrid_events_url,
            webhook_version=options.webhook_version,
        )
        self.courier = Courier(
            create_post(session, options.persistence.answer_seconds),
            Packer(address, self.rng, self.clock),
            options.behaviour,
            options.persistence,
            self.clock,
        )

    def stop(self) -> None:
        """End every wait of a request, without an answer."""
        self.wheel.stop()
        for replied in self.waiting:
            if not replied.done():
                replied.set_result(None)

    def find_latency(self) -> float:
        """Draw the seconds that an answer takes without any fault."""
        spread = self.options.latency_spread_ms
        extra = self.rng.random() * spread if spread else 0.0
        return (self.options.latency_ms + extra) / 1000

    def accept(self, wire: Wire, submission: Submission, asked_at: float, *, answered: bool) -> str:
        """Take a message: enter it in the ledger, plan its statuses; return the provider's id."""
        now = self.clock()
        message_id = wire.create_id(self.rng)
        provider = wire.provider
        for number, reference in enumerate(submission.references):
            mails = submission.mails
            recipient = mails[number].recipient if mails else submission.recipient
            self.ledger.record(
                reference.message,
                Acceptance(
                    provider.value,
                    message_id,
                    recipient,
                    reference.attempt,
                    asked_at,
                    now,
                    answered,
                ),
            )
        if provider is Provider.META:
            self._plan_statuses(submission, message_id, now)
        elif provider is Provider.SENDGRID:
            self._plan_events(submission, message_id, now)
        elif submission.callback_url:
            self._plan_callbacks(submission, message_id)
        return message_id

    def _plan_statuses(self, submission: Submission, message_id: str, now: float) -> None:
        behaviour = self.courier.behaviour
        wa_id = to_wa_id(submission.recipient)
        for status, occurred, due in plan_life(behaviour, self.rng, is_readable=True):
            update = StatusUpdate(
                submission.sender,
                message_id,
                status,
                wa_id,
                now + occurred,
                submission.category,
                submission.callback_data,
                behaviour.failed_code if status == "failed" else None,
            )
            self.courier.schedule(update, due)

    def _plan_callbacks(self, submission: Submission, message_id: str) -> None:
        for step in plan_life(self.courier.behaviour, self.rng, is_readable=False):
            error = _TWILIO_UNREACHABLE if step.status == "failed" else None
            call = build_callback(submission, message_id, _TWILIO_STATUSES[step.status], error)
            self.courier.schedule(call, step.due)

    def _plan_events(self, submission: Submission, message_id: str, now: float) -> None:
        for mail in submission.mails:
            for step in plan_mail(self.courier.behaviour, self.rng):
                kind, occurred_at = MailEventKind(step.status), now + step.occurred
                event = MailEvent(kind, mail.recipient, message_id, occurred_at, mail.custom_args)
                self.courier.schedule(event, step.due)
