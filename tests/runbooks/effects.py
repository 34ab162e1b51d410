"""What each statement that changes something must bring about, proved on filled tables.

The message numbers are those of world.sql.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sender.providers.twilio import compose_text
from tests.runbooks.bench import Bench


@dataclass(frozen=True, slots=True)
class Effect:
    """One promise of a runbook.

    Attributes:
        places: The statements that make it, as `runbook:line`.
        what: The statement in a few words.
        promise: What can be observed afterwards.
        prove: Carries the statements out and asserts the promise.

    """

    places: tuple[str, ...]
    what: str
    promise: str
    prove: Callable[[Bench], None]


EFFECTS: list[Effect] = []
"""All promises, in the order of the runbooks."""


def _promise(
    *places: str, what: str, text: str
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    def register(prove: Callable[[Bench], None]) -> Callable[[Bench], None]:
        EFFECTS.append(Effect(places, what, text, prove))
        return prove

    return register


@_promise(
    "000:770",
    what="CREATE TABLE … AS: backup of stuck messages",
    text="The backup table holds exactly the messages that were stuck.",
)
def back_up_stuck(bench: Bench) -> None:
    assert bench.run("000:770").rowcount == 1
    assert bench.ask("SELECT id FROM outbound_message_stuck_backup_20240115") == 9
    assert bench.ask(
        "SELECT b IS NOT DISTINCT FROM m FROM outbound_message_stuck_backup_20240115 AS b"
        " JOIN outbound_message AS m USING (id)"
    )


def _resets_only_what_is_stuck(bench: Bench, place: str) -> None:
    bench.change("status = 'SENDING', updated_at = now() - interval '1 minute'", 12)
    assert 9 not in bench.claim()
    assert bench.run(place).rowcount == 1
    assert 9 in bench.claim()
    assert bench.message(9)["attempt_count"] == 1
    assert bench.message(12)["status"] == "SENDING"


@_promise(
    "000:776",
    what="UPDATE: SENDING for 5 minutes back to QUEUED",
    text="What was SENDING for five minutes is claimed at once; what is on its way is left alone.",
)
def reset_after_five_minutes(bench: Bench) -> None:
    _resets_only_what_is_stuck(bench, "000:776")


@_promise(
    "000:813",
    what="UPDATE: next_retry_at overdue by 30 minutes cleared",
    text="Overdue retry times are gone; waits that still run are kept.",
)
def clear_overdue_retries(bench: Bench) -> None:
    bench.change("status = 'QUEUED'", 9)
    bench.connection.execute(
        "UPDATE outbound_attempt SET next_retry_at = now() + interval '1 hour'"
        " WHERE outbound_message_id = 9"
    )
    assert bench.run("000:813").rowcount == 1
    assert bench.ask("SELECT count(next_retry_at) FROM outbound_attempt") == 1
    claimed = bench.claim()
    assert 10 in claimed
    assert 9 not in claimed


@_promise(
    "001:460",
    what="COPY: urgent failures to a file",
    text="The file on the server has a heading and the failed urgent messages.",
)
def export_critical_failures(bench: Bench) -> None:
    assert bench.run("001:460").rowcount == 2
    lines = (bench.scratch / "critical_whatsapp_failures.csv").read_text("utf-8").splitlines()
    assert lines[0].startswith("id,org_id,dossier_id,to_recipient")
    assert [line.partition(",")[0] for line in lines[1:]] == ["1", "2"]


@_promise(
    "001:486",
    what="INSERT: SMS for failed urgent WhatsApp messages",
    text="An SMS is queued for each failed urgent WhatsApp message and claimed at once; its "
    "subject is its text. The WhatsApp message stays FAILED.",
)
def fall_back_to_sms(bench: Bench) -> None:
    with bench.connection.transaction():
        assert bench.run("001:486").rowcount == 1
        # Its key holds the second, so it is safe against a double click and no more.
        assert bench.run("001:486").rowcount == 0
    [fallback] = [each for each in bench.claim().values() if each.channel == "SMS"]
    assert fallback.to_recipient == bench.message(1)["to_recipient"]
    assert compose_text(fallback) == "[WhatsApp Fallback] Your appointment"
    assert bench.obstacle(fallback.id) is None
    assert bench.message(1)["status"] == "FAILED"


@_promise(
    "001:600",
    what="UPDATE: quota_limit raised",
    text="A larger quota lets an organisation send whose quota was used up.",
)
def raise_quota(bench: Bench) -> None:
    bench.connection.execute("UPDATE whatsapp_rate_limit SET messages_sent_count = quota_limit")
    assert 11 not in bench.claim()
    assert bench.run("001:600").rowcount == 1
    assert bench.obstacle(11) is None
    assert bench.ask("SELECT quota_limit FROM whatsapp_rate_limit WHERE org_id = 'ORG_ID'") == 1000


@_promise(
    "001:710",
    "001:722",
    what="CREATE TEMP TABLE and UPDATE: webhook secret rotated",
    text="The new webhook secret is stored; the one before is kept beside it with an end in seven "
    "days; other organisations keep theirs.",
)
def rotate_webhook_secret(bench: Bench) -> None:
    assert bench.run("001:710").rowcount == 1
    assert bench.run("001:722").rowcount == 1
    query = "SELECT * FROM whatsapp_provider_config ORDER BY org_id"
    rotated, other = bench.connection.execute(query).fetchall()
    assert rotated["previous_webhook_secret_encrypted"] == b"an older secret"
    assert other["previous_webhook_secret_until"] is None
    assert (
        bench.ask(
            "SELECT pgp_sym_decrypt(webhook_secret_encrypted, 'ENCRYPTION-KEY')"
            " FROM whatsapp_provider_config WHERE org_id = 'ORG-ID-HERE'"
        )
        == "NEW-SECRET-HERE"
    )
    assert bench.ask(
        "SELECT previous_webhook_secret_until - updated_at = interval '7 days'"
        " FROM whatsapp_provider_config WHERE org_id = 'ORG-ID-HERE'"
    )
    assert bench.ask(
        "SELECT p.previous_webhook_secret_encrypted = b.webhook_secret_encrypted"
        " FROM whatsapp_provider_config AS p JOIN webhook_secret_backup AS b USING (org_id)"
    )


@_promise(
    "001:1067",
    "001:1074",
    what="CREATE TABLE and UPDATE: dead letters back to QUEUED",
    text="Dead letters with passing errors that cooled for a day leave the dead-letter queue with "
    "a whole new budget and are claimed at once; all else stays; a backup holds them.",
)
def retry_dead_letters(bench: Bench) -> None:
    bench.connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no, outcome)"
        " SELECT 6, no, 'FAILED' FROM generate_series(1, 5) AS no"
    )
    assert bench.run("001:1067").rowcount == 2
    assert bench.run("001:1074").rowcount == 2
    claimed = bench.claim()
    assert {5, 6} <= claimed.keys()
    assert not {3, 7, 8} & claimed.keys()
    assert claimed[6].attempt_count == 1
    # The history goes on where it was: attempts are numbered over the message's whole life.
    assert claimed[6].attempt_no == 6
    assert bench.message(6)["error_code"] is None
    assert bench.message(3)["status"] == "FAILED"


@_promise(
    "001:1157",
    what="COPY: dead letters of 30 days to a file",
    text="The file on the server has a heading and the dead letters of 30 days.",
)
def export_old_dead_letters(bench: Bench) -> None:
    assert bench.run("001:1157").rowcount == 1
    lines = (bench.scratch / "dlq_archive.csv").read_text("utf-8").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["id", "5"]


@_promise(
    "001:1180",
    what="DELETE: dead letters of 30 days",
    text="Dead letters of more than 30 days are gone with their attempts.",
)
def delete_old_dead_letters(bench: Bench) -> None:
    bench.connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (5, 1), (6, 1)"
    )
    before = bench.ask("SELECT count(*) FROM outbound_message")
    assert bench.run("001:1180").rowcount == 1
    assert bench.ask("SELECT count(*) FROM outbound_message") == before - 1
    assert bench.ask("SELECT count(*) FROM outbound_attempt WHERE outbound_message_id = 5") == 0
    assert bench.ask("SELECT count(*) FROM outbound_attempt WHERE outbound_message_id = 6") == 1


@_promise(
    "001:1674",
    what="UPDATE: SENDING for 30 minutes back to QUEUED",
    text="What was SENDING for 30 minutes is claimed at once.",
)
def reset_after_thirty_minutes(bench: Bench) -> None:
    _resets_only_what_is_stuck(bench, "001:1674")


@_promise(
    "001:1706",
    what="UPDATE: count, reset_at and throttle_until started anew",
    text="An organisation that was throttled and without quota sends again.",
)
def reset_rate_limit(bench: Bench) -> None:
    bench.connection.execute("UPDATE whatsapp_rate_limit SET messages_sent_count = quota_limit")
    bench.connection.execute(
        "UPDATE whatsapp_rate_limit SET throttle_until = now() + interval '1 hour'"
    )
    assert 11 not in bench.claim()
    assert bench.run("001:1706").rowcount == 1
    assert bench.obstacle(11) is None


@_promise(
    "002:185",
    what="UPDATE: TEMPORARY_ERROR of the last hour back to QUEUED",
    text="Messages whose error was mended within the hour start again with a whole budget.",
)
def requeue_temporary_errors(bench: Bench) -> None:
    assert bench.run("002:185").rowcount == 1
    claimed = bench.claim()
    assert claimed[8].attempt_count == 1
    assert 6 not in claimed
    assert bench.message(8)["error_code"] is None


@_promise(
    "002:199",
    "002:204",
    what="INSERT … SELECT * and DELETE: failed messages of 7 days archived",
    text="Failed messages of a week ago are in the archive as they were, and gone from the outbox "
    "with their attempts.",
)
def archive_failed(bench: Bench) -> None:
    bench.connection.execute(
        "INSERT INTO outbound_attempt (outbound_message_id, attempt_no) VALUES (5, 1)"
    )
    before = bench.message(5)
    assert bench.run("002:199").rowcount == 1
    assert bench.run("002:204").rowcount == 1
    query = "SELECT * FROM outbound_message_archive"
    assert bench.connection.execute(query).fetchall() == [before]
    assert bench.ask("SELECT count(*) FROM outbound_message WHERE id = 5") == 0
    assert bench.ask("SELECT count(*) FROM outbound_attempt WHERE outbound_message_id = 5") == 0


@_promise(
    "002:326",
    what="UPDATE: quota_limit halved",
    text="Half the quota holds back an organisation that has used that much.",
)
def halve_quota(bench: Bench) -> None:
    bench.change("org_id = 'ORG_ID'", 11)
    assert bench.obstacle(11) is None
    assert bench.run("002:326").rowcount == 1
    assert bench.ask("SELECT quota_limit FROM whatsapp_rate_limit WHERE org_id = 'ORG_ID'") == 500
    assert 11 not in bench.claim()


@_promise(
    "002:334",
    what="UPDATE: updated_at four hours ahead",
    text="Messages that are not urgent wait for four hours, a planned wait that the send latency "
    "leaves out; urgent ones go on. Setting updated_at back to now ends the wait.",
)
def defer_what_is_not_urgent(bench: Bench) -> None:
    assert {10, 11} <= bench.claim().keys()
    assert bench.run("002:334").rowcount == 1
    claimed = bench.claim()
    assert 10 not in claimed
    assert 11 in claimed
    assert bench.ask(
        "SELECT due_at = updated_at AND due_since = updated_at"
        " AND due_at > now() + interval '3 hours 59 minutes' FROM outbound_message WHERE id = 10"
    )
    bench.change("updated_at = now()", 10)
    assert 10 in bench.claim()


@_promise(
    "002:415",
    what="UPDATE: SENDING for 10 minutes back to QUEUED",
    text="What was SENDING for ten minutes is claimed at once.",
)
def reset_after_ten_minutes(bench: Bench) -> None:
    _resets_only_what_is_stuck(bench, "002:415")


@_promise(
    "002:425",
    what="UPDATE: next_retry_at cleared",
    text="A message that waits for its back-off is claimed at once.",
)
def force_retry(bench: Bench) -> None:
    bench.connection.execute(
        "UPDATE outbound_attempt SET next_retry_at = now() + interval '6 hours'"
        " WHERE outbound_message_id = 10 AND attempt_no = 3"
    )
    assert 10 not in bench.claim()
    assert bench.run("002:425").rowcount == 3
    assert 10 in bench.claim()
