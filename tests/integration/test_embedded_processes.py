"""Child processes under supervision, with real ones: small Python programs."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from outbound_slo.embedded.child import Child, ProcessFailed
from outbound_slo.embedded.processes import (
    LOOPBACK,
    Supervisor,
    claim_port,
    http_probe,
    is_port_free,
    pick_port,
    tcp_probe,
)
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.patience import wait_for

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# Says so when it is ready, and once more when it is asked to end.
POLITE = """
import pathlib, signal, sys, time
name, diary = sys.argv[1], pathlib.Path(sys.argv[2])
def leave(number, frame):
    with diary.open("a") as lines:
        lines.write(f"{name} left\\n")
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
with diary.open("a") as lines:
    lines.write(f"{name} came\\n")
time.sleep(600)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
# Starts a process of its own and ends without caring for it.
CARELESS = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""
# A parent such as the demo: two supervised children, whose ids it writes down.
PARENT = """
import pathlib, signal, sys, time
from outbound_slo.embedded.processes import Supervisor
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # The tests may run under nohup.
directory = pathlib.Path(sys.argv[1])
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
with Supervisor(directory) as supervisor:
    ids = [supervisor.start(name, sleep).pid for name in ("first", "second")]
    draft = directory / "draft"
    draft.write_text(" ".join(map(str, ids)))
    draft.rename(directory / "ids")
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that is dead and merely not reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server((LOOPBACK, pick_port())) as server:
        yield server.getsockname()[1]


def mentions(diary: Path, entry: str) -> bool:
    return diary.exists() and entry in diary.read_text()


def test_picked_ports_are_free_and_never_repeated() -> None:
    ports = [pick_port() for _ in range(50)]
    assert len(set(ports)) == len(ports)
    assert all(is_port_free(port) for port in ports)


def test_a_port_that_was_asked_for_is_taken_as_it_is() -> None:
    port = pick_port()
    assert claim_port(port, "a test") == port


def test_a_port_in_use_is_a_mistake_that_names_port_and_purpose() -> None:
    with (
        listening() as port,
        pytest.raises(UserMistake, match=f"Port {port} .* for a test, is in"),
    ):
        claim_port(port, "a test")


def test_probes_are_false_until_something_listens() -> None:
    port = pick_port()
    assert not tcp_probe(port)()
    assert not http_probe(f"http://{LOOPBACK}:{port}/", timeout=5)()
    with listening() as used:
        assert tcp_probe(used)()


def test_an_http_probe_wants_a_good_answer_and_not_any(tmp_path: Path) -> None:
    port = pick_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK]
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start("web", [*command, "--directory", str(tmp_path)], ready=tcp_probe(port))
        assert http_probe(f"http://{LOOPBACK}:{port}/", timeout=5)()
        assert not http_probe(f"http://{LOOPBACK}:{port}/absent", timeout=5)()


def test_a_probe_of_loopback_never_asks_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{LOOPBACK}:{pick_port()}")
    port = pick_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", LOOPBACK]
    with Supervisor(tmp_path) as supervisor:
        supervisor.start("web", [*command, "-d", str(tmp_path)], ready=tcp_probe(port))
        assert http_probe(f"http://{LOOPBACK}:{port}/", timeout=5)()


def test_children_are_stopped_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    with Supervisor(tmp_path) as supervisor:
        for name in ("first", "second", "third"):
            command = [sys.executable, "-c", POLITE, name, str(diary)]
            supervisor.start(name, command)
            wait_for(partial(mentions, diary, f"{name} came"), f"the {name} child")
    lines = diary.read_text().splitlines()
    assert lines[3:] == ["third left", "second left", "first left"]


def test_the_exit_code_of_a_stopped_child_is_told_more_than_once(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    child = Child("polite", [sys.executable, "-c", POLITE, "polite", str(diary)], tmp_path / "log")
    child.wait_ready(diary.exists)
    assert [child.stop(), child.stop()] == [7, 7]


def test_a_child_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = Child("stubborn", [sys.executable, "-c", STUBBORN, str(ready)], tmp_path / "log")
    child.wait_ready(ready.exists)
    assert child.stop(patience=0.2) == -signal.SIGKILL


def test_what_a_child_leaves_behind_in_its_group_is_ended_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = Child("careless", [sys.executable, "-c", CARELESS, str(note)], tmp_path / "log")
    child.wait_ready(lambda: note.exists() and bool(note.read_text()))
    left_behind = int(note.read_text())
    assert is_running(left_behind)
    child.stop()
    wait_for(lambda: not is_running(left_behind), "the grandchild's end")


def test_a_child_that_ends_before_it_is_ready_is_a_failure_with_its_last_words(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the table is missing')"]
    with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ProcessFailed) as failure:
            supervisor.start("exporter", command, ready=lambda: False)
        assert supervisor.children == ()
    log = tmp_path / "exporter.log"
    assert str(failure.value) == (
        f"exporter ended before it was ready (exit code 1): the table is missing. Log: {log}"
    )


def test_a_child_that_is_not_ready_in_time_is_stopped(tmp_path: Path) -> None:
    started: list[int] = []

    def note_pid() -> bool:
        started.extend(child.pid for child in supervisor.children)
        return False

    with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ProcessFailed, match=r"^slow was not ready within 0\.1 s"):
            supervisor.start("slow", SLEEP, ready=note_pid, patience=0.1)
        assert not is_running(started[0])


def test_a_child_that_dies_later_is_noticed(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("sender", SLEEP)
        supervisor.require_running()
        os.kill(child.pid, signal.SIGKILL)
        wait_for(child.has_ended, "the child's end")
        with pytest.raises(ProcessFailed, match=r"sender ended by itself \(signal 9\)"):
            supervisor.require_running()


def test_a_probe_answered_by_somebody_else_does_not_hide_that_the_child_died(
    tmp_path: Path,
) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = Child("late", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
        wait_for(child.has_ended, "the child's end")
        with listening() as port, pytest.raises(ProcessFailed, match="exit code 3"):
            child.wait_ready(tcp_probe(port))
        assert supervisor.children == ()
        child.stop()


def test_errors_of_an_earlier_run_in_the_same_log_are_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "again.log").write_text("error: an old story\n")
    command = [sys.executable, "-c", "raise SystemExit('a new story')"]
    with (
        Supervisor(tmp_path) as supervisor,
        pytest.raises(ProcessFailed, match="a new story") as failure,
    ):
        supervisor.start("again", command, ready=lambda: False)
    assert failure.value.tail == "a new story"


def test_a_program_that_is_absent_is_a_mistake_that_names_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor, pytest.raises(UserMistake, match="/no/such/program"):
        supervisor.start("ghost", ["/no/such/program"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_parent_ends_its_own_children_and_no_one_else(
    tmp_path: Path, number: signal.Signals
) -> None:
    bystander = subprocess.Popen(SLEEP)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for((tmp_path / "ids").exists, "the parent's children")
        children = [int(text) for text in (tmp_path / "ids").read_text().split()]
        assert all(is_running(pid) for pid in children)
        parent.send_signal(number)
        parent.wait(timeout=30)
        assert [is_running(pid) for pid in children] == [False, False]
        assert bystander.poll() is None
    finally:
        for process in (bystander, parent):
            process.kill()
            process.wait()


def test_a_hang_up_that_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Supervisor(tmp_path):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
