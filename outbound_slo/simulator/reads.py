"""What Twilio and SendGrid tell about an account: 002's way to see whether they answer."""

from aiohttp import web

from outbound_slo.simulator.sends import STAGE, read_inquiry, render
from outbound_slo.simulator.wire import RefusedError


async def handle_account(request: web.Request) -> web.Response:
    """Answer `GET /2010-04-01/Accounts/{Sid}.json`."""
    twilio = request.app[STAGE].twilio
    try:
        twilio.check_access(read_inquiry(request, b""))
    except RefusedError as refusal:
        return render(refusal.answer)
    return render(twilio.answer_account(request.match_info["account_sid"]))


async def handle_scopes(request: web.Request) -> web.Response:
    """Answer `GET /v3/scopes`."""
    sendgrid = request.app[STAGE].sendgrid
    try:
        sendgrid.check_access(read_inquiry(request, b""))
    except RefusedError as refusal:
        return render(refusal.answer)
    return render(sendgrid.answer_scopes())
