"""Templates that messages use, held against what Meta has: exact name, exact language, approved.

Meta compares names with their case (001, issue 2). Source: Meta's message_templates reference and
the Graph API's pages on paging, as of September 2026.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from operations.accounts import MetaAccount
from operations.probing import Ask, Question, Reply
from operations.verdicts import clean, explain_trouble, read_graph_error
from outbound_slo.settings import ProviderSettings
from sender.redaction import Redactor
from sender.wire import mapping, mappings, text

PAGE_SIZE = 250
MOST_PAGES = 50
"""Pages of one account that are read: Meta allows 6,000 templates in an account."""

FIELDS = "name,language,status,rejected_reason"

_APPROVED = "APPROVED"


class Standing(StrEnum):
    """Whether messages with a template can go."""

    APPROVED = "approved"
    REFUSED = "refused"
    WRONG_LANGUAGE = "wrong_language"
    CASE_DIFFERS = "case_differs"
    MISSING = "missing"
    UNKNOWN = "unknown"

    @property
    def sendable(self) -> bool:
        """Whether Meta takes a message with it, as far as can be told."""
        return self is Standing.APPROVED


@dataclass(frozen=True, slots=True)
class Template:
    """A template in one language as Meta has it; `status` in Meta's words."""

    name: str
    language: str
    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """A template that messages use.

    Attributes:
        queued: Messages that are not sent yet.
        recent: Messages made within the days that were asked for.

    """

    org_id: str
    name: str
    language: str
    queued: int
    recent: int


@dataclass(frozen=True, slots=True)
class Told:
    """What a webhook last told of a template."""

    status: str | None
    reason: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Listing:
    """An account's templates, or why they are not known.

    Attributes:
        templates: All of them; empty with a fault.
        fault: Why they could not be read; None where they were.
        advice: What to do about that.

    """

    templates: tuple[Template, ...] = ()
    fault: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One used template and what Meta has.

    Attributes:
        standing: Whether its messages can go.
        status: Meta's word for it; None where it has none of that name and language.
        reason: Meta's, where it refuses it.
        near: A name or a language that Meta has and that may be meant.
        told: The webhooks' last word on it.

    """

    use: Use
    business_id: str
    standing: Standing
    status: str | None = None
    reason: str | None = None
    near: str | None = None
    told: Told | None = None


def list_templates(
    account: MetaAccount, settings: ProviderSettings, redactor: Redactor, ask: Ask
) -> Listing:
    """Read every page of an account's templates."""
    obstacle = _find_obstacle(account)
    if obstacle is not None:
        return obstacle
    root = f"{settings.whatsapp_api_url.rstrip('/')}/{settings.whatsapp_api_version}"
    first = Question(
        f"{root}/{account.business_id}/message_templates",
        {"fields": FIELDS, "limit": str(PAGE_SIZE)},
        bearer=account.token,
    )
    found: list[Template] = []
    question: Question | None = first
    for _ in range(MOST_PAGES):
        if question is None:
            return Listing(tuple(found))
        [reply] = ask([question])
        fault = _find_fault(reply, account, settings, redactor)
        if fault is not None:
            return fault
        rows = mappings(reply.body["data"])
        found += (each for row in rows if (each := _read_template(row, redactor)))
        following = _turn_page(first, question, mapping(reply.body.get("paging")))
        if isinstance(following, str):
            return Listing(fault=following, advice="Check WHATSAPP_API_URL, and who answers there")
        question = following
    return Listing(fault=f"more than {MOST_PAGES} pages of templates", advice="Ask Meta's support")


def _find_obstacle(account: MetaAccount) -> Listing | None:
    """Say why an account can't be asked; None where it can."""
    if not account.readable:
        fault = "the organisation's access token does not fit OUTBOUND_SECRETS_KEY"
        return Listing(fault=fault, advice="Set the key that encrypted it")
    if not account.token:
        return Listing(fault="no access token is set", advice="Set WHATSAPP_ACCESS_TOKEN")
    if not account.business_id:
        return Listing(
            fault="no business account is known",
            advice="Set WHATSAPP_BUSINESS_ACCOUNT_ID, or the organisation's business_account_id",
        )
    return None


