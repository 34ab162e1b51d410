"""What the answers of Meta, Twilio and SendGrid to a probe say. Pure.

Sources: Meta's phone number, health status and rate limiting references, Twilio's Account resource
and SendGrid's API key permissions, as of September 2026.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import orjson

from operations.probing import Reply, Trouble
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.errors import Category, ErrorPolicy, classify
from sender.redaction import Redactor
from sender.wire import mapping, mappings, text

BUSY_PERCENT = 80.0
"""Share of Meta's own API limit from which on it is worth a word."""

_LONGEST = 200
_SCOPE = "mail.send"


class State(StrEnum):
    """What a probe comes to. ATTENTION: messages go, but somebody should look."""

    OK = "ok"
    ATTENTION = "attention"
    FAILED = "failed"
    NOT_CONFIGURED = "not_configured"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a readable answer says."""

    state: State
    authenticated: bool | None
    said: tuple[str, ...]
    advice: str | None = None


def read_number(
    reply: Reply, settings: ProviderSettings, redactor: Redactor, *, own_token: bool
) -> Verdict:
    """Read a number's state at Meta."""
    body = mapping(reply.body)
    if reply.status != HTTPStatus.OK or "id" not in body:
        return read_graph_error(
            reply, settings.whatsapp_error_policy, redactor, own_token=own_token
        )
    health = mapping(body.get("health_status"))
    can_send = text(health.get("can_send_message")) or "UNKNOWN"
    quality = text(body.get("quality_rating")) or "UNKNOWN"
    said = [
        clean(redactor, text(body.get("display_phone_number")) or ""),
        f"can send: {clean(redactor, can_send)}",
        f"quality {clean(redactor, quality)}",
    ]
    level = text(mapping(body.get("throughput")).get("level"))
    said += [f"throughput {clean(redactor, level)}"] if level else []
    state, advice = State.OK, None
    if quality.upper() == "RED":
        state = State.ATTENTION
        advice = "Send less that people block or report: a red number loses its limit"
    if can_send.upper() != "AVAILABLE":
        blocked = can_send.upper() == "BLOCKED"
        state = State.FAILED if blocked else State.ATTENTION
        reasons = list(_read_health(health, redactor))
        said += [reason for reason, _ in reasons]
        advice = next((mend for _, mend in reasons if mend), "Look at the account at Meta")
    used = _find_usage(reply.headers)
    if used >= BUSY_PERCENT:
        said.append(f"{used:.0f} % of the API's call limit used")
        state = max(state, State.ATTENTION, key=_GRAVITY.index)
    served = reply.headers.get("facebook-api-version", "")
    if served and served != settings.whatsapp_api_version:
        said.append(f"served as {clean(redactor, served)}")
    return Verdict(state, True, tuple(filter(None, said)), advice)


_GRAVITY = (State.NOT_CONFIGURED, State.OK, State.ATTENTION, State.FAILED)


def _read_health(
    health: Mapping[str, object], redactor: Redactor
) -> Iterator[tuple[str, str | None]]:
    """Give what keeps each entity from sending, with Meta's own advice."""
    for entity in mappings(health.get("entities")):
        if entity.get("can_send_message") in {"AVAILABLE", None}:
            continue
        name = text(entity.get("entity_type")) or "entity"
        errors = list(mappings(entity.get("errors")))
        for error in errors:
            words = text(error.get("error_description")) or "no reason given"
            mend = text(error.get("possible_solution"))
            code = text(error.get("error_code"))
            said = f"{name}: {words}" + (f" ({code})" if code else "")
            yield clean(redactor, said), clean(redactor, mend) if mend else None
        notes = entity.get("additional_info")
        if not errors and isinstance(notes, list):
            for note in notes:
                yield clean(redactor, f"{name}: {text(note) or ''}"), None


def _find_usage(headers: Mapping[str, str]) -> float:
    """Give the highest percentage that Meta's two rate limit headers name; 0 without them."""
    shares = [0.0]
    for name in ("x-app-usage", "x-business-use-case-usage"):
        try:
            told = orjson.loads(headers.get(name, "{}"))
        except ValueError:
            continue
        groups = [
            mapping(told),
            *(each for some in mapping(told).values() for each in mappings(some)),
        ]
        for group in groups:
            for key in ("call_count", "total_time", "total_cputime"):
                value = group.get(key)
                if isinstance(value, int | float):
                    shares.append(float(value))
    return max(shares)


