"""What `ops quota` and `ops secret` print, word for word, on a wide terminal and a narrow one."""

import re

import pytest

from tests.ops_parts import Operator

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")
_SECRET = re.compile(r"\b[0-9a-f]{64}\b")
KEY = "database-key"


@pytest.fixture
def ops(database: str) -> Operator:
    found = Operator(database)
    found.execute(
        "INSERT INTO whatsapp_rate_limit (org_id, messages_sent_count, quota_limit, reset_at,"
        " throttle_until) VALUES"
        " ('agence-nord', 960, 1000, now() + interval '5.49 hours', NULL),"
        " ('agence-sud', 1000, 1000, now() + interval '5.49 hours',"
        "  now() + interval '30.4 minutes')"
    )
    found.execute("INSERT INTO dossier (id, org_id) VALUES (7, 'agence-nord')")
    found.add(3, status="QUEUED", code=None, attempts=0, org="agence-nord", age="10 minutes")
    found.execute("UPDATE outbound_message SET dossier_id = 7")
    found.add(2, code="130", org="agence-sud", age="10 minutes")
    found.execute(
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id, updated_by,"
        " webhook_secret_encrypted, enabled, previous_webhook_secret_until, updated_at)"
        " SELECT *, now() - interval '6 days 23.9 hours' FROM (VALUES"
        " ('agence-nord', '1001', 'setup', pgp_sym_encrypt('a secret', %s), true,"
        "  now() + interval '6.9 minutes'),"
        " ('agence-sud', '1002', 'setup', pgp_sym_encrypt('a secret', 'another key'), true,"
        "  NULL),"
        " ('agence-est', '1003', 'setup', NULL, false, NULL)) AS v",
        KEY,
    )
    return found


def shown(ops: Operator, columns: int, *arguments: str) -> str:
    printed = Operator(ops.database, columns).run(*arguments, OUTBOUND_SECRETS_KEY=KEY)
    lines = [line.rstrip() for line in printed.out.splitlines()]
    # A secret is never folded: it would be copied wrongly.
    assert all(len(line) <= columns or _SECRET.search(line) for line in lines)
    text = "\n".join(line for line in lines if line)
    return _SECRET.sub("5" * 64, _TIME.sub("2026-03-01 03:12:45Z", text))


