"""Every route of the OpenAPI document is asked by schemathesis what nobody thought of asking.

The process and its database are real. Requests are the same in every run: examples, the limits of
each field, chosen at random, and sequences of requests. Answers must be declared, have the declared
form, never be a fault of ours, and never come without the token where one is needed.
"""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.api_stand import TOKEN, open_stand

PROGRAM = str(Path(sys.executable).with_name("schemathesis"))
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES, MANY_EXAMPLES = 4, 15
"""Requests per route that are chosen at random, and sequences: always, and with `--thorough`."""


def _make_sendgrid_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    text = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(text).decode()


def test_every_route_keeps_what_its_document_says(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    examples = MANY_EXAMPLES if request.config.getoption("thorough") else EXAMPLES
    key = _make_sendgrid_key()
    with open_stand(database, tmp_path, SENDGRID_WEBHOOK_PUBLIC_KEY=key) as stand:
        stand.insert(status="FAILED", attempts="FAILED", error_code="131026")
        done = subprocess.run(
            [
                *(PROGRAM, "--config-file", str(CONFIGURATION), "--no-color"),
                *("run", f"{stand.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {TOKEN}", "--mode", "all"),
                *("--max-examples", str(examples), "--seed", "1", "--generation-deterministic"),
                *("--request-timeout", "30"),
                *("--warnings", "off", "--suppress-health-check", "all"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [(queued,)] = stand.execute("SELECT count(*) FROM outbound_message WHERE id > 1")
        assert queued, "no request of it was good enough to queue a message"
