"""`outbound-slo trace` run in the tests' own process."""

from dataclasses import dataclass

from typer.testing import CliRunner

from outbound_slo.vocabulary.mistakes import UserMistake
from tracing.commands import app


@dataclass(frozen=True)
class Printed:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def run(url: str, *arguments: str) -> Printed:
    """Run a command in this process; a user's mistake ends it as the front door does."""
    environment = {"OUTBOUND_JAEGER_URL": url, "COLUMNS": "100"}
    result = CliRunner().invoke(app, arguments, env=environment)
    if isinstance(result.exception, UserMistake):
        return Printed(2, result.stdout, f"{result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(result.exit_code, result.stdout, result.stderr)
