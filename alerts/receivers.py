"""Alertmanager's receivers: which contacts a notification goes to, in Alertmanager 0.25's words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from alerts.contacts import Contact, Contacts, Email, Opsgenie, PagerDuty, Slack, Webhook
from outbound_slo.vocabulary.alerts import Level

PAGE_RECEIVERS: Final[Mapping[Level, str]] = {level: f"page-{level.lower()}" for level in Level}
"""Receiver of a page by the highest level it calls."""

TICKETS: Final = "tickets"
"""Receiver of what may wait for an hour or four."""

DEAD_MANS_SWITCH: Final = "dead-mans-switch"
"""Receiver that raises the alarm when the Watchdog stops coming."""

EVERY_WAY: Final = "every-way"
"""Receiver of what says that notifications fail: one of these ways is the broken one."""

_TITLE: Final = '{{ template "outbound.title" . }}'
_TEXT: Final = '{{ template "outbound.text" . }}'
# The providers' support gets no links into our house.
_SUPPORT_TEXT: Final = '{{ template "outbound.support" . }}'


def write_receivers(contacts: Contacts) -> list[dict[str, Any]]:
    """Write all receivers; levels that share a contact have it once."""
    levels = (contacts.l1, contacts.l2, contacts.l3)
    pages = [
        _write_receiver(PAGE_RECEIVERS[level], [each for group in levels[:count] for each in group])
        for count, level in enumerate((Level.L1, Level.L2, Level.L3), start=1)
    ]
    everybody = [each for group in levels for each in group]
    support = [
        _write_receiver(receiver, everybody, support=choose_support(contacts, channel))
        for receiver, channel in support_receivers(contacts).items()
    ]
    ill = [*contacts.l1, *contacts.tickets, *contacts.second_way]
    return [
        *pages,
        *support,
        _write_receiver(TICKETS, contacts.tickets),
        _write_receiver(EVERY_WAY, ill),
        _write_receiver(DEAD_MANS_SWITCH, contacts.dead_mans_switch, send_resolved=False),
    ]


def support_receivers(contacts: Contacts) -> Mapping[str, str | None]:
    """Name the receivers of level 4 with their message channel; None for those of any channel."""
    channels = dict.fromkeys(channel for contact in contacts.l4 for channel in contact.channels)
    name = PAGE_RECEIVERS[Level.L4]
    return {name: None} | {f"{name}-{channel}": channel for channel in channels}


def choose_support(contacts: Contacts, channel: str | None) -> list[Contact]:
    """Choose the support that is for a channel; for None, what is for every channel."""
    return [each for each in contacts.l4 if not each.channels or channel in each.channels]


def write_globals(contacts: Contacts) -> dict[str, Any]:
    """Write what receivers have in common; empty without a mail server."""
    smtp = contacts.smtp
    if smtp is None:
        return {}
    written: dict[str, Any] = {
        "smtp_smarthost": smtp.smarthost,
        "smtp_from": smtp.sender,
        "smtp_require_tls": smtp.require_tls,
    }
    if smtp.username:
        written["smtp_auth_username"] = smtp.username
        written["smtp_auth_password_file"] = smtp.password_file
    return written


def _write_receiver(
    name: str,
    contacts: Sequence[Contact],
    *,
    support: Sequence[Contact] = (),
    send_resolved: bool = True,
) -> dict[str, Any]:
    receiver: dict[str, Any] = {"name": name}
    texts = dict.fromkeys(support, _SUPPORT_TEXT) | dict.fromkeys(contacts, _TEXT)
    for contact in dict.fromkeys([*contacts, *support]):
        section, written = _write_contact(contact, texts[contact])
        receiver.setdefault(section, []).append(written | {"send_resolved": send_resolved})
    return receiver


def _write_contact(contact: Contact, text: str) -> tuple[str, dict[str, Any]]:
    match contact:
        case Webhook():
            return "webhook_configs", _write_webhook(contact)
        case PagerDuty():
            return "pagerduty_configs", _write_pagerduty(contact, text)
        case Slack():
            return "slack_configs", {
                "api_url_file": contact.api_url_file,
                "channel": contact.channel,
                "title": _TITLE,
                "title_link": '{{ template "outbound.runbook" . }}',
                "text": text,
                "color": '{{ template "outbound.colour" . }}',
            }
        case Email():
            # No HTML: it would repeat the text in a page that some phones do not show.
            return "email_configs", {
                "to": contact.to,
                "headers": {"Subject": _TITLE},
                "html": "",
                "text": text,
            }
        case Opsgenie():
            return "opsgenie_configs", _write_opsgenie(contact, text)
    assert_never(contact)


def _write_webhook(contact: Webhook) -> dict[str, Any]:
    written: dict[str, Any] = {"url": contact.url}
    if contact.token_file:
        written["http_config"] = {"authorization": {"credentials_file": contact.token_file}}
    return written


def _write_pagerduty(contact: PagerDuty, text: str) -> dict[str, Any]:
    written: dict[str, Any] = {
        "routing_key_file": contact.routing_key_file,
        "description": _TITLE,
        "severity": '{{ template "outbound.severity" . }}',
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.channel }}",
        "group": "{{ .CommonLabels.family }}",
        "details": {"text": text},
        "links": [{"href": '{{ template "outbound.runbook" . }}', "text": "Runbook"}],
    }
    return written | ({"url": contact.url} if contact.url else {})


def _write_opsgenie(contact: Opsgenie, text: str) -> dict[str, Any]:
    written: dict[str, Any] = {
        "api_key_file": contact.api_key_file,
        "message": _TITLE,
        "description": text,
        "priority": '{{ template "outbound.urgency" . }}',
    }
    return written | ({"api_url": contact.url} if contact.url else {})
