"""What a bug report names first."""

from importlib.metadata import version

from typer.testing import CliRunner

from outbound_slo.cli import app


def test_the_version_can_be_asked_for() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.stdout.strip()) == (0, version("outbound-slo"))
