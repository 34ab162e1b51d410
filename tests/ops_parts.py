"""`outbound-slo ops` run in the tests' own process, on an outbox with messages in every state."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from typer.testing import CliRunner

from operations.commands import app
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.onlooker import Onlooker


@dataclass(frozen=True)
class Printed:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        return json.loads(self.out)


@dataclass(frozen=True)
class Operator:
    """Somebody at a keyboard, in front of one database."""

    database: str
    columns: int = 100

    def run(self, *arguments: object, **environment: str) -> Printed:
        """Run a command in this process; a user's mistake ends it as the front door does."""
        settings = {
            "DATABASE_URL": self.database,
            "COLUMNS": str(self.columns),
            "OUTBOUND_OPERATOR": "ana",
            "NO_COLOR": "1",
        } | environment
        result = CliRunner().invoke(app, [str(each) for each in arguments], env=settings)
        if isinstance(result.exception, UserMistake):
            return Printed(2, result.stdout, f"{result.exception}\n")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Printed(result.exit_code, result.stdout, result.stderr)

    def change(self, *arguments: object, **environment: str) -> dict[str, Any]:
        """Carry a change out without being asked, and read what it says of itself."""
        printed = self.run(*arguments, "--yes", "--json", **environment)
        assert printed.code == 0, printed
        found: dict[str, Any] = printed.json()
        assert "operation" in found, f"nothing was to be done: {found}"
        return found

    @cached_property
    def _onlooker(self) -> Onlooker:
        return Onlooker(self.database)

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._onlooker.execute(statement, *values)

    def ask(self, statement: str, *values: object) -> Any:  # noqa: ANN401 - one value of any type
        [(value,)] = self.execute(statement, *values)
        return value

    def add(
        self,
        count: int = 1,
        *,
        status: str = "FAILED",
        code: str | None = "131016",
        attempts: int = 5,
        age: str = "1 hour",
        channel: str = "WHATSAPP",
        org: str = "org",
        template: str = "appointment_reminder",
        outcome: str = "FAILED",
    ) -> list[int]:
        """Insert messages that were last touched `age` ago, each with its last attempt."""
        numbers = [
            number
            for (number,) in self.execute(
                "INSERT INTO outbound_message (org_id, channel, to_recipient, template_code,"
                " subject, status, error_code, attempt_count, attempt_seq, created_at, updated_at)"
                " SELECT %s, %s, '+3361' || lpad(nextval('outbound_message_id_seq')::text, 7, '0'),"
                " %s, 'Your appointment', %s, %s, %s, %s, now() - %s::interval,"
                " now() - %s::interval FROM generate_series(1, %s) RETURNING id",
                org,
                channel,
                template,
                status,
                code,
                attempts,
                attempts,
                age,
                age,
                count,
            )
        ]
        if attempts:
            self.execute(
                "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, channel, outcome,"
                " error_code, started_at, finished_at)"
                " SELECT id, %s, %s, %s, %s, now() - %s::interval, now() - %s::interval"
                " FROM unnest(%s::bigint[]) AS m (id)",
                attempts,
                channel,
                outcome,
                code,
                age,
                age,
                numbers,
            )
        return numbers

    def statuses(self, numbers: Sequence[int]) -> list[str]:
        rows = self.execute(
            "SELECT status FROM outbound_message WHERE id = ANY (%s) ORDER BY id", list(numbers)
        )
        return [status for (status,) in rows]

    def picture(self, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        """Give all that a message's row says, less what claims write in passing."""
        return self.execute(
            "SELECT to_jsonb(m) - ARRAY['turn', 'due_at', 'due_since']"
            " FROM outbound_message AS m WHERE id = ANY (%s) ORDER BY id",
            list(numbers),
        )
