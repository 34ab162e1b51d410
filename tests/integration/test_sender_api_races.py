"""Retries while senders claim, send and settle: nothing goes twice, nothing is lost."""

from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from outbound_slo.embedded.processes import Supervisor
from tests.integration.api_stand import MESSAGES, TOKEN, Stand
from tests.integration.sending import Sending, wait_until

MESSAGES_IN_ALL = 60
RETRIES_OF_EACH = 6


def test_retries_while_a_sender_works_send_each_message_once(database: str, tmp_path: Path) -> None:
    recipients = [f"+336{number:08d}" for number in range(MESSAGES_IN_ALL)]
    with Supervisor(tmp_path) as supervisor:
        sending = Sending(supervisor, database)
        sending.allow(*recipients)
        sending.start_simulator("--latency-ms", "40")
        sending.start_sender(OUTBOUND_ADMIN_TOKEN=TOKEN, OUTBOUND_WORKER_BATCH_SIZE="7")
        stand = Stand(sending)
        numbers = [
            stand.insert(
                to_recipient=recipient,
                status="FAILED",
                attempts="FAILED",
                attempt_count=5,
                error_code="131026",
            )
            for recipient in recipients
        ]

        def retry(number: int) -> int:
            return stand.ask("POST", f"{MESSAGES}/{number}/retry").status_code

        asked = list(islice(cycle(numbers), MESSAGES_IN_ALL * RETRIES_OF_EACH))
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(retry, asked))
        wait_until(
            lambda: {status for status, _ in sending.statuses(numbers)} == {"DELIVERED"},
            "every message's delivery",
        )
        totals = sending.ledger()
        assert set(answers) == {200, 409}
        assert (totals["accepted"], totals["duplicates"]) == (MESSAGES_IN_ALL, 0)
        assert stand.execute("SELECT count(*) FROM outbound_attempt WHERE possible_duplicate") == [
            (0,)
        ]
