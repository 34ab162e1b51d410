import pytest

from outbound_slo.vocabulary.spans import Tag
from sender.inbox import judge_repetition

LATE, AGAIN = Tag.WEBHOOK_OUT_OF_ORDER, Tag.WEBHOOK_DUPLICATE


@pytest.mark.parametrize(
    ("said", "old_status", "was_read", "reason"),
    [
        ("SENT", "SENT", False, None),
        ("SENT", "DELIVERED", False, LATE),
        ("DELIVERED", "DELIVERED", False, AGAIN),
        ("DELIVERED", "DELIVERED", True, LATE),
        ("READ", "DELIVERED", True, AGAIN),
        ("FAILED", "FAILED", False, AGAIN),
        ("FAILED", "DELIVERED", False, LATE),
        ("DELIVERED", "FAILED", False, LATE),
    ],
)
def test_a_receipt_without_effect_is_late_or_repeated_or_a_mere_confirmation(
    said: str, old_status: str, was_read: bool, reason: Tag | None
) -> None:
    assert judge_repetition(said, old_status, was_read) is reason
