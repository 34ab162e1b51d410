"""Whether Meta, Twilio and SendGrid can be reached, take our credentials and would send. Pure.

The probes are those that the providers document: a number's state at Meta, the account at Twilio,
the key's scopes at SendGrid (002, scenario 3, has its statistics, which tell nothing of the key).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from operations.accounts import MetaAccount
from operations.probing import Question, Reply, Trouble
from operations.verdicts import (
    State,
    Verdict,
    explain_trouble,
    read_account,
    read_number,
    read_scopes,
)
from outbound_slo.settings import ProviderSettings
from sender.metrics import API_VERSION_ENDS
from sender.redaction import Redactor

NUMBER_FIELDS = "id,display_phone_number,verified_name,quality_rating,throughput,health_status"

SOON_DAYS = 90
"""Days before the end of a Graph API version from which on it is time to change it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One provider's account as a probe found it.

    Attributes:
        provider: Meta, Twilio or SendGrid.
        subject: Which account, number or key.
        org_id: Whose; None for the platform's.
        state: What it comes to.
        reachable: Whether a server answered; None where none was asked.
        authenticated: Whether it took the credentials; None where that can't be told.
        latency_ms: Of the answer; None without one.
        said: What the provider told, or why it could not be asked.
        advice: What to do; None where nothing is.

    """

    provider: str
    subject: str
    org_id: str | None
    state: State
    reachable: bool | None = None
    authenticated: bool | None = None
    latency_ms: int | None = None
    said: tuple[str, ...] = ()
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to one provider and how its answer is read.

    Attributes:
        question: What is asked.
        address: The variable that has the provider's address.
        read: Reads an answer that is JSON.

    """

    provider: str
    subject: str
    org_id: str | None
    question: Question
    address: str
    read: Callable[[Reply], Verdict]


def plan_meta(
    account: MetaAccount, settings: ProviderSettings, redactor: Redactor
) -> Probe | Finding:
    """Say how to ask for a number, or why not to."""
    subject = f"number {account.number_id}" if account.number_id else "no number"

    def stay(state: State, said: str, advice: str | None) -> Finding:
        return Finding("Meta", subject, account.org_id, state, said=(said,), advice=advice)

    if not account.enabled:
        return stay(State.NOT_CONFIGURED, "switched off: its messages wait", None)
    if not account.readable:
        return stay(
            State.FAILED,
            "the organisation's access token does not fit OUTBOUND_SECRETS_KEY",
            "Set the key that encrypted it, or store the token again",
        )
    if not account.number_id or not account.token:
        lacking = "WHATSAPP_PHONE_NUMBER_ID" if account.token else "WHATSAPP_ACCESS_TOKEN"
        state = State.NOT_CONFIGURED if account.org_id is None else State.FAILED
        return stay(state, f"{lacking} is not set", None if account.org_id is None else "Set it")
    root = f"{settings.whatsapp_api_url.rstrip('/')}/{settings.whatsapp_api_version}"
    return Probe(
        "Meta",
        subject,
        account.org_id,
        Question(f"{root}/{account.number_id}", {"fields": NUMBER_FIELDS}, bearer=account.token),
        "WHATSAPP_API_URL",
        lambda reply: read_number(reply, settings, redactor, own_token=account.own_token),
    )


def plan_twilio(settings: ProviderSettings, redactor: Redactor) -> Probe | Finding:
    """Say how to ask for the account, or why not to."""
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token.get_secret_value()
    if not sid:
        said = ("TWILIO_ACCOUNT_SID is not set",)
        return Finding("Twilio", "no account", None, State.NOT_CONFIGURED, said=said)
    url = f"{settings.twilio_api_url.rstrip('/')}/2010-04-01/Accounts/{sid}.json"
    return Probe(
        "Twilio",
        f"account {sid}",
        None,
        Question(url, basic=(sid, token)),
        "TWILIO_API_URL",
        lambda reply: read_account(reply, settings.whatsapp_error_policy, redactor),
    )


def plan_sendgrid(settings: ProviderSettings, redactor: Redactor) -> Probe | Finding:
    """Say how to ask for the key's scopes, or why not to."""
    key = settings.sendgrid_api_key.get_secret_value()
    if not key:
        said = ("SENDGRID_API_KEY is not set",)
        return Finding("SendGrid", "no key", None, State.NOT_CONFIGURED, said=said)
    return Probe(
        "SendGrid",
        "API key",
        None,
        Question(f"{settings.sendgrid_api_url.rstrip('/')}/v3/scopes", bearer=key),
        "SENDGRID_API_URL",
        lambda reply: read_scopes(reply, settings.whatsapp_error_policy, redactor),
    )


def judge(probe: Probe, reply: Reply) -> Finding:
    """Say what came of a probe."""
    if reply.trouble is None:
        verdict = probe.read(reply)
    else:
        said, advice = explain_trouble(reply, probe.address)
        verdict = Verdict(State.FAILED, None, (said,), advice)
    reached = reply.trouble is None or reply.trouble.reached
    return Finding(
        probe.provider,
        probe.subject,
        probe.org_id,
        verdict.state,
        reachable=None if reply.trouble is Trouble.NOT_ASKED else reached,
        authenticated=verdict.authenticated,
        latency_ms=round(reply.took_s * 1000) if reached else None,
        said=verdict.said,
        advice=verdict.advice,
    )


@dataclass(frozen=True, slots=True)
class VersionFinding:
    """What is known of the configured Graph API version (D13).

    Attributes:
        version: As in v26.0.
        ends: Its last day; None where Meta has named none that we know.
        days: Until then; negative after it.

    """

    version: str
    ends: date | None
    days: int | None

    @property
    def state(self) -> State:
        """Whether it is time to change it."""
        late = self.days is not None and self.days < SOON_DAYS
        return State.ATTENTION if late else State.OK


def judge_version(version: str, today: date) -> VersionFinding:
    """Say when the configured version ends."""
    ends = API_VERSION_ENDS.get(version)
    return VersionFinding(version, ends, None if ends is None else (ends - today).days)
