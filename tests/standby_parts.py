"""A standby of an embedded server, for tests of replication."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outbound_slo.embedded.postgres import EmbeddedPostgres


@contextmanager
def make_standby(primary: EmbeddedPostgres, **settings: str) -> Iterator[EmbeddedPostgres]:
    """Copy a cluster while it is stopped, and let the copy follow it."""
    folder = Path(tempfile.mkdtemp(prefix="outbound-slo-standby-"))
    try:
        folder.chmod(0o755)
        copy = folder / "cluster" / "data"
        owner = primary.data_directory.stat()
        primary.stop()
        shutil.copytree(primary.data_directory, copy)
        primary.start()
        (copy / "standby.signal").touch()
        for path in (copy, *copy.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        settings = {"primary_conninfo": primary.conninfo()} | settings
        with EmbeddedPostgres(copy.parent, fsync=False, settings=settings) as replica:
            yield replica
    finally:
        shutil.rmtree(folder)
