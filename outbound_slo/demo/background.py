"""What the database knows before the first message: quotas, dossiers, consents, windows."""

from collections.abc import Iterable, Sequence

import psycopg

from outbound_slo.database import load_queries
from outbound_slo.demo.content import ORGANISATIONS
from outbound_slo.demo.workload import Consent, Person, Window
from outbound_slo.vocabulary.statuses import Channel

_QUERIES = load_queries("outbound_slo.demo", "sql/background.sql")

_HOURS_SINCE_INBOUND = {Window.OPEN: 3, Window.EXPIRED: 48}


def write_background(connection: psycopg.Connection, people: Sequence[Person]) -> None:
    """Fill the tables that the sender's checks read; in the caller's transaction."""
    organisations = [
        {
            "org_id": organisation.org_id,
            "phone_number_id": organisation.phone_number_id,
            "quota_used": organisation.quota_used,
            "quota_limit": organisation.quota_limit,
        }
        for organisation in ORGANISATIONS
    ]
    with connection.cursor() as cursor:
        for name, rows in (
            ("add_provider_config", organisations),
            ("add_quota", organisations),
            ("add_dossier", list(_dossiers(people))),
            ("add_consent", list(_consents(people))),
            ("add_window", list(_windows(people))),
        ):
            cursor.executemany(_QUERIES[name].encode(), rows)


def _dossiers(people: Iterable[Person]) -> Iterable[dict[str, object]]:
    for person in people:
        yield {
            "id": person.number,
            "org_id": person.organisation.org_id,
            "name": person.name,
            "email": person.email,
            "phone": person.phone,
        }


def _consents(people: Iterable[Person]) -> Iterable[dict[str, object]]:
    for person in people:
        for channel, consent in person.consents.items():
            if consent is not Consent.MISSING:
                yield {
                    "org_id": person.organisation.org_id,
                    "recipient": person.email if channel is Channel.EMAIL else person.phone,
                    "channel": channel.value,
                    "status": consent.value,
                }


def _windows(people: Iterable[Person]) -> Iterable[dict[str, object]]:
    for person in people:
        if person.window is not Window.NEVER:
            yield {
                "org_id": person.organisation.org_id,
                "phone": person.phone,
                "hours_ago": _HOURS_SINCE_INBOUND[person.window],
            }
