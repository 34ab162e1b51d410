"""`outbound-slo ops …` as a process of its own, to be killed or run beside others."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.sending import PROGRAM, own_environment, wait_until
from tests.ops_parts import Operator


@contextmanager
def start_ops(ops: Operator, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command; it is ended with the block."""
    environment = own_environment(DATABASE_URL=ops.database, OUTBOUND_OPERATOR="ana")
    with subprocess.Popen(
        [PROGRAM, "ops", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_changed(ops: Operator) -> int:
    """Tell how many rows the latest operation says that it has changed."""
    found = ops.execute("SELECT changed FROM outbound_operation ORDER BY id DESC LIMIT 1")
    return found[0][0] if found else 0


def kill_midway(ops: Operator, *arguments: object, least: int) -> int:
    """Start a change, kill it (-9) when it has changed some rows, and tell how many it says."""
    count = "SELECT count(*) FROM outbound_operation"
    before = ops.ask(count)
    with start_ops(ops, *arguments, "--yes") as process:
        wait_until(lambda: ops.ask(count) > before and read_changed(ops) >= least, "batches")
        process.send_signal(signal.SIGKILL)
        process.wait()
    # The server ends the session's last transaction when it finds that nobody is there.
    wait_until(lambda: ops.run("log", "--json").json()[0]["state"] == "killed", "its session's end")
    return read_changed(ops)
