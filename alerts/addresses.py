"""Addresses that Alertmanager takes, told apart before it gets them.

Stricter than Go's parser, which lets quotes and angle brackets through: what passes here is taken
by Alertmanager, and that is tested on the real one.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from outbound_slo.vocabulary.mistakes import UserMistake

_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])"
_REST: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_ADDRESS: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?(?:[/?]{_REST})?",
    re.IGNORECASE,
)
_HOST_AND_PORT: Final = re.compile(rf"(?P<host>{_HOST}):(?P<port>\d{{1,5}})")
_HOST_OPTIONAL_PORT: Final = re.compile(rf"(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?")
_LAST_PORT: Final = 65535
# Names under which services take a secret in the query: it would stand in the configuration.
_SECRET_PARAMETERS: Final = frozenset(
    {"token", "access_token", "key", "api_key", "apikey", "secret", "password", "sig"}
)
_EXAMPLE: Final = "Write it as https://host:port/path"

PROVIDERS: Final = ("graph.facebook.com", "api.twilio.com", "api.sendgrid.com", "smtp.sendgrid.net")
"""Hosts of the providers whose failures are paged about: no page may depend on them (T18)."""


def check_address(address: str, where: str) -> str:
    """Check an address of a web service, and give it back.

    Args:
        address: `http` or `https`, without user and password.
        where: What asks for it; begins the error.

    Raises:
        UserMistake: Alertmanager would refuse it, or it holds a secret.

    """
    if "@" in address.partition("//")[2].partition("/")[0]:
        raise UserMistake(
            f"{where} has a user or a password in its address",
            "Leave them out, and name a file with the token in token_file",
        )
    found = _ADDRESS.fullmatch(address)
    if found is None or not _is_port(found["port"]) or not _is_host(found["host"]):
        raise UserMistake(f"{where} {address!r} is no address of a web service", _EXAMPLE)
    names = {name.lower() for name, _ in parse_qsl(urlsplit(address).query)}
    secrets = sorted(names & _SECRET_PARAMETERS)
    if secrets:
        raise UserMistake(
            f"{where} has a secret in its address: {secrets[0]}",
            "Leave it out, and name a file with the token in token_file",
        )
    return address


def check_host_and_port(text: str, where: str) -> str:
    """Check a `host:port`, and give it back.

    Raises:
        UserMistake: It is none.

    """
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or not _is_port(found["port"]) or not _is_host(found["host"]):
        raise UserMistake(f"{where} {text!r} is no host:port", "Write it as smtp.example.com:587")
    return text


def check_host(text: str, where: str) -> str:
    """Check a host, or a `host:port`, and give it back.

    Raises:
        UserMistake: It is neither.

    """
    found = _HOST_OPTIONAL_PORT.fullmatch(text)
    if found is None or not _is_port(found["port"]) or not _is_host(found["host"]):
        raise UserMistake(
            f"{where} {text!r} is no host",
            "Write outbound.example.com, or host:port",
        )
    return text


def check_independence(address: str, where: str, monitored: Iterable[str]) -> None:
    """Refuse a way that ends with what it reports on (T18).

    Args:
        address: An address, or a `host:port`.
        where: What asks for it; begins the error.
        monitored: Hosts, or `host:port`, of our own sender.

    Raises:
        UserMistake: It leads to our own sender, or to a provider that is watched.

    """
    authority = urlsplit(address if "//" in address else f"//{address}").netloc.lower()
    host = authority.rpartition(":")[0] if authority.rpartition(":")[2].isdecimal() else authority
    forbidden = {each.lower() for each in (*PROVIDERS, *monitored)}
    if {authority, host} & forbidden:
        raise UserMistake(
            f"{where} pages over {authority}, which is what the pages are about",
            "Use a way that still works when no message leaves the house",
        )


def _is_host(text: str) -> bool:
    """Tell whether what stands in brackets is an IPv6 address; names are the pattern's affair."""
    if not text.startswith("["):
        return True
    try:
        ipaddress.IPv6Address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) <= _LAST_PORT
