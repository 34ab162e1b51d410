"""Rules and tests as they were at an earlier revision, asked of git."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from outbound_slo.vocabulary.mistakes import UserMistake


@contextmanager
def open_revision(revision: str, *directories: Path) -> Iterator[tuple[Path, ...]]:
    """Unpack directories as they were; one that was not there yet is empty.

    Raises:
        UserMistake: They are not in one git repository, or it has no such revision.

    """
    root = Path(_ask(directories[0], "rev-parse", "--show-toplevel").decode().strip())
    if not all(directory.resolve().is_relative_to(root) for directory in directories):
        raise UserMistake(
            f"{directories[-1]} is not in the git repository {root}",
            "Rules and tests have to be in one repository for --changed",
        )
    places = [directory.resolve().relative_to(root) for directory in directories]
    _ask(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", about=revision)
    with TemporaryDirectory(prefix="outbound-slo-revision-") as workshop:
        for place in places:
            (Path(workshop) / place).mkdir(parents=True, exist_ok=True)
            if _ask(root, "ls-tree", revision, "--", str(place)):
                packed = _ask(root, "archive", revision, "--", str(place))
                with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
                    archive.extractall(workshop, filter="data")
        yield tuple(Path(workshop) / place for place in places)


def _ask(directory: Path, *arguments: str, about: str = "") -> bytes:
    try:
        told = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise UserMistake("There is no git here", "Install it, or leave --changed out") from None
    if told.returncode:
        if about:
            raise UserMistake(
                f"git knows no revision {about!r}",
                "Name a commit, branch or tag; a build server must fetch its history",
            )
        said = told.stderr.decode(errors="replace").strip().splitlines()
        raise UserMistake(
            f"git refuses {directory}: {said[-1] if said else 'no reason given'}",
            "Run --changed in a git repository",
        )
    return told.stdout
