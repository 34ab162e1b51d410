import pytest

from outbound_slo.vocabulary.statuses import MessageStatus
from sender.receipts import Effect, Receipt, Standing, advance, judge

RECEIPTS = {
    "SENT": Receipt("wamid.1", sent_s=1.0),
    "DELIVERED": Receipt("wamid.1", delivered_s=4.0),
    "READ": Receipt("wamid.1", read_s=9.0),
    "FAILED": Receipt("wamid.1", failed_s=4.0, error_code="131026"),
}


@pytest.mark.parametrize(
    ("said", "old_status", "was_read", "effect"),
    [
        ("SENT", "SENDING", False, Effect.MOVED),
        ("DELIVERED", "FAILED", False, Effect.MOVED),
        ("READ", "DELIVERED", False, Effect.MOVED),
        ("SENT", "SENT", False, Effect.CONFIRMED),
        ("SENT", "DELIVERED", False, Effect.LATE),
        ("SENT", "FAILED", False, Effect.LATE),
        ("DELIVERED", "DELIVERED", False, Effect.REPEATED),
        ("DELIVERED", "DELIVERED", True, Effect.LATE),
        ("READ", "DELIVERED", True, Effect.REPEATED),
        ("FAILED", "FAILED", False, Effect.REPEATED),
        ("FAILED", "DELIVERED", False, Effect.LATE),
    ],
)
def test_a_receipt_moves_confirms_repeats_or_comes_late(
    said: str, old_status: str, was_read: bool, effect: Effect
) -> None:
    read_s = 9.0 if was_read else None
    delivered_s = 5.0 if old_status == "DELIVERED" else None
    before = Standing(MessageStatus(old_status), None, delivered_s, read_s)
    receipt = RECEIPTS[said]
    assert judge(before, advance(before, receipt), receipt) is effect
