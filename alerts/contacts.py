"""Who is told of alerts, and over which way: `paging.yml`, read strictly.

A secret is never in it: it names files, which Alertmanager reads when it needs them. The format is
`paging.schema.json`; docs/paging.md explains it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from email_validator import EmailNotValidError, validate_email

from alerts.addresses import (
    check_address,
    check_host,
    check_host_and_port,
    check_independence,
)
from alerts.rule_files import read_mapping
from exporter.document import read_document
from outbound_slo.vocabulary.alerts import Priority
from outbound_slo.vocabulary.mistakes import UserMistake

SECRET_KEYS: Final[Mapping[str, str]] = {
    "routing_key": "routing_key_file",
    "service_key": "routing_key_file",
    "api_key": "api_key_file",
    "api_url": "api_url_file",
    "token": "token_file",
    "bearer_token": "token_file",
    "credentials": "token_file",
    "password": "password_file",
    "auth_password": "password_file",
}
"""Keys that would hold a secret, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of Alertmanager's JSON.

    Attributes:
        url: Address; Alertmanager 0.25 takes it from the configuration only.
        token_file: File whose content goes along as bearer token.
        channels: For level 4: the message channels whose provider this is; empty for all.

    """

    url: str
    token_file: str | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """A PagerDuty service, by its Events API v2; `url` where it is not the usual one."""

    routing_key_file: str
    url: str | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slack:
    """A Slack channel, by an incoming webhook whose address is the secret."""

    api_url_file: str
    channel: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Email:
    """An address, reached through the server in `Smtp`."""

    to: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opsgenie:
    """An Opsgenie team; `url` where it is not the usual one, such as the European."""

    api_key_file: str
    url: str | None = None
    channels: tuple[str, ...] = ()


Contact = Webhook | PagerDuty | Slack | Email | Opsgenie

_KINDS: Final[Mapping[str, type[Contact]]] = {
    "webhook": Webhook,
    "pagerduty": PagerDuty,
    "slack": Slack,
    "email": Email,
    "opsgenie": Opsgenie,
}


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server that Alertmanager hands its mails to."""

    smarthost: str
    sender: str
    username: str | None = None
    password_file: str | None = None
    require_tls: bool = True


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """When tickets are read.

    Attributes:
        time_zone: Name of the time zone that the times are in.
        days: English names of the days, lower case.
        start: First minute, as HH:MM.
        end: First minute after them; "24:00" is the end of the day.
        priorities: Tickets that wait for them. 002 wants P2 within the hour, so that only P3 does
            unless told otherwise.

    """

    time_zone: str
    days: tuple[str, ...]
    start: str
    end: str
    priorities: tuple[Priority, ...] = (Priority.P3,)


@dataclass(frozen=True, slots=True)
class Contacts:
    """Ways to reach people; an empty tuple where nobody listens.

    Attributes:
        l1: Pages of level 1.
        l2: Pages of level 2; those of level 1 get them too.
        l3: Pages of level 3; those below get them too.
        l4: Support of the message providers.
        tickets: Warnings that become tickets.
        dead_mans_switch: Watchdog's heartbeat; on another machine than this one, or it is no use.
        second_way: Told, besides l1 and tickets, when notifications fail.
        smtp: The mail server; needed by contacts of kind email.
        working_hours: When tickets are read; None for always.

    """

    l1: tuple[Contact, ...]
    l2: tuple[Contact, ...]
    l3: tuple[Contact, ...]
    l4: tuple[Contact, ...] = ()
    tickets: tuple[Contact, ...] = ()
    dead_mans_switch: tuple[Contact, ...] = ()
    second_way: tuple[Contact, ...] = ()
    smtp: Smtp | None = None
    working_hours: WorkingHours | None = None

    @classmethod
    def at(cls, base_url: str) -> "Contacts":
        """Put every receiver on a path of its own below one address.

        Raises:
            UserMistake: Alertmanager would refuse the address.

        """
        base = check_address(base_url, "The pager's address").rstrip("/")
        return cls(
            l1=(Webhook(f"{base}/l1"),),
            l2=(Webhook(f"{base}/l2"),),
            l3=(Webhook(f"{base}/l3"),),
            l4=(Webhook(f"{base}/l4"),),
            tickets=(Webhook(f"{base}/tickets"),),
            dead_mans_switch=(Webhook(f"{base}/dead-mans-switch"),),
        )

    @classmethod
    def pager(cls, url: str) -> "Contacts":
        """Send the pages of all levels to one address, once each, and nothing else anywhere."""
        hook = (Webhook(check_address(url, "The pager's address")),)
        return cls(l1=hook, l2=hook, l3=hook)

    @property
    def everybody(self) -> tuple[Contact, ...]:
        """Every contact, of whatever role."""
        roles = (self.l1, self.l2, self.l3, self.l4, self.tickets)
        return tuple(
            contact for role in (*roles, self.dead_mans_switch, self.second_way) for contact in role
        )


