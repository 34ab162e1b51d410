"""Webhook secrets of organisations: how they stand, and putting a new one in place (001).

The text of a secret is read from the database by nobody here; a new one is in no repr, in no audit
and in no line but where somebody asks to see it.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from operations.change import Applied, Group, Survey
from operations.output import show_cell
from operations.undo import MOVED_ON
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from sender.audit import Operation, Relation, keep_rows

_QUERIES = load_queries("operations", "sql/secrets.sql")

LATEST_WEBHOOKS = 20_000
"""Webhooks among which an organisation's last one is looked for."""

BITS = 256
"""Strength of a new secret (001, step 1)."""


@dataclass(frozen=True, slots=True)
class SecretStatus:
    """How one organisation's webhook secret stands.

    Attributes:
        id: Key of its row.
        readable: Whether it fits OUTBOUND_SECRETS_KEY; None where there is no key or no secret.
        rotated_at: When it replaced another one; None where it never did.
        rotated_by: Who did that; None where the row has been changed since.
        previous_until: How long the one before is accepted too; None where there is none any more.
        accepted_at: The last webhook that it signed, the one before it included; None for none
            among the latest.

    """

    id: int
    org_id: str
    enabled: bool
    phone_number_id: str
    updated_at: datetime
    updated_by: str | None
    has_secret: bool
    readable: bool | None
    rotated_at: datetime | None
    rotated_by: str | None
    previous_until: datetime | None
    accepted_at: datetime | None = None

    @property
    def state(self) -> str:
        """What can be said of it in a word or two."""
        if not self.has_secret:
            return "none"
        return {True: "readable", False: "unreadable", None: "stored"}[self.readable]

    @property
    def fails(self) -> bool:
        """Whether the sender refuses this organisation's webhooks for it."""
        return self.enabled and self.readable is False


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """When a webhook of WhatsApp's was last accepted and last refused, whoever's it was."""

    last_accepted_at: datetime | None
    last_rejected_at: datetime | None


def read_secrets(
    connection: psycopg.Connection, key: str, org_id: str | None = None
) -> list[SecretStatus]:
    """Read how secrets stand, by organisation.

    Raises:
        UserMistake: The one that is named has no row.

    """
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["read_latest_webhooks"].encode(), {"limit": LATEST_WEBHOOKS})
        accepted = {row["org_id"]: row["accepted_at"] for row in cursor}
        cursor.execute(_QUERIES["read_secrets"].encode(), {"key": key, "org_id": org_id})
        found = [SecretStatus(**row, accepted_at=accepted.get(row["org_id"])) for row in cursor]
    if org_id is not None and not found:
        names = [name for (name,) in connection.execute(_QUERIES["name_organisations"].encode())]
        near = difflib.get_close_matches(org_id, names, n=1)
        raise UserMistake(
            f"The organisation {org_id} has no row in whatsapp_provider_config",
            f"Did you mean {near[0]}?" if near else "'outbound-slo ops secret status' lists them",
        )
    return found


def read_health(connection: psycopg.Connection) -> WebhookHealth:
    """Read when webhooks of WhatsApp's last came."""
    with connection.cursor(row_factory=class_row(WebhookHealth)) as cursor:
        cursor.execute(_QUERIES["read_health"].encode())
        return cursor.fetchone() or WebhookHealth(None, None)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The change that puts a webhook secret in place.

    Attributes:
        org_id: Whose.
        secret: The new one.
        key: Key that encrypts it.
        hand_over: Called before the change is committed, so that the secret is not lost with it.
        force: Put it in place although the present one does not fit the key.
        source: Where the secret comes from, for the audit: `generated` or `given`.
        undoes: Nothing: it is no undo.

    """

    org_id: str
    secret: str = field(repr=False)
    key: str = field(repr=False)
    hand_over: Callable[[], None] = field(repr=False)
    force: bool = False
    source: str = "generated"
    undoes: int | None = None

    @property
    def command(self) -> str:
        """See `Change`."""
        return "secret rotate"

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"org_id": self.org_id, "source": self.source, "force": self.force}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`.

        Raises:
            UserMistake: There is no such organisation, the database can't encrypt, or the key is
                not the one that the present secret was encrypted with.

        """
        if connection.execute(_QUERIES["can_encrypt"].encode()).fetchone() != (True,):
            raise UserMistake(
                "The database has no pgcrypto, so it can't encrypt a secret",
                "Have an administrator run CREATE EXTENSION pgcrypto",
            )
        [status] = read_secrets(connection, self.key, self.org_id)
        if status.readable is False and not self.force:
            raise UserMistake(
                f"The present secret of {self.org_id} does not fit OUTBOUND_SECRETS_KEY, so "
                "senders would not read the new one either, if they have another key",
                "Set the senders' key; --force if the present secret's key is lost",
            )
        asked = {"key": self.key, "secret": self.secret, "id": status.id}
        if connection.execute(_QUERIES["is_current"].encode(), asked).fetchone() == (True,):
            return Survey([], "secrets", "to stay as they are")
        return Survey(
            [status.id],
            "secrets",
            "to be replaced; webhooks signed with it are accepted for seven days more"
            if status.has_secret
            else "to be put in place",
            ("Org", "Number", "Present", "Changed", "By"),
            (Group(_show(status), 1),),
            tuple(_warn(status)),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        done = 0
        for number in keys:
            if connection.execute(_QUERIES["lock_config"].encode(), {"id": number}).fetchone():
                self.hand_over()
                with keep_rows(connection, operation, Relation.PROVIDER_CONFIG, [number]):
                    self._write(connection, operation, number)
                done += 1
        return Applied(done, {MOVED_ON: len(keys) - done} if done < len(keys) else {})

    def _write(self, connection: psycopg.Connection, operation: Operation, number: int) -> None:
        asked = {"id": number, "secret": self.secret, "key": self.key, "stamp": operation.stamp}
        connection.execute(_QUERIES["rotate_secret"].encode(), asked)


def _show(status: SecretStatus) -> tuple[object, ...]:
    return (
        status.org_id,
        status.phone_number_id,
        status.state,
        status.updated_at,
        status.updated_by,
    )


def _warn(status: SecretStatus) -> list[str]:
    warnings: list[str] = []
    if status.previous_until is not None:
        until = show_cell(status.previous_until)
        warnings.append(
            f"the secret before the present one, good until {until}, is no longer accepted then"
        )
    if not status.enabled:
        warnings.append("the organisation is switched off: its webhooks are refused all the same")
    return warnings
