"""The command as a real process: ready line, secrets from the environment, stop, mistakes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = [str(Path(sys.executable).with_name("outbound-slo")), "simulator"]
SECRETS = {"WHATSAPP_APP_SECRET": "app-secret", "WHATSAPP_ACCESS_TOKEN": "access-token"}
PATIENCE_SECONDS = 30


def clean_environment(**variables: str) -> dict[str, str]:
    prefixes = ("WHATSAPP_", "TWILIO_", "SENDGRID_", "OUTBOUND_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
    return {**kept, **variables}


@contextmanager
def start(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**variables),
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line
        finally:
            process.kill()


def fail(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=clean_environment(**variables),
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_when_ready_and_stops_cleanly(number: signal.Signals) -> None:
    with start() as (process, line):
        found = re.fullmatch(r"provider simulator ready on (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line
        with urllib.request.urlopen(f"{found[1]}/_control/stats") as answer:
            assert json.load(answer)["accepted"] == 0
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, rest, complaints) == (0, "", "")


def test_it_stops_at_once_while_a_request_hangs() -> None:
    with start("--latency-ms", "0") as (process, line):
        url = line.split()[-1]
        order = {"faults": [{"kind": "timeout", "timeout_seconds": 600}]}
        urllib.request.urlopen(
            urllib.request.Request(
                f"{url}/_control/faults", json.dumps(order).encode(), method="PUT"
            )
        ).close()
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            caller.sendall(b"POST /v3/mail/send HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            process.send_signal(signal.SIGTERM)
            _, complaints = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, complaints) == (0, "")


def test_secrets_come_from_the_environment() -> None:
    with start(**SECRETS) as (_, line):
        request = urllib.request.Request(
            f"{line.split()[-1]}/v26.0/106540352242922",
            headers={"Authorization": "Bearer access-token"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        request.add_header("Authorization", "Bearer wrong")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 401
        refused.value.close()


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = fail("--port", port)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port} is in use" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--callback-url", "localhost/hooks"], "is not an HTTP address"),
        (["--callback-url", "http://127.0.0.1:1/x"], "no app secret"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--late-rate", "1.5"], "--late-rate"),
        (["--sendgrid-events-url", "localhost/hooks"], "--sendgrid-events-url"),
        (["--twilio-inbound-url", "ftp://127.0.0.1/"], "--twilio-inbound-url"),
        (["--sendgrid-signing-key", "secret-words"], "not a PEM private key"),
        (["--webhook-max-statuses", "1001"], "--webhook-max-statuses"),
        (["--ledger", "some"], "--ledger"),
    ],
)
def test_mistakes_exit_with_2_and_never_with_a_traceback(arguments: list[str], words: str) -> None:
    result = fail(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert "secret-words" not in result.stderr


def test_options_for_load_reach_behaviour_limits_and_ledger() -> None:
    options = ["--webhook-batch-ms", "100", "--webhook-max-statuses", "1000"]
    options += ["--ledger", "counts", "--pair-limit", "--messages-per-second", "80"]
    with start(*options) as (_, line):
        shown: dict[str, object] = {}
        for page in ("behaviour", "limits", "ledger"):
            with urllib.request.urlopen(f"{line.split()[-1]}/_control/{page}") as answer:
                shown |= json.load(answer)
        assert (shown["collect_ms"], shown["batch_limit"], shown["batch_rate"]) == (100, 1000, 1)
        assert (shown["pair_limit"], shown["messages_per_second"]) == (True, 80)
        assert shown["kind"] == "counts"
