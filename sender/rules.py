"""Checks before a send. Pure: all they need came with the claim, the settings and the clock.

Sources: runbooks 000 (session window, consent), 003 (opt-out, quiet hours), 004 (content limits),
decisions D30, D31, D35, D39. docs/checks.md has them as a table.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from outbound_slo.vocabulary.errors import HouseCode
from outbound_slo.vocabulary.statuses import Channel, Priority
from sender.content import find_fault
from sender.outbox import ClaimedMessage
from sender.quiet_hours import QuietPolicy, QuietWindow, find_zones, seconds_until_allowed

CONSENT_GRANTED = "GRANTED"

SWITCHED_OFF_S = 60.0
"""Seconds until a message is looked at again whose channel was switched off while it was claimed.

Those still in the queue are not claimed at all, and wait there until the channel is back.
"""

# Rows made in SQL went through no check. This only stops what can be no address at all.
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


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


REFUSALS = (
    HouseCode.MESSAGE_EXPIRED,
    HouseCode.RECIPIENT_INVALID,
    HouseCode.OPTED_OUT,
    HouseCode.CONSENT_MISSING,
    HouseCode.CONTENT_INVALID,
    HouseCode.SESSION_EXPIRED,
)
"""Codes that `judge` refuses with, in the order of its checks."""

DEFERRALS = (
    HouseCode.CHANNEL_DISABLED,
    HouseCode.QUIET_HOURS,
    HouseCode.THROTTLED,
    HouseCode.QUOTA_EXHAUSTED,
)
"""Codes that `judge` puts off with."""


def judge(
    message: ClaimedMessage, *, has_provider: bool, now: datetime, quiet: QuietPolicy
) -> Refusal | Deferral | None:
    """Tell what stands against sending a message now; None when nothing does.

    A refusal comes before a deferral: what may never go need not wait. Among deferrals the longest
    counts, so that a message is not looked at again before it can go.

    Args:
        message: The message, as the claim brought it.
        has_provider: Whether this process has a provider for its channel.
        now: An aware time, for the recipient's clock.
        quiet: Quiet hours of those who have no preferences.

    """
    refusal = _check_address(message) or _check_wishes(message) or _check_content(message)
    if refusal:
        return refusal
    found = (
        _wait_for_channel(message, has_provider=has_provider),
        _wait_for_morning(message, now, quiet),
        _wait_for_quota(message),
    )
    return max(
        (deferral for deferral in found if deferral), key=lambda one: one.seconds, default=None
    )


def _check_address(message: ClaimedMessage) -> Refusal | None:
    if message.expired:
        return Refusal(HouseCode.MESSAGE_EXPIRED, "It expired before it could be sent")
    email = message.channel == Channel.EMAIL
    if not (_EMAIL if email else _NUMBER).fullmatch(message.to_recipient):
        form = "an e-mail address" if email else "a number in E.164 form"
        return Refusal(HouseCode.RECIPIENT_INVALID, f"The recipient is not {form}")
    return None


def _check_wishes(message: ClaimedMessage) -> Refusal | None:
    """Opting out wins over consent (D35). WhatsApp alone needs a consent on record."""
    if message.contact_opted_out:
        return Refusal(HouseCode.OPTED_OUT, "Contact opted out")
    if message.consent is not None and message.consent != CONSENT_GRANTED:
        return Refusal(HouseCode.OPTED_OUT, "The recipient has refused or withdrawn consent")
    if message.consent is None and message.channel == Channel.WHATSAPP:
        return Refusal(HouseCode.CONSENT_MISSING, "No consent is recorded for the recipient")
    return None


def _check_content(message: ClaimedMessage) -> Refusal | None:
    fault = find_fault(
        Channel(message.channel),
        template_code=message.template_code,
        subject=message.subject,
        payload=message.payload_json,
    )
    if fault:
        return Refusal(HouseCode.CONTENT_INVALID, fault.what)
    free_form = message.channel == Channel.WHATSAPP and not message.template_code
    if free_form and not message.window_open:
        return Refusal(
            HouseCode.SESSION_EXPIRED, "The 24-hour window is closed and there is no template"
        )
    return None


def _wait_for_channel(message: ClaimedMessage, *, has_provider: bool) -> Deferral | None:
    if has_provider and message.provider_enabled is not False:
        return None
    return Deferral(HouseCode.CHANNEL_DISABLED, "The channel is switched off", SWITCHED_OFF_S)


def _wait_for_morning(
    message: ClaimedMessage, now: datetime, quiet: QuietPolicy
) -> Deferral | None:
    if message.quiet_hours_override or message.priority == Priority.URGENT:
        return None
    window = _find_window(message, quiet)
    if window is None:
        return None
    zones = find_zones(message.quiet_zone, message.to_recipient, quiet.zone)
    seconds = seconds_until_allowed(now, window, zones)
    if not seconds:
        return None
    return Deferral(HouseCode.QUIET_HOURS, "The recipient has quiet hours", seconds)


def _find_window(message: ClaimedMessage, quiet: QuietPolicy) -> QuietWindow | None:
    """Give the contact's own quiet hours, also where they are none; else the settings'."""
    if message.contact_opted_out is None:
        # An e-mail wakes nobody unless its reader says so.
        return None if message.channel == Channel.EMAIL else quiet.default
    if message.quiet_from is None or message.quiet_until is None:
        return None
    return QuietWindow(message.quiet_from, message.quiet_until)


def _wait_for_quota(message: ClaimedMessage) -> Deferral | None:
    throttle, quota = message.throttle_wait_s or 0.0, message.quota_wait_s or 0.0
    if throttle > quota:
        text = "The provider has asked the organisation to slow down"
        return Deferral(HouseCode.THROTTLED, text, throttle)
    if quota:
        return Deferral(HouseCode.QUOTA_EXHAUSTED, "The configured quota is used up", quota)
    return None
