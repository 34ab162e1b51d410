"""Checks before a send. Pure: all they need came with the claim.

Sources: runbook 000 (session window, consent), D30, D31, D35, D39.
"""

from dataclasses import dataclass

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import Channel
from sender.outbox import ClaimedMessage

CONSENT_GRANTED = "GRANTED"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The message must not be sent; final until a person changes something."""

    code: HouseCode
    text: str


@dataclass(frozen=True, slots=True)
class Deferral:
    """The message must wait for `seconds`; it costs no attempt."""

    code: HouseCode
    text: str
    seconds: float
    planned: bool


def judge(message: ClaimedMessage, *, has_provider: bool) -> Refusal | Deferral | None:
    """Tell what stands against sending a message now; None when nothing does.

    Opting out wins over consent (D35). WhatsApp needs a recorded consent, the other channels only
    the absence of a refusal. Free-form WhatsApp messages need an open 24-hour window.
    """
    return _find_refusal(message, has_provider=has_provider) or _find_deferral(message)


def _find_refusal(message: ClaimedMessage, *, has_provider: bool) -> Refusal | None:
    if not has_provider or message.provider_enabled is False:
        return Refusal(HouseCode.CHANNEL_DISABLED, "The channel is switched off")
    whatsapp = message.channel == Channel.WHATSAPP.value
    if message.consent is not None and message.consent != CONSENT_GRANTED:
        return Refusal(HouseCode.OPTED_OUT, "The recipient has refused or withdrawn consent")
    if whatsapp and message.consent is None:
        return Refusal(HouseCode.CONSENT_MISSING, "No consent is recorded for the recipient")
    if whatsapp and message.template_code is None and not message.window_open:
        return Refusal(
            HouseCode.SESSION_EXPIRED, "The 24-hour window is closed and there is no template"
        )
    return None


def _find_deferral(message: ClaimedMessage) -> Deferral | None:
    if message.throttle_wait_s is not None:
        return Deferral(
            HouseCode.QUOTA_EXHAUSTED,
            "The organisation is throttled",
            message.throttle_wait_s,
            planned=True,
        )
    if message.quota_wait_s is not None:
        return Deferral(
            HouseCode.QUOTA_EXHAUSTED,
            "The configured quota is used up",
            message.quota_wait_s,
            planned=True,
        )
    return None
