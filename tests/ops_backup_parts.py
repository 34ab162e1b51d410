"""An outbox with rows in every table that a backup holds, and stand-ins for pg_dump."""

from pathlib import Path

from outbound_slo.embedded.binaries import POSTGRESQL_CLIENT, Tools, present_tools
from tests.ops_parts import Operator

_ROWS = """
INSERT INTO dossier (org_id, lead_name) VALUES ('org', 'Zoë'), ('org', E'two\\nlines\\t\\\\.');
INSERT INTO outbound_message (org_id, dossier_id, channel, to_recipient, payload_json, scheduled_at)
SELECT 'org', 1, 'WHATSAPP', '+3361' || n, '{"text": "a\\\\.\\nb"}', now() + interval '1 day'
  FROM generate_series(1, 40) AS n;
UPDATE outbound_message SET status = 'SENDING', scheduled_at = NULL WHERE id = 7;
UPDATE outbound_message SET scheduled_at = NULL, next_retry_at = now() + interval '1 hour',
       attempt_count = 2, turn = 'PARKED' WHERE id = 8;
INSERT INTO outbound_attempt (outbound_message_id, attempt_no, trace_stages, next_retry_at)
VALUES (7, 1, '{"a": 1}', NULL), (8, 2, NULL, now() + interval '1 hour');
INSERT INTO outbound_message_archive SELECT * FROM outbound_message WHERE id <= 3;
INSERT INTO whatsapp_provider_config (org_id, phone_number_id, webhook_secret_encrypted)
VALUES ('org', '10001', pgp_sym_encrypt('secret', 'key'));
INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count) VALUES ('org', 17);
INSERT INTO whatsapp_session_window (org_id, phone_number) VALUES ('org', '+33611');
INSERT INTO consentement (org_id, recipient, channel, status)
VALUES ('org', '+33611', 'WHATSAPP', 'GRANTED');
INSERT INTO contact_preferences (wa_id, timezone) VALUES ('+33611', 'Europe/Paris');
INSERT INTO outbound_watched_organisation (org_id) VALUES ('org');
INSERT INTO recipient_wish VALUES ('org', 'WHATSAPP', '+33611', true, now(), 'webhook');
INSERT INTO message (org_id, channel, from_address, body) VALUES ('org', 'WHATSAPP', '+33611', '');
INSERT INTO provider_webhook (provider, body) VALUES ('whatsapp', '{"entry": []}');
INSERT INTO provider_webhook_health VALUES ('whatsapp', now(), NULL, NULL);
INSERT INTO provider_event_seen (provider, event_id) VALUES ('sendgrid', 'one');
INSERT INTO provider_notice (provider, kind, severity, account, told_at, fingerprint)
VALUES ('whatsapp', 'quality', 'warning', '1', now(), 'f');
INSERT INTO whatsapp_template (business_account_id, name, language) VALUES ('1', 'hello', 'fr');
UPDATE outbound_switch SET paused = true, reason = 'incident' WHERE channel = 'SMS';
INSERT INTO outbound_operation (command, operator) VALUES ('retry', 'ana');
INSERT INTO outbound_operation_row VALUES (1, 'outbound_message', '7', '{"status": "FAILED"}', '{}')
"""

_FAKE = """#!/bin/sh
case "$1" in --version) echo "{name} (PostgreSQL) {version}"; exit;; esac
{body}
"""


def fill_outbox(operator: Operator) -> None:
    """Put rows into every table, some of which no trigger would leave as they are."""
    for statement in _ROWS.split(";\n"):
        operator.execute(statement)


def find_client() -> Tools:
    """Give the real programs."""
    return next(iter(present_tools(POSTGRESQL_CLIENT)))


def make_client(directory: Path, *, version: str = "99.1", dump: str = "exit 1") -> dict[str, str]:
    """Make a pg_dump of a shell script and a pg_restore that is none; give the setting for it."""
    directory.mkdir()
    for name, body in (("pg_dump", dump), ("pg_restore", "exit 1")):
        program = directory / name
        program.write_text(_FAKE.format(name=name, version=version, body=body))
        program.chmod(0o755)
    return {POSTGRESQL_CLIENT.variable: str(directory)}


def make_halting_client(directory: Path, pid_file: Path) -> dict[str, str]:
    """Make a pg_dump that writes a little into its file and then goes on for ever."""
    write = 'for a in "$@"; do case "$a" in --file=*) echo half > "${a#--file=}";; esac; done'
    return make_client(directory, dump=f"{write}\necho $$ > {pid_file}\nexec sleep 600")


def make_recording_client(directory: Path, record: Path) -> dict[str, str]:
    """Make a pg_dump that writes down how it was called, and does its work."""
    return _make_wrapper(directory, f'echo "$@" > {record}\necho "$PGPASSWORD" > {record}.password')


def make_late_client(directory: Path, statement: str) -> dict[str, str]:
    """Make a pg_dump before which somebody else carries out a statement."""
    real = find_client()
    psql = Path(real["pg_dump"]).with_name("psql")
    return _make_wrapper(directory, f'{psql} -qc "{statement}" || exit 1')


def make_watching_client(directory: Path, database: str, record: Path) -> dict[str, str]:
    """Make a pg_restore that notes how many of our sessions hold a snapshot, and works."""
    real = find_client()
    psql = Path(real["pg_dump"]).with_name("psql")
    found = make_client(directory, dump=f'exec {real["pg_dump"]} "$@"')
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'outbound-slo ops' AND backend_xmin IS NOT NULL"
    )
    body = f'{psql} -Atc "{asked}" {database} >> {record}\nexec {real["pg_restore"]} "$@"'
    (directory / "pg_restore").write_text(
        _FAKE.format(name="pg_restore", version="99.1", body=body)
    )
    return found


def make_lossy_client(directory: Path, table: str) -> dict[str, str]:
    """Make a pg_dump that leaves a table out and says nothing."""
    keep = f'case "$a" in *.\'"{table}"\') ;; *) set -- "$@" "$a";; esac'
    return _make_wrapper(directory, f"for a do shift; {keep}; done")


def _make_wrapper(directory: Path, before: str) -> dict[str, str]:
    real = find_client()
    found = make_client(directory, dump=f'{before}\nexec {real["pg_dump"]} "$@"')
    (directory / "pg_restore").unlink()
    (directory / "pg_restore").symlink_to(real["pg_restore"])
    return found
