"""Whose number, account and token at Meta: the platform's, and those of organisations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import dict_row

from outbound_slo.database import load_queries
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.redaction import Redactor, find_secrets

_QUERIES = load_queries("operations", "sql/providers.sql")


@dataclass(frozen=True, slots=True)
class MetaAccount:
    """A number that messages are sent from, and the token that sends them.

    Attributes:
        org_id: Whose it is; None for the platform's, which serves all that have none.
        number_id: `phone_number_id`; empty where none is set.
        business_id: WhatsApp business account; empty where none is known.
        token: What sends; empty where none is set.
        own_token: Whether the token is the organisation's.
        readable: Whether the organisation's token fits OUTBOUND_SECRETS_KEY.
        enabled: Whether the sender sends from it.

    """

    org_id: str | None
    number_id: str
    business_id: str
    token: str = field(repr=False)
    own_token: bool = False
    readable: bool = True
    enabled: bool = True


def take_platform(settings: ProviderSettings) -> MetaAccount:
    """Give the platform's own account."""
    return MetaAccount(
        None,
        settings.whatsapp_phone_number_id,
        settings.whatsapp_business_account_id,
        settings.whatsapp_access_token.get_secret_value(),
        enabled=settings.whatsapp_enabled,
    )


def read_accounts(
    connection: psycopg.Connection,
    settings: ProviderSettings,
    org_ids: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[MetaAccount]:
    """Read the accounts of organisations; the platform's token stands in, as it does in sends.

    Args:
        connection: To the outbox.
        settings: The platform's own.
        org_ids: Which, as far as they have any; None for all.
        limit: The first so many, by name.

    """
    platform = take_platform(settings)
    key = settings.secrets_key.get_secret_value()
    asked = None if org_ids is None else list(org_ids)
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            _QUERIES["read_accounts"].encode(), {"key": key, "org_ids": asked, "limit": limit}
        )
        rows = cursor.fetchall()
    return [
        MetaAccount(
            row["org_id"],
            row["phone_number_id"] or platform.number_id,
            row["business_account_id"] or platform.business_id,
            (row["token"] or "") if row["has_token"] else platform.token,
            own_token=row["has_token"],
            readable=not row["has_token"] or row["token"] is not None,
            enabled=row["enabled"] and platform.enabled,
        )
        for row in rows
    ]


def require_accounts(org_ids: Iterable[str], accounts: Iterable[MetaAccount]) -> None:
    """Make sure that each of these organisations has an account of its own.

    Raises:
        UserMistake: One has none.

    """
    missing = sorted(set(org_ids) - {each.org_id for each in accounts if each.org_id})
    if missing:
        raise UserMistake(
            f"The organisation {missing[0]} has no row in whatsapp_provider_config",
            "It sends from the platform's number, if at all; check its name",
        )


def count_accounts(connection: psycopg.Connection) -> int:
    """Count organisations with a row of their own."""
    row = connection.execute(_QUERIES["count_accounts"].encode()).fetchone()
    return 0 if row is None else int(row[0])


def make_redactor(settings: ProviderSettings, accounts: Iterable[MetaAccount] = ()) -> Redactor:
    """Give what hides the platform's secrets and these accounts' tokens in a text."""
    return Redactor([*find_secrets(settings), *(each.token for each in accounts)])