SCREENS = {
    ("quota show", 100): """\
Quotas
 Org                  Used       %   State                       Reset   Queued
 ──────────────────────────────────────────────────────────────────────────────
 agence-sud    1,000/1,000   100.0   used up, throttled 30 min   5.5 h        0
 agence-nord     960/1,000    96.0   over 95 %                   5.5 h        3
Rate limit errors in the last hour
 Org          Errors   Latest
 ──────────────────────────────────────────
 agence-sud        2   2026-03-01 03:12:45Z
Who sent most in the last hour
 Org           Dossier   Messages
 ────────────────────────────────
 agence-nord   7                3
 agence-sud    none             2""",
    ("quota show", 60): """\
Quotas
 Org                Used       %   State     Reset   Queued
 ──────────────────────────────────────────────────────────
 agence-su   1,000/1,000   100.0   used      5.5 h        0
 d                                 up,
                                   throttl
                                   ed 30
                                   min
 agence-no     960/1,000    96.0   over 95   5.5 h        3
 rd                                %
Rate limit errors in the last hour
 Org          Errors   Latest
 ──────────────────────────────────────────
 agence-sud        2   2026-03-01 03:12:45Z
Who sent most in the last hour
 Org           Dossier   Messages
 ────────────────────────────────
 agence-nord   7                3
 agence-sud    none             2""",
    ("quota raise", 100): """\
ops quota raise
 Org          Used    Limit   Then    quotas
 ───────────────────────────────────────────
 agence-sud   1,000   1,000   5,000        1
1 quota to get the higher limit; what waited for it goes at once.
Mind: 001 asks for the approval of the product or engineering lead
Mind: still throttled until 2026-03-01 03:12:45Z; 'ops quota reset' ends that
Dry run: nothing was changed.""",
    ("quota raise", 60): """\
ops quota raise
 Org          Used    Limit   Then    quotas
 ───────────────────────────────────────────
 agence-sud   1,000   1,000   5,000        1
1 quota to get the higher limit; what waited for it goes at
once.
Mind: 001 asks for the approval of the product or
engineering lead
Mind: still throttled until 2026-03-01 03:12:45Z; 'ops quota
reset' ends that
Dry run: nothing was changed.""",
    ("quota defer", 100): """\
Operation 1: 3 of 3 messages changed.
updated_by: ops-1-quota-defer-ana
Take it back with: outbound-slo ops undo 1""",
    ("quota defer", 60): """\
Operation 1: 3 of 3 messages changed.
updated_by: ops-1-quota-defer-ana
Take it back with: outbound-slo ops undo 1""",
    ("secret status", 100): """\
Webhook secrets
 Org                Secret       Changed        By      Old one      Webhook
 ───────────────────────────────────────────────────────────────────────────
 agence-est (off)   none         6 d 23 h ago   setup
 agence-nord        readable     6 d 23 h ago           6 min more
 agence-sud         unreadable   6 d 23 h ago   setup
agence-sud: its secret does not fit OUTBOUND_SECRETS_KEY, so webhooks signed with it are refused.
Set the key that encrypted it, or rotate
WhatsApp webhooks: last accepted never, last refused never""",
    ("secret status", 60): """\
Webhook secrets
 Org         Secret    Changed    By      Old one   Webhook
 ──────────────────────────────────────────────────────────
 agence-es   none      6 d 23 h   setup
 t (off)               ago
 agence-no   readabl   6 d 23 h           6 min
 rd          e         ago                more
 agence-su   unreada   6 d 23 h   setup
 d           ble       ago
agence-sud: its secret does not fit OUTBOUND_SECRETS_KEY, so
webhooks signed with it are refused. Set the key that
encrypted it, or rotate
WhatsApp webhooks: last accepted never, last refused never""",
    ("secret rotate", 100): """\
Operation 1: 1 of 1 secret changed.
updated_by: ops-1-secret-rotate-ana
Take it back with: outbound-slo ops undo 1
New secret: 5555555555555555555555555555555555555555555555555555555555555555
Senders take it within 30 s. What remains by hand:
  1. Open Meta Business Manager, https://business.facebook.com
  2. Go to WhatsApp, Settings, Webhooks
  3. Put the new secret in place, and choose 'Verify and Save'
  4. Send a message to the number, and look: outbound-slo ops verify webhooks""",
    ("secret rotate", 60): """\
Operation 1: 1 of 1 secret changed.
updated_by: ops-1-secret-rotate-ana
Take it back with: outbound-slo ops undo 1
New secret: 5555555555555555555555555555555555555555555555555555555555555555
Senders take it within 30 s. What remains by hand:
  1. Open Meta Business Manager,
https://business.facebook.com
  2. Go to WhatsApp, Settings, Webhooks
  3. Put the new secret in place, and choose 'Verify and
Save'
  4. Send a message to the number, and look: outbound-slo
ops verify webhooks""",
}


@pytest.mark.parametrize("columns", [100, 60])
@pytest.mark.parametrize(
    "arguments",
    [
        ("quota", "show"),
        ("quota", "raise", "agence-sud", "5000", "--dry-run"),
        ("quota", "defer", "--except-template", "urgent_alert", "--yes"),
        ("secret", "status"),
        ("secret", "rotate", "agence-nord", "--show", "--yes"),
    ],
    ids=" ".join,
)
def test_the_screen(ops: Operator, arguments: tuple[str, ...], columns: int) -> None:
    assert shown(ops, columns, *arguments) == SCREENS[" ".join(arguments[:2]), columns]
