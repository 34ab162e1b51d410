"""`ops secret`: what is told of secrets, and a new one that is nobody's to read but its owner's."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from operations.commands import app
from outbound_slo.embedded.postgres import EmbeddedPostgres
from tests.ops_parts import Operator, Printed
from tests.ops_provider_parts import read_json

KEY = "database-key"
PLANTED = "planted-secret-of-an-organisation"
GIVEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def secret_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    yield postgres_server.create_database("secrets", template=template_database)
    postgres_server.drop_database("secrets")


@pytest.fixture
def ops(secret_database: str) -> Operator:
    with psycopg.connect(secret_database, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE whatsapp_provider_config, outbound_operation, outbound_operation_row,"
            " provider_webhook, provider_webhook_health"
        )
    return Operator(secret_database)


def add_secret(ops: Operator, org: str, secret: str | None = PLANTED, key: str = KEY) -> None:
    ops.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, webhook_secret_encrypted,"
        " updated_by, updated_at) VALUES (%s, '1001', CASE WHEN %s::text IS NOT NULL"
        " THEN pgp_sym_encrypt(%s, %s) END, 'setup', '2026-01-01Z')",
        org,
        secret,
        secret,
        key,
    )


def read_text(ops: Operator, org: str, column: str = "webhook_secret_encrypted") -> str | None:
    text: str | None = ops.ask(
        f"SELECT outbound_decrypt({column}, %s) FROM whatsapp_provider_config WHERE org_id = %s",
        KEY,
        org,
    )
    return text


def rotate(ops: Operator, *arguments: object, **environment: str) -> Printed:
    settings = {"OUTBOUND_SECRETS_KEY": KEY} | environment
    return ops.run("secret", "rotate", *arguments, "--yes", **settings)


def number_of(done: Printed) -> str:
    found = re.search(r"Operation (\d+)", done.out)
    assert found is not None, done
    return found[1]


def test_the_status_of_every_organisation(ops: Operator) -> None:
    add_secret(ops, "good")
    add_secret(ops, "none", None)
    add_secret(ops, "off", key="another key")
    ops.execute("UPDATE whatsapp_provider_config SET enabled = false WHERE org_id = 'off'")
    ops.execute(
        "INSERT INTO provider_webhook (provider, body, signed_by, received_at) VALUES"
        " ('whatsapp', '{}', '{good}', '2026-02-01Z'),"
        " ('whatsapp', '{}', '{good,other}', '2026-03-01Z'), ('whatsapp', '{}', NULL, now())"
    )
    ops.execute(
        "INSERT INTO provider_webhook_health VALUES ('whatsapp', '2026-03-01Z', '2026-03-02Z')"
    )
    done = ops.run("secret", "status", "--json", OUTBOUND_SECRETS_KEY=KEY)
    assert done.code == 0
    body = read_json(done, "secret_status")
    assert {each["org_id"]: each["state"] for each in body["organisations"]} == {
        "good": "readable",
        "none": "none",
        "off": "unreadable",
    }
    good = body["organisations"][0]
    assert good["accepted_at"] == "2026-03-01T00:00:00Z"
    assert (good["rotated_at"], good["previous_until"]) == (None, None)
    assert body["webhooks"] == {
        "last_accepted_at": "2026-03-01T00:00:00Z",
        "last_rejected_at": "2026-03-02T00:00:00Z",
    }
    keyless = read_json(ops.run("secret", "status", "--org", "good", "--json"), "secret_status")
    assert [each["state"] for each in keyless["organisations"]] == ["stored"]
    assert PLANTED not in done.out + ops.run("secret", "status", OUTBOUND_SECRETS_KEY=KEY).out


def test_a_secret_that_the_sender_cannot_read_is_a_failure(ops: Operator) -> None:
    add_secret(ops, "spoilt", key="another key")
    done = ops.run("secret", "status", OUTBOUND_SECRETS_KEY=KEY)
    assert done.code == 1
    assert "spoilt: its secret does not fit OUTBOUND_SECRETS_KEY" in " ".join(done.out.split())
    # Without a key nobody can tell.
    assert ops.run("secret", "status").code == 0


def test_a_rotation_into_a_file(ops: Operator, tmp_path: Path) -> None:
    add_secret(ops, "org")
    add_secret(ops, "other")
    path = tmp_path / "new-secret"
    assert rotate(ops, "org", "--to-file", path, "--dry-run").code == 0
    assert not path.exists()
    assert read_text(ops, "org") == PLANTED
    done = rotate(ops, "org", "--to-file", path, "--ticket", "INC-7")
    assert done.code == 0, done
    secret = path.read_text("utf-8").strip()
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_text(ops, "org") == secret
    assert read_text(ops, "org", "previous_webhook_secret_encrypted") == PLANTED
    assert read_text(ops, "other") == PLANTED
    assert "https://business.facebook.com" in done.out
    assert "ops verify webhooks" in done.out
    number = number_of(done)
    [status] = read_json(
        ops.run("secret", "status", "--org", "org", "--json", OUTBOUND_SECRETS_KEY=KEY),
        "secret_status",
    )["organisations"]
    assert status["rotated_by"] == f"ops-{number}-secret-rotate-ana-INC-7"
    assert status["previous_until"] > status["rotated_at"]
    told = done.out + done.err + ops.run("log", "--json").out
    told += str(ops.execute("SELECT to_jsonb(o) FROM outbound_operation AS o"))
    told += str(ops.execute("SELECT to_jsonb(r) FROM outbound_operation_row AS r"))
    for text in (secret, PLANTED, KEY):
        assert text not in told


def test_an_undo_brings_the_older_secret_back_and_keeps_the_newer_accepted(
    ops: Operator, tmp_path: Path
) -> None:
    add_secret(ops, "org")
    path = tmp_path / "new"
    number = number_of(rotate(ops, "org", "--to-file", path))
    assert ops.change("undo", number)["changed"] == 1
    assert read_text(ops, "org") == PLANTED
    newer = read_text(ops, "org", "previous_webhook_secret_encrypted")
    assert newer == path.read_text("utf-8").strip()
    assert ops.ask("SELECT updated_by FROM whatsapp_provider_config") == "setup"


def test_a_first_secret_is_put_in_place_and_taken_away(ops: Operator) -> None:
    add_secret(ops, "org", None)
    done = rotate(ops, "org", "--show")
    shown = re.search("^New secret: ([0-9a-f]{64})$", done.out, re.MULTILINE)
    assert shown is not None
    assert read_text(ops, "org") == shown[1]
    ops.change("undo", number_of(done))
    assert ops.ask("SELECT webhook_secret_encrypted IS NULL FROM whatsapp_provider_config")


def test_a_secret_that_meta_gave_is_taken_once(ops: Operator, tmp_path: Path) -> None:
    add_secret(ops, "org")
    path = tmp_path / "given"
    path.write_text(GIVEN + "\n")
    done = rotate(ops, "org", "--secret-file", path)
    assert (done.code, read_text(ops, "org")) == (0, GIVEN)
    assert GIVEN not in done.out
    # Once more would push the one before it out of its seven days.
    again = rotate(ops, "org", "--secret-file", path)
    assert (again.code, again.out) == (0, "Nothing to do: no secrets to change.\n")
    assert read_text(ops, "org", "previous_webhook_secret_encrypted") == PLANTED


def test_a_secret_from_standard_input(ops: Operator) -> None:
    add_secret(ops, "org")
    environment = {"DATABASE_URL": ops.database, "OUTBOUND_SECRETS_KEY": KEY}
    arguments = ["secret", "rotate", "org", "--secret-file", "-", "--yes"]
    done = CliRunner().invoke(app, arguments, env=environment, input=GIVEN + "\r\n")
    assert (done.exit_code, read_text(ops, "org")) == (0, GIVEN)


def test_a_second_rotation_warns_that_the_older_secret_ends(ops: Operator) -> None:
    add_secret(ops, "org")
    rotate(ops, "org", "--show")
    shown = rotate(ops, "org", "--show", "--dry-run").out
    assert "the secret before the present one, good until" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("org",), "A new secret would be lost"),
        (("org", "--show", "--json"), "Use --to-file PATH beside --json"),
        (("org", "--show", "--secret-file", "x"), "Leave --show and --to-file away"),
        (("orgg", "--show"), "Did you mean org?"),
        (("nobody", "--show"), "has no row in whatsapp_provider_config"),
        (("spoilt", "--show"), "does not fit OUTBOUND_SECRETS_KEY"),
        (("org", "--secret-file", "/nowhere/secret"), "can't be read: No such file"),
        (("org", "--to-file", "/nowhere/secret"), "No file can be made in /nowhere"),
    ],
)
def test_mistakes_change_nothing(ops: Operator, arguments: tuple[object, ...], words: str) -> None:
    add_secret(ops, "org")
    add_secret(ops, "spoilt", key="another key")
    done = rotate(ops, *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert read_text(ops, "org") == PLANTED
    assert ops.ask("SELECT count(*) FROM outbound_operation") == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short\n",
        b"x" * 513,
        b"two lines of\ntext, long enough",
        b" " + b"x" * 20,
        b"\xff" * 20,
    ],
)
def test_what_is_no_secret_is_not_taken(ops: Operator, tmp_path: Path, content: bytes) -> None:
    add_secret(ops, "org")
    path = tmp_path / "given"
    path.write_bytes(content)
    assert rotate(ops, "org", "--secret-file", path).code == 2
    assert read_text(ops, "org") == PLANTED


def test_no_file_is_overwritten_and_no_link_is_followed(ops: Operator, tmp_path: Path) -> None:
    add_secret(ops, "org")
    kept = tmp_path / "kept"
    kept.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for path in (kept, link):
        done = rotate(ops, "org", "--to-file", path)
        assert done.code == 2
        assert "exists, and is not overwritten" in done.err
    assert kept.read_text() == "mine"
    assert read_text(ops, "org") == PLANTED


def test_without_a_key_or_pgcrypto_there_is_no_rotation(ops: Operator) -> None:
    add_secret(ops, "org")
    done = ops.run("secret", "rotate", "org", "--show", "--yes")
    assert done.code == 2
    assert "OUTBOUND_SECRETS_KEY is not set" in done.err
    with psycopg.connect(ops.database, autocommit=True) as connection:
        connection.execute("DROP EXTENSION pgcrypto")
        try:
            done = rotate(ops, "org", "--show")
        finally:
            connection.execute("CREATE EXTENSION pgcrypto")
    assert done.code == 2
    assert "no pgcrypto" in done.err
    assert read_text(ops, "org") == PLANTED


def test_force_replaces_a_secret_whose_key_is_lost(ops: Operator) -> None:
    add_secret(ops, "org", key="a lost key")
    assert rotate(ops, "org", "--show", "--force").code == 0
    assert re.fullmatch("[0-9a-f]{64}", read_text(ops, "org") or "")


def test_a_file_that_was_written_for_nothing_is_named(ops: Operator, tmp_path: Path) -> None:
    add_secret(ops, "org")
    ops.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE insufficient_privilege; END $$"
    )
    ops.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON whatsapp_provider_config"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    path = tmp_path / "new"
    try:
        done = rotate(ops, "org", "--to-file", path)
    finally:
        ops.execute("DROP FUNCTION refuse CASCADE")
    assert done.code == 2
    assert f"{path} holds the new secret: 'ops log' tells whether it came into force" in done.err
    assert read_text(ops, "org") == PLANTED
    assert path.read_text("utf-8").strip() not in done.err
