"""The Dockerfile: what goes into the image, who runs it, and nothing secret."""

import re
import shlex
import tomllib

from tests.unit.compose import ROOT

LINES = [
    line
    for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
STAGES = [at for at, line in enumerate(LINES) if line.startswith("FROM ")]
FINAL = LINES[STAGES[-1] :]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _copied() -> set[str]:
    """Name what is copied from the project, not from another stage."""
    copies = [shlex.split(line)[1:] for line in LINES if line.startswith("COPY ")]
    return {
        source for words in copies if not words[0].startswith("--from") for source in words[:-1]
    }


def test_everything_copied_is_in_the_project_and_sent_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    for source in _copied():
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, f"the builder does not get {source}"


def test_every_package_of_the_project_is_in_the_image() -> None:
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= _copied()


def test_no_file_with_secrets_reaches_the_builder() -> None:
    let_through = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert let_through == _copied()
    assert not [name for name in let_through if ".env" in name or name == "deploy"]


def test_dependencies_are_installed_at_the_pinned_versions() -> None:
    [install] = [line for line in LINES if "pip install" in line]
    assert "--constraint constraints.txt" in install


def test_the_image_is_slim_pinned_and_built_in_two_stages() -> None:
    bases = [LINES[at].split()[1] for at in STAGES]
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base)


def test_processes_do_not_run_as_root() -> None:
    users = [line.split()[1] for line in FINAL if line.startswith("USER ")]
    assert len(users) == 1
    user, _, group = users[0].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert FINAL.index(f"USER {users[0]}") < next(
        at for at, line in enumerate(FINAL) if line.startswith("ENTRYPOINT")
    )


def test_the_command_is_the_projects_own() -> None:
    assert 'ENTRYPOINT ["outbound-slo"]' in FINAL
    assert "outbound-slo" in PROJECT["project"]["scripts"]


def test_no_secret_is_baked_in() -> None:
    words = re.compile(r"PASSWORD|TOKEN|SECRET|API_KEY|DATABASE_URL", re.IGNORECASE)
    assert [line for line in LINES if words.search(line)] == []
