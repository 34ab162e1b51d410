"""What stands in the outbox when a measurement begins: campaigns, burdens, history."""

from dataclasses import dataclass
from typing import Any

import psycopg

from outbound_slo.database import load_queries
from outbound_slo.vocabulary.statuses import Priority

ORGANISATIONS = 4
"""Among whom a campaign's recipients are divided."""

URGENT_ORG = "bench-urgent"
HOT_ORG = "bench-hot"

_QUERIES = load_queries("benchmarks", "sql/backlog.sql")
_HISTORY_BATCH = 500_000


@dataclass(frozen=True, slots=True)
class Campaign:
    """Messages to a range of recipients.

    Attributes:
        first: Number of the first recipient; see `backlog.sql`.
        recipients: How many of them; as many as messages by default.
        org_id: One organisation for all, in place of the recipients' own.
        delay_s: Seconds from now until they are due.

    """

    first: int
    messages: int
    recipients: int | None = None
    org_id: str | None = None
    delay_s: float = 0.0
    priority: Priority = Priority.NORMAL

    def values(self) -> dict[str, object]:
        """Give the values of the statements that put it into the outbox."""
        return {
            "first": self.first,
            "messages": self.messages,
            "recipients": self.recipients or self.messages,
            "org_id": self.org_id,
            "organisations": ORGANISATIONS,
            "delay_s": self.delay_s,
            "priority": self.priority.value,
        }


class Backlog:
    """One database's outbox, filled and asked by a benchmark."""

    def __init__(self, database: str) -> None:
        """Take a migrated, empty database."""
        self.database = database
        self._run("organisations", organisations=ORGANISATIONS)

    @property
    def name(self) -> str:
        """Name of the database."""
        return self.database.rsplit("/", 1)[1]

    def allow(self, campaign: Campaign) -> None:
        """Record the consent of a campaign's recipients."""
        self._run("consents", **campaign.values())

    def queue(self, campaign: Campaign) -> None:
        """Queue a campaign, in one commit."""
        self._run("messages", **campaign.values())

    def hold_in_flight(self, first: int, recipients: int) -> None:
        """Let another process, which does not answer, have a message to each recipient in hand."""
        self._run("in_flight", first=first, recipients=recipients, organisations=ORGANISATIONS)

    def add_history(self, messages: int) -> None:
        """Add old messages to other recipients, a part at a time.

        Triggers are left out: what they would do to rows of the past is nothing to the claim.
        """
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for first in range(0, messages, _HISTORY_BATCH):
                values = {
                    "first": first,
                    "messages": min(_HISTORY_BATCH, messages - first),
                    "organisations": ORGANISATIONS,
                }
                connection.execute(_QUERIES["history"].encode(), values)

    def add_sent(self, first: int, messages: int) -> None:
        """Add messages whose receipts are still to come."""
        self._run("sent", first=first, messages=messages)

    def vacuum(self) -> None:
        """Bring statistics and visibility up to date, as autovacuum does in time."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def analyze(self) -> None:
        """Bring statistics up to date."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("ANALYZE")

    def count_unfinished(self) -> int:
        """Count the messages that are not delivered and read."""
        return self._count("unfinished")

    def count_open_webhooks(self) -> int:
        """Count the webhooks that are stored and not applied."""
        return self._count("open_webhooks")

    def count_ready(self) -> int:
        """Count the messages that a claim would find at once."""
        return self._count("ready")

    def read_answer_times(self) -> tuple[float, float]:
        """Give the times of the first and the last answer of a provider, in epoch seconds."""
        [(first, last)] = self._run("answer_times")
        return first, last

    def read_last_id(self) -> int:
        """Give the id of the newest message."""
        return self._count("last_id")

    def count_unsent(self, after: int) -> int:
        """Count the messages after a certain one that are not with the provider."""
        return self._count("unsent", after=after)

    def _count(self, name: str, **values: object) -> int:
        [(count,)] = self._run(name, **values)
        return int(count)

    def _run(self, name: str, **values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(_QUERIES[name].encode(), values)
            return cursor.fetchall() if cursor.description else []