def _find_fault(
    reply: Reply, account: MetaAccount, settings: ProviderSettings, redactor: Redactor
) -> Listing | None:
    """Say why an answer is no page of templates; None where it is one."""
    if reply.trouble is not None:
        fault, advice = explain_trouble(reply, "WHATSAPP_API_URL")
        return Listing(fault=fault, advice=advice)
    if reply.status == HTTPStatus.OK and isinstance(mapping(reply.body).get("data"), list):
        return None
    verdict = read_graph_error(
        reply, settings.whatsapp_error_policy, redactor, own_token=account.own_token
    )
    return Listing(fault="; ".join(verdict.said), advice=verdict.advice)


def _turn_page(
    first: Question, current: Question, paging: Mapping[str, Any]
) -> Question | str | None:
    """Give the next page; None after the last, a text where there is something wrong with it.

    The cursor is enough, and the address is our own then. Where there is only an address, its query
    is taken if it names the same place; the token in it is not, since the header carries ours.
    """
    following = text(paging.get("next"))
    if following is None:
        return None
    after = paging.get("cursors")
    cursor = text(mapping(after).get("after"))
    if cursor is None:
        query = _take_query(first.url, str(paging["next"]))
        if query is None:
            return "the next page of templates lies elsewhere, not followed"
    else:
        query = {**first.query, "after": cursor}
    if query == current.query:
        return "the next page of templates is the same page"
    return replace(first, query=query)


def _take_query(ours: str, theirs: str) -> dict[str, str] | None:
    """Give the query of an address at our own host; None of any other."""
    try:
        own, other = urlsplit(ours), urlsplit(theirs)
        same = (own.scheme, own.hostname, own.port) == (other.scheme, other.hostname, other.port)
    except ValueError:
        return None
    if not same or other.path != own.path:
        return None
    return {key: value for key, value in parse_qsl(other.query) if key != "access_token"}


def _read_template(row: Mapping[str, Any], redactor: Redactor) -> Template | None:
    """Read a template; None for what has no name and language that a message could have."""
    name, language = text(row.get("name")), text(row.get("language"))
    if name is None or language is None or not (name + language).isprintable():
        return None
    reason = text(row.get("rejected_reason"))
    return Template(
        name,
        language,
        clean(redactor, text(row.get("status")) or "UNKNOWN").upper(),
        None if reason in {None, "NONE"} else clean(redactor, reason or ""),
    )


def match_uses(
    uses: Iterable[Use],
    accounts: Mapping[str | None, MetaAccount],
    listings: Mapping[str, Listing],
    told: Mapping[tuple[str, str, str], Told],
) -> Iterator[Match]:
    """Hold each use against the templates of its organisation's account.

    Args:
        uses: What messages use.
        accounts: Accounts by organisation; None is the platform's, which serves the others.
        listings: Templates by business account.
        told: What webhooks told, by business account, name and language.

    """
    for use in uses:
        business_id = accounts.get(use.org_id, accounts[None]).business_id
        match = match_use(use, business_id, listings[business_id])
        yield replace(match, told=told.get((business_id, use.name, use.language)))


def match_use(use: Use, business_id: str, listing: Listing) -> Match:
    """Find a used template among those of an account."""
    if listing.fault is not None:
        return Match(use, business_id, Standing.UNKNOWN)
    named = [each for each in listing.templates if each.name == use.name]
    for template in named:
        if template.language == use.language:
            standing = Standing.APPROVED if template.status == _APPROVED else Standing.REFUSED
            return Match(use, business_id, standing, template.status, template.reason)
    if named:
        near = _find_near(use.language, [each.language for each in named])
        return Match(use, business_id, Standing.WRONG_LANGUAGE, near=near or named[0].language)
    names = [each.name for each in listing.templates]
    for name in names:
        if name.casefold() == use.name.casefold():
            return Match(use, business_id, Standing.CASE_DIFFERS, near=name)
    return Match(use, business_id, Standing.MISSING, near=_find_near(use.name, names))


def _find_near(wanted: str, known: Sequence[str]) -> str | None:
    found = difflib.get_close_matches(wanted, sorted(set(known)), n=1, cutoff=0.6)
    return found[0] if found else None
