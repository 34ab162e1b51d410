"""The directory that a demo keeps its data, logs and report in."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from outbound_slo.vocabulary.mistakes import UserMistake


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Where a run keeps what it makes.

    Attributes:
        path: Absolute.
        is_temporary: Nobody named it: it goes when all went well.

    """

    path: Path
    is_temporary: bool

    def remove(self) -> None:
        """Remove a temporary directory with all that is in it; a named one stays."""
        if self.is_temporary:
            shutil.rmtree(self.path, ignore_errors=True)


def open_directory(named: Path | None) -> DataDirectory:
    """Make the named directory, or a temporary one where none is named.

    Raises:
        UserMistake: The named one can't be made, or holds something already.

    """
    if named is None:
        path = Path(tempfile.mkdtemp(prefix="outbound-slo-demo-"))
        # PostgreSQL runs as another user where we are root, and has to get through.
        path.chmod(0o755)
        return DataDirectory(path, is_temporary=True)
    path = named.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        is_used = any(path.iterdir())
    except OSError as failure:
        raise UserMistake(
            f"--data-dir {path} can't be used: {failure.strerror}", "Name another directory"
        ) from failure
    if is_used:
        raise UserMistake(
            f"--data-dir {path} is not empty", "Name a new directory, or empty this one"
        )
    return DataDirectory(path, is_temporary=False)
