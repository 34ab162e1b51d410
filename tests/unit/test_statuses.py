from outbound_slo.vocabulary.statuses import TRANSITIONS, MessageStatus, may_move

ORDER = [
    MessageStatus.QUEUED,
    MessageStatus.SENDING,
    MessageStatus.SENT,
    MessageStatus.DELIVERED,
]


def test_every_status_has_its_moves() -> None:
    assert set(TRANSITIONS) == set(MessageStatus)


def test_nothing_goes_backwards_but_a_send_that_did_not_happen() -> None:
    for current in ORDER:
        for following in ORDER[: ORDER.index(current)]:
            back_to_queue = (current, following) == (MessageStatus.SENDING, MessageStatus.QUEUED)
            assert may_move(current, following) is back_to_queue


def test_ends_are_ends() -> None:
    assert not TRANSITIONS[MessageStatus.DELIVERED]
    assert not TRANSITIONS[MessageStatus.FAILED]


def test_labels_are_lower_case() -> None:
    assert MessageStatus.QUEUED.label == "queued"