def read_graph_error(
    reply: Reply, policy: ErrorPolicy, redactor: Redactor, *, own_token: bool
) -> Verdict:
    """Read an error of the Graph API."""
    error = mapping(mapping(reply.body).get("error"))
    code = text(error.get("code"))
    details = text(mapping(error.get("error_data")).get("details"))
    words = details or text(error.get("message"))
    verdict = _refuse(reply, code, words, policy, redactor)
    if code == "190":
        place = "whatsapp_provider_config" if own_token else "WHATSAPP_ACCESS_TOKEN"
        return _advise(verdict, f"Put a valid access token into {place}")
    if code == "100" and text(error.get("error_subcode")) == "33":
        return _advise(verdict, "Check the id, and that the token's user may use it")
    return verdict


def _advise(verdict: Verdict, advice: str) -> Verdict:
    return Verdict(verdict.state, verdict.authenticated, verdict.said, advice)


def read_account(reply: Reply, policy: ErrorPolicy, redactor: Redactor) -> Verdict:
    """Read the account at Twilio."""
    body = mapping(reply.body)
    status = text(body.get("status"))
    if reply.status != HTTPStatus.OK or "sid" not in body or status is None:
        return _refuse(reply, text(body.get("code")), text(body.get("message")), policy, redactor)
    kind = text(body.get("type"))
    said = (f"account {clean(redactor, status)}", *([clean(redactor, kind)] if kind else []))
    if status == "active":
        if kind == "Trial":
            advice = "A trial account sends to verified numbers alone: upgrade it at Twilio"
            return Verdict(State.ATTENTION, True, said, advice)
        return Verdict(State.OK, True, said)
    return Verdict(State.FAILED, True, said, "Look at the account's balance and notices at Twilio")


def read_scopes(reply: Reply, policy: ErrorPolicy, redactor: Redactor) -> Verdict:
    """Read what the key may do at SendGrid."""
    scopes = mapping(reply.body).get("scopes")
    if reply.status != HTTPStatus.OK or not isinstance(scopes, list):
        errors = mappings(mapping(reply.body).get("errors"))
        words = "; ".join(text(error.get("message")) or "" for error in errors)
        return _refuse(reply, f"sendgrid_{reply.status}", words, policy, redactor)
    left = reply.headers.get("x-ratelimit-remaining", "")
    said = [f"{_SCOPE} {'allowed' if _SCOPE in scopes else 'not allowed'}"]
    said += [f"{left} calls left"] if left.isdecimal() else []
    if _SCOPE in scopes:
        return Verdict(State.OK, True, tuple(said))
    return Verdict(State.FAILED, True, tuple(said), "Give the key the permission to send mail")


def _refuse(
    reply: Reply, code: str | None, words: str | None, policy: ErrorPolicy, redactor: Redactor
) -> Verdict:
    """Read an error: the provider's words, and what the catalogue of errors says to do."""
    meaning = classify(code, reply.status, policy)
    shown = code if code and not code.startswith("sendgrid_") else None
    said = f"HTTP {reply.status}" + (f", code {clean(redactor, shown)}" if shown else "")
    refused = reply.status == HTTPStatus.UNAUTHORIZED or meaning.category is Category.AUTH
    return Verdict(
        State.FAILED,
        False if refused else None,
        (said, *([clean(redactor, words)] if words else [])),
        meaning.action if code else "Look at the provider's status page, then try again",
    )


def explain_trouble(reply: Reply, address: str) -> tuple[str, str]:
    """Say in words why there was no answer, and what to do."""
    status = f" (HTTP {reply.status})" if reply.status else ""
    elsewhere = f"Check {address}; look at the provider's status page"
    said, advice = {
        Trouble.NAME_UNKNOWN: ("the host's name is not known", f"Check {address} and DNS here"),
        Trouble.NOT_REACHED: ("no connection", f"Check {address}, firewall and routes"),
        Trouble.TLS_FAILED: (
            "no TLS connection: certificate or protocol refused",
            f"Check {address}, this machine's clock and certificates, and who intercepts TLS",
        ),
        Trouble.TIMED_OUT: ("no answer in time", elsewhere),
        Trouble.BROKEN_OFF: ("the connection broke off", elsewhere),
        Trouble.REDIRECTED: ("redirected elsewhere, not followed", f"Correct {address}"),
        Trouble.WEB_PAGE: ("the answer is a web page", elsewhere),
        Trouble.NOT_JSON: ("the answer is not JSON", elsewhere),
        Trouble.TOO_LARGE: ("the answer is too large", f"Check {address}"),
        Trouble.NOT_ASKED: (
            "could not be asked: address or credentials have characters that HTTP can't carry",
            f"Check {address} and the credentials for stray characters",
        ),
    }[reply.trouble or Trouble.BROKEN_OFF]
    return said + status, advice


def clean(redactor: Redactor, words: str) -> str:
    """Make a stranger's text safe to print: one line, no control characters, no secret, short."""
    plain = "".join(each if each.isprintable() else " " for each in words)
    return redactor.scrub(" ".join(plain.split()))[:_LONGEST]
