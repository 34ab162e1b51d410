"""Files that commands write: whole or not at all, for their owner's eyes only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from outbound_slo.vocabulary.mistakes import UserMistake

_OWNER_ONLY = 0o600


def check_place(path: Path, *, force: bool = False) -> None:
    """See that a file can be made there.

    Raises:
        UserMistake: It is there already and `force` is not given, or its directory is not there.

    """
    if path.is_dir():
        raise UserMistake(f"{path} is a directory", "Name a file in it")
    if path.exists() and not force:
        raise UserMistake(f"{path} is there already", "Name another file, or add --force")
    if not path.parent.is_dir():
        raise UserMistake(f"There is no directory {path.parent}", "Make it, or name another file")


@contextmanager
def write_whole(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Give a file that takes its name when the block has ended well, and is on the disk then.

    Raises:
        UserMistake: It is there already and `force` is not given, or it can't be written.

    """
    check_place(path, force=force)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _open_new(draft) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if force:
            draft.replace(path)
        else:
            # Unlike a rename, a link does not overwrite what somebody has put there meanwhile.
            path.hardlink_to(draft)
        keep_entry(path)
    except FileExistsError as error:
        raise UserMistake(
            f"{path} is there already", "Name another file, or add --force"
        ) from error
    except OSError as error:
        raise UserMistake(
            f"{path} can't be written: {error.strerror}", "Name another file"
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def open_lasting(path: Path) -> BinaryIO:
    """Open a new file whose every part is to last, whatever becomes of this process.

    Raises:
        UserMistake: It is there already or can't be made.

    """
    check_place(path)
    try:
        file = _open_new(path)
        try:
            keep_entry(path)
        except OSError:
            file.close()
            raise
    except OSError as error:
        raise UserMistake(f"{path} can't be made: {error.strerror}", "Name another file") from error
    return file


def keep_entry(path: Path) -> None:
    """Write the directory's entry of a file to the disk."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _open_new(path: Path) -> BinaryIO:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    return os.fdopen(number, "wb")
