"""The `simulator` command."""

import asyncio
import gc
import signal
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer
import uvloop

from outbound_slo.simulator.accounts import Template
from outbound_slo.simulator.ledger import LedgerKind
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.limits import Limits
from outbound_slo.simulator.meta import GraphVersions
from outbound_slo.simulator.options import Credentials, Options
from outbound_slo.simulator.server import serve_simulator
from outbound_slo.vocabulary.mistakes import UserMistake

_RARE_COLLECTIONS = (50_000, 20, 100)
"""Objects and rounds after which Python looks for garbage; its own habit is 700, 10 and 10."""

Rate = Annotated[float, typer.Option(min=0, max=1)]
Milliseconds = Annotated[float, typer.Option(min=0)]


def run_simulator(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 0,
    callback_url: Annotated[
        str, typer.Option(help="Where Meta's webhooks are posted; none if empty.")
    ] = "",
    app_secret: Annotated[
        str, typer.Option(envvar="WHATSAPP_APP_SECRET", help="Signs Meta's webhooks.")
    ] = "",
    access_token: Annotated[
        str, typer.Option(envvar="WHATSAPP_ACCESS_TOKEN", help="Accepted token; empty: any.")
    ] = "",
    twilio_auth_token: Annotated[
        str,
        typer.Option(
            envvar="TWILIO_AUTH_TOKEN", help="Accepted password, signs callbacks; empty: any."
        ),
    ] = "",
    sendgrid_api_key: Annotated[
        str, typer.Option(envvar="SENDGRID_API_KEY", help="Accepted key; empty: any.")
    ] = "",
    sendgrid_events_url: Annotated[
        str, typer.Option(help="Where SendGrid's events are posted; none if empty.")
    ] = "",
    sendgrid_signing_key: Annotated[
        str,
        typer.Option(
            envvar="SIMULATOR_SENDGRID_SIGNING_KEY",
            help="PEM private key that signs SendGrid's events; empty: a new one.",
        ),
    ] = "",
    twilio_inbound_url: Annotated[
        str, typer.Option(help="Where inbound SMS are posted; none if empty.")
    ] = "",
    latency_ms: Milliseconds = 50,
    latency_spread_ms: Milliseconds = 0,
    delivery_ms: Milliseconds = 300,
    late_ms: Milliseconds = 5000,
    late_rate: Rate = 0,
    duplicate_rate: Rate = 0,
    out_of_order_rate: Rate = 0,
    never_delivered_rate: Rate = 0,
    failed_rate: Rate = 0,
    read_rate: Rate = 0.3,
    batch_rate: Rate = 0.3,
    webhook_batch_ms: Annotated[
        float | None,
        typer.Option(min=1, help="Collect statuses so long and post all in few POSTs."),
    ] = None,
    webhook_max_statuses: Annotated[
        int, typer.Option(min=1, max=1000, help="Most statuses in one POST.")
    ] = 50,
    pair_limit: Annotated[
        bool, typer.Option(help="Refuse bursts to one recipient with code 131056.")
    ] = False,
    messages_per_second: Annotated[
        int, typer.Option(min=0, help="Throughput of a number, else code 130429; 0: no limit.")
    ] = 0,
    ledger: Annotated[
        LedgerKind, typer.Option(help="What is remembered of each message: all, or how often.")
    ] = LedgerKind.FULL,
    phone_number_id: Annotated[
        list[str] | None, typer.Option(help="A number that exists (repeatable); none: any.")
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(help="A template that exists (repeatable); none: any.")
    ] = None,
    refuse_expired_versions: Annotated[
        bool, typer.Option(help="Answer expired Graph API versions with code 2635.")
    ] = False,
    enforce_window: Annotated[
        bool, typer.Option(help="Refuse free text outside the 24-hour window.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of every random decision.")] = 1,
) -> None:
    """Run the provider simulator: Meta, Twilio and SendGrid, with faults on demand."""
    _check_url("--callback-url", callback_url, "whatsapp")
    _check_url("--sendgrid-events-url", sendgrid_events_url, "sendgrid")
    _check_url("--twilio-inbound-url", twilio_inbound_url, "twilio")
    behaviour = Behaviour(
        delivery_ms=delivery_ms,
        late_ms=late_ms,
        late_rate=late_rate,
        duplicate_rate=duplicate_rate,
        out_of_order_rate=out_of_order_rate,
        never_delivered_rate=never_delivered_rate,
        failed_rate=failed_rate,
        read_rate=read_rate,
        batch_rate=batch_rate,
        batch_limit=webhook_max_statuses,
    )
    if webhook_batch_ms is not None:
        habits = {"batch_rate": 1.0, "collect_ms": webhook_batch_ms}
        behaviour = behaviour.model_copy(update=habits)
    options = Options(
        host=host,
        port=port,
        callback_url=callback_url,
        credentials=Credentials(app_secret, access_token, twilio_auth_token, sendgrid_api_key),
        latency_ms=latency_ms,
        latency_spread_ms=latency_spread_ms,
        behaviour=behaviour,
        versions=GraphVersions(refuse_expired=refuse_expired_versions),
        phone_number_ids=tuple(phone_number_id or ()),
        templates=tuple(Template(name) for name in template or ()),
        enforces_window=enforce_window,
        ledger=ledger,
        limits=Limits(pair_limit=pair_limit, messages_per_second=messages_per_second),
        sendgrid_events_url=sendgrid_events_url,
        sendgrid_signing_key=sendgrid_signing_key,
        twilio_inbound_url=twilio_inbound_url,
        seed=seed,
    )
    uvloop.run(_run(options))


def _check_url(option: str, url: str, place: str) -> None:
    """Refuse what no webhook could be posted to."""
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise UserMistake(
            f"{option} {url!r} is not an HTTP address",
            f"Give it in full, as in http://127.0.0.1:8080/webhooks/{place}.",
        )


async def _run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    # The ledger grows by objects that are never garbage; looking through all of them at the usual
    # pace costs more than what is found.
    gc.freeze()
    gc.set_threshold(*_RARE_COLLECTIONS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with serve_simulator(options) as simulator:
        sys.stdout.write(f"provider simulator ready on {simulator.url}\n")
        sys.stdout.flush()
        await stopped.wait()
