"""The command line as a user meets it: real processes, one clear line for each mistake."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PROGRAM = str(Path(sys.executable).with_name("outbound-slo"))
ROOT = Path(__file__).parents[2]


def _run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    base = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=base | dict(environment or {}),
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["db", "migrate"], {}, "DATABASE_URL is not set"),
        (
            ["db", "migrate"],
            {"DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x"},
            "Cannot connect to the database 127.0.0.1:1/x",
        ),
        (
            ["sender"],
            {"DATABASE_URL": "x", "OUTBOUND_WORKR_BATCH_SIZE": "1"},
            "Did you mean OUTBOUND_WORKER_BATCH_SIZE",
        ),
        (
            ["enqueue", "--to", "0612345678", "--org", "o", "--text", "x"],
            {"DATABASE_URL": "postgresql://127.0.0.1:1/x"},
            "Cannot connect",
        ),
        (
            ["enqueue", "--to", "+33612345678", "--org", "o", "--channel", "fax"],
            {},
            "'fax' is no channel",
        ),
        (["generate", "--root", "/usr"], {}, "/usr is no checkout"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    ended = _run(*arguments, environment=environment)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert "hush" not in ended.stderr


def test_the_committed_generated_files_are_up_to_date() -> None:
    ended = _run("generate", "--check")
    assert ended.returncode == 0, ended.stderr


def test_every_command_is_explained_in_the_readme() -> None:
    from outbound_slo.cli import app

    readme = (ROOT / "README.md").read_text("utf-8")
    names = [info.name for info in app.registered_commands]
    names += [group.name for group in app.registered_groups]
    missing = [name for name in names if f"outbound-slo {name}" not in readme]
    assert not missing