def read_contacts(path: Path) -> Contacts:
    """Read `paging.yml`.

    Raises:
        UserMistake: It can't be read, does not fit the schema, holds a secret or an address that
            Alertmanager refuses, or pages over what is watched; names the key and the value.

    """
    _refuse_secrets(read_mapping(path), path.name)
    schema = json.loads(resources.files("alerts").joinpath("paging.schema.json").read_text("utf-8"))
    document = read_document(path, path.name, schema)
    monitored = tuple(document.get("monitored", ()))
    for number, host in enumerate(monitored):
        check_host(host, f"{path.name}: monitored[{number}]")
    receivers = {
        role: tuple(
            _read_contact(written, f"{path.name}: receivers.{role}[{number}]", role, monitored)
            for number, written in enumerate(ways)
        )
        for role, ways in document["receivers"].items()
    }
    contacts = Contacts(
        **receivers,
        smtp=_read_smtp(document.get("smtp"), f"{path.name}: smtp", monitored),
        working_hours=_read_hours(document.get("working_hours"), f"{path.name}: working_hours"),
    )
    if contacts.smtp is None and any(isinstance(each, Email) for each in contacts.everybody):
        raise UserMistake(
            f"{path.name} has receivers of kind email and no smtp",
            "Add smtp with smarthost and from",
        )
    return contacts


def _refuse_secrets(document: object, file: str) -> None:
    for where, key in _walk(document, ""):
        if key in SECRET_KEYS:
            raise UserMistake(
                f"{file}: {where} would put a secret into the file",
                f"Write it to a file of its own and name that in {SECRET_KEYS[key]}",
            )


def _walk(document: object, place: str) -> Iterator[tuple[str, str]]:
    """Give every key with its place in the document."""
    if isinstance(document, dict):
        for key, value in document.items():
            where = f"{place}.{key}" if place else str(key)
            yield where, str(key)
            yield from _walk(value, where)
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from _walk(value, f"{place}[{number}]")


def _read_contact(
    written: Mapping[str, Any], where: str, role: str, monitored: Sequence[str]
) -> Contact:
    if "channels" in written and role != "l4":
        raise UserMistake(
            f"{where}.channels means nothing there", "Only the providers' support, l4, has channels"
        )
    kind = _KINDS[written["kind"]]
    values = {key: value for key, value in written.items() if key != "kind"}
    values["channels"] = tuple(values.get("channels", ()))
    contact = kind(**values)
    if "url" in values:
        check_address(values["url"], f"{where}.url")
        check_independence(values["url"], f"{where}.url", monitored)
    if isinstance(contact, Webhook) and "hooks.slack.com" in contact.url:
        raise UserMistake(
            f"{where}.url is a secret of Slack's", "Use kind slack and api_url_file for it"
        )
    if isinstance(contact, Email):
        _check_email(contact.to, f"{where}.to")
    return contact


def _read_smtp(
    written: Mapping[str, Any] | None, where: str, monitored: Sequence[str]
) -> Smtp | None:
    if written is None:
        return None
    check_host_and_port(written["smarthost"], f"{where}.smarthost")
    check_independence(written["smarthost"], f"{where}.smarthost", monitored)
    _check_email(written["from"], f"{where}.from")
    if ("username" in written) != ("password_file" in written):
        raise UserMistake(f"{where} has one of username and password_file", "Give both, or neither")
    values = {"sender" if key == "from" else key: value for key, value in written.items()}
    return Smtp(**values)


def _read_hours(written: Mapping[str, Any] | None, where: str) -> WorkingHours | None:
    if written is None:
        return None
    try:
        ZoneInfo(written["time_zone"])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserMistake(
            f"{where}.time_zone {written['time_zone']!r} is not known",
            "Give a name of the time zone database, such as Europe/Rome",
        ) from None
    if written["from"] >= written["to"]:
        raise UserMistake(
            f"{where}.to {written['to']} is not after from {written['from']}",
            "Working hours begin and end on one day",
        )
    priorities = tuple(Priority(each) for each in written.get("priorities", (Priority.P3,)))
    return WorkingHours(
        written["time_zone"], tuple(written["days"]), written["from"], written["to"], priorities
    )


def _check_email(address: str, where: str) -> None:
    try:
        validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise UserMistake(
            f"{where} {address!r} is no e-mail address", str(error).rstrip(".")
        ) from None
