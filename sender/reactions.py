"""What webhooks tell besides receipts: recipients' messages and wishes, notices of accounts.

A tenant's secret speaks for that tenant alone: for its own numbers and accounts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import structlog
from psycopg import AsyncConnection

from outbound_slo.database import load_queries
from sender.callbacks import Caller
from sender.news import News, Wish

_log = structlog.get_logger()
_QUERIES = load_queries("sender", "sql/callbacks.sql")

Owners = Mapping[str, tuple[str, ...]]
"""Organisations by the id of a business number or account."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The news of one webhook, and for which organisations its signer speaks (None: all)."""

    caller: Caller
    signed_by: tuple[str, ...] | None
    news: News


@dataclass(frozen=True, slots=True)
class Told:
    """What was news, to be counted and logged once the transaction has committed.

    Attributes:
        notices: Provider, kind, severity, account, subject and event of each.
        wishes: Channel and whether to stop, of each.
        strangers: Messages, wishes and notices for numbers or accounts that are not the signer's.

    """

    notices: Sequence[tuple[str, str, str, str, str | None, str | None]] = field(default=())
    wishes: Sequence[tuple[str, bool]] = field(default=())
    strangers: int = 0


async def react(connection: AsyncConnection[Any], dispatches: Sequence[Dispatch]) -> Told:
    """Store and carry out what webhooks tell besides receipts, in the open transaction."""
    marks = {mark for dispatch in dispatches for mark in _marks(dispatch.news)}
    if not marks and not any(dispatch.news.wishes for dispatch in dispatches):
        return Told()
    owners = await _read_owners(connection, marks)
    strangers = await _keep_inbound(connection, dispatches, owners)
    wishes, strange_wishes = await _keep_wishes(connection, dispatches, owners)
    notices, strange_notices = await _keep_notices(connection, dispatches, owners)
    return Told(notices, wishes, strangers + strange_wishes + strange_notices)


def log_told(told: Told) -> None:
    """Write a line for each notice that is news, and one for what was nobody's."""
    for provider, kind, severity, account, subject, event in told.notices:
        _log.warning(
            "provider notice",
            provider=provider,
            kind=kind,
            severity=severity,
            account=account,
            subject=subject,
            event_word=event,
        )
    if told.strangers:
        _log.warning("webhook items of unknown or others' accounts", count=told.strangers)


def _marks(news: News) -> Iterator[str]:
    yield from (message.phone_number_id for message in news.inbound)
    yield from (wish.phone_number_id for wish in news.wishes if wish.phone_number_id)
    yield from (notice.account for notice in news.notices)
    yield from (template.account for template in news.templates)


async def _read_owners(connection: AsyncConnection[Any], marks: set[str]) -> Owners:
    found: dict[str, tuple[str, ...]] = {}
    cursor = await connection.execute(_QUERIES["read_owners"].encode(), {"marks": sorted(marks)})
    for org_id, *ids in await cursor.fetchall():
        for mark in {mark for mark in ids if mark}:
            found[mark] = (*found.get(mark, ()), org_id)
    return found


def _allowed(owners: Owners, mark: str, dispatch: Dispatch) -> tuple[str, ...]:
    """Give the organisations of a number or account that the signer speaks for."""
    known, signed_by = owners.get(mark, ()), dispatch.signed_by
    return known if signed_by is None else tuple(org for org in known if org in signed_by)


def _write(rows: Iterable[object]) -> dict[str, object]:
    return {"rows": orjson.dumps(list(rows)).decode()}


async def _keep_inbound(
    connection: AsyncConnection[Any], dispatches: Sequence[Dispatch], owners: Owners
) -> int:
    rows: list[dict[str, object]] = []
    strangers = 0
    for dispatch in dispatches:
        for message in dispatch.news.inbound:
            allowed = _allowed(owners, message.phone_number_id, dispatch)
            strangers += not allowed
            rows += [asdict(message) | {"org_id": org_id} for org_id in allowed]
    if rows:
        await connection.execute(_QUERIES["store_inbound"].encode(), _write(rows))
        await connection.execute(_QUERIES["open_windows"].encode(), _write(rows))
    return strangers


async def _keep_wishes(
    connection: AsyncConnection[Any], dispatches: Sequence[Dispatch], owners: Owners
) -> tuple[list[tuple[str, bool]], int]:
    rows: list[dict[str, object]] = []
    strangers = 0
    for dispatch in dispatches:
        for wish in dispatch.news.wishes:
            audience = _find_audience(owners, wish, dispatch)
            strangers += not audience
            rows += [asdict(wish) | {"org_id": org_id} for org_id in audience]
    if not rows:
        return [], strangers
    cursor = await connection.execute(_QUERIES["keep_wishes"].encode(), _write(rows))
    news = sorted(await cursor.fetchall())
    for org_id, channel, recipient, stop, source in news:
        scope = "organisation" if org_id else "everywhere"
        name = f"{'stop' if stop else 'resume'}_{'for_' if org_id else ''}{scope}"
        await connection.execute(
            _QUERIES[name].encode(),
            {"org_id": org_id, "channel": channel, "recipient": recipient, "source": source},
        )
    return [(channel, stop) for _, channel, _, stop, _ in news], strangers


def _find_audience(owners: Owners, wish: Wish, dispatch: Dispatch) -> tuple[str | None, ...]:
    """Give the organisations that a wish is to; one None: the message's, or else everybody."""
    if wish.phone_number_id is None:
        return (None,)
    if dispatch.signed_by is None and wish.phone_number_id not in owners:
        # The platform's own number: whoever sends through it.
        return (None,)
    return _allowed(owners, wish.phone_number_id, dispatch)


async def _keep_notices(
    connection: AsyncConnection[Any], dispatches: Sequence[Dispatch], owners: Owners
) -> tuple[list[tuple[str, str, str, str, str | None, str | None]], int]:
    told: list[tuple[str, str, str, str, str | None, str | None]] = []
    strangers = 0
    for dispatch in dispatches:
        news = dispatch.news
        if not news.notices and not news.templates:
            continue

        def speaks_for(account: str, dispatch: Dispatch = dispatch) -> bool:
            return dispatch.signed_by is None or bool(_allowed(owners, account, dispatch))

        notices = [notice for notice in news.notices if speaks_for(notice.account)]
        strangers += len(news.notices) - len(notices)
        cursor = await connection.execute(
            _QUERIES["keep_notices"].encode(),
            _write(notices) | {"provider": dispatch.caller.value},
        )
        told += [(dispatch.caller.value, *row) for row in await cursor.fetchall()]
        templates = _write(one for one in news.templates if speaks_for(one.account))
        await connection.execute(_QUERIES["keep_template_states"].encode(), templates)
        await connection.execute(_QUERIES["keep_template_qualities"].encode(), templates)
    return told, strangers
