"""Lanes: who gets how much of a claim, where it begins, and what is left alone."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.vocabulary.statuses import Channel, Priority, Turn
from sender.lanes import (
    LOOK_S,
    Candidate,
    LaneBook,
    LaneKey,
    LaneState,
    Share,
    Verdict,
)

WHATSAPP = Channel.WHATSAPP.value
SMS = Channel.SMS.value
START = datetime(2026, 1, 1, tzinfo=UTC)


def key(org: str, priority: int = 1, channel: str = WHATSAPP) -> LaneKey:
    return LaneKey(channel, priority, org)


def book_of(*states: LaneState) -> LaneBook:
    book = LaneBook()
    book.note_look(states, 0.0, 0.0)
    return book


def lane(
    org: str,
    priority: int = 1,
    *,
    channel: str = WHATSAPP,
    due_in_s: float = 0.0,
    held_s: float = 0.0,
    quota_left: int | None = None,
) -> LaneState:
    return LaneState(key(org, priority, channel), due_in_s, held_s, quota_left)


def amounts(shares: list[Share]) -> dict[LaneKey, int]:
    return {share.key: share.share for share in shares}


def seen(
    lane_key: LaneKey, number: int, verdict: Verdict = Verdict.CLAIMED, turn: Turn = Turn.OPEN
) -> Candidate:
    return Candidate(number, lane_key, turn, START + timedelta(seconds=number), verdict)


def test_a_lone_lane_gets_the_whole_claim() -> None:
    assert amounts(book_of(lane("a")).plan({WHATSAPP: 50}, 0.0, {})) == {key("a"): 50}


def test_organisations_share_alike() -> None:
    book = book_of(lane("a"), lane("b"), lane("c"))
    shares = amounts(book.plan({WHATSAPP: 30}, 0.0, {}))
    assert shares == {key("a"): 10, key("b"): 10, key("c"): 10}


def test_urgent_messages_take_the_most_and_leave_some() -> None:
    book = book_of(lane("a", Priority.URGENT), lane("b"))
    shares = amounts(book.plan({WHATSAPP: 40}, 0.0, {}))
    assert shares == {key("a", Priority.URGENT): 30, key("b"): 10}


def test_bulk_messages_keep_a_tenth_while_normal_ones_wait() -> None:
    book = book_of(lane("a"), lane("b", Priority.BULK))
    shares = amounts(book.plan({WHATSAPP: 50}, 0.0, {}))
    assert shares == {key("a"): 45, key("b", Priority.BULK): 5}


def test_with_one_place_at_a_time_nobody_starves() -> None:
    states = [lane("a", Priority.URGENT), lane("b"), lane("c", Priority.BULK)]
    book = book_of(*states)
    served: Counter[int] = Counter()
    for _ in range(100):
        for share in book.plan({WHATSAPP: 1}, 0.0, {}):
            served[share.key.priority] += 1
    assert served[Priority.URGENT] > served[Priority.NORMAL] > 0
    assert served[Priority.BULK] > 0


@given(
    room=st.integers(1, 200),
    lanes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, unique=True),
)
def test_a_plan_uses_the_room_and_hardly_more(room: int, lanes: list[tuple[int, int]]) -> None:
    """Rounding up may ask for one more of each lane; the claim itself cuts at the room."""
    book = book_of(*[lane(f"org-{org}", priority) for org, priority in lanes])
    shares = book.plan({WHATSAPP: room}, 0.0, {})
    total = sum(share.share for share in shares)
    assert room <= total <= room + len(shares)
    assert len(shares) <= room


@given(
    room=st.integers(1, 10),
    lanes=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=1, unique=True),
)
def test_every_lane_is_served_in_the_end(room: int, lanes: list[tuple[int, int]]) -> None:
    book = book_of(*[lane(f"org-{org}", priority) for org, priority in lanes])
    served = set()
    for _ in range(40 * len(lanes)):
        served |= {share.key for share in book.plan({WHATSAPP: room}, 0.0, {})}
    assert served == {key(f"org-{org}", priority) for org, priority in lanes}


def test_held_and_future_lanes_wait_and_tell_for_how_long() -> None:
    book = book_of(lane("held", held_s=5.0), lane("later", due_in_s=9.0))
    assert book.plan({WHATSAPP: 10}, 0.0, {}) == []
    assert not book.has_work(0.0, {WHATSAPP})
    assert book.next_due_s(1.0, {WHATSAPP}) == 4.0
    assert book.held(WHATSAPP, 0.0) == ["held"]
    assert book.has_work(5.0, {WHATSAPP})


def test_nothing_known_has_no_time() -> None:
    assert LaneBook().next_due_s(0.0, {WHATSAPP}) == float("inf")


def test_a_pause_asked_for_by_a_provider_holds_its_channel_alone() -> None:
    book = book_of(lane("a"), lane("a", channel=SMS))
    book.hold(WHATSAPP, "a", 30.0, 0.0)
    shares = amounts(book.plan({WHATSAPP: 5, SMS: 5}, 1.0, {}))
    assert shares == {key("a", channel=SMS): 5}
    assert book.held(WHATSAPP, 1.0) == ["a"]
    assert book.held(SMS, 1.0) == book.held(WHATSAPP, 31.0) == []


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    book = book_of(lane("a"))
    book.hold(WHATSAPP, "a", 30.0, 0.0)
    book.hold(WHATSAPP, "a", 5.0, 0.0)
    assert book.held(WHATSAPP, 20.0) == ["a"]


def test_a_quota_counts_what_is_in_flight() -> None:
    book = book_of(lane("a", quota_left=10))
    assert amounts(book.plan({WHATSAPP: 50}, 0.0, {"a": 4})) == {key("a"): 6}
    assert book.plan({WHATSAPP: 50}, 0.0, {"a": 10}) == []


def test_a_floor_lies_behind_the_last_message_that_left_the_lane() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 2}, 0.0, {})
    book.note_claim(shares, [seen(key("a"), 7), seen(key("a"), 8, Verdict.PARKED)], 0.0, 0.0)
    [share] = book.plan({WHATSAPP: 2}, 0.5, {})
    assert (share.after_due, share.after_id) == (START + timedelta(seconds=8), 8)


def test_a_floor_stays_before_the_first_message_that_was_left() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 5}, 0.0, {})
    found = [seen(key("a"), 7), seen(key("a"), 8, Verdict.LEFT), seen(key("a"), 9)]
    book.note_claim(shares, found, 0.0, 0.0)
    [share] = book.plan({WHATSAPP: 5}, 0.5, {})
    assert share.after_id == 7


def test_woken_messages_move_no_floor() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 1}, 0.0, {})
    book.note_claim(shares, [seen(key("a"), 7, turn=Turn.WOKEN)], 0.0, 0.0)
    assert book.plan({WHATSAPP: 1}, 0.5, {}) == []


def test_a_floor_is_taken_back_after_a_while_and_later_where_that_was_dear() -> None:
    cheap, dear = book_of(lane("a")), book_of(lane("a"))
    for book, took_s in ((cheap, 0.001), (dear, 0.2)):
        shares = book.plan({WHATSAPP: 1}, 0.0, {})
        book.note_claim(shares, [seen(key("a"), 7)], 0.0, took_s)
    assert cheap.plan({WHATSAPP: 1}, 1.5, {})[0].after_id == 0
    assert dear.plan({WHATSAPP: 1}, 1.5, {})[0].after_id == 7
    assert dear.plan({WHATSAPP: 1}, 4.5, {})[0].after_id == 0


def test_a_drained_lane_is_left_out_until_news() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 5}, 0.0, {})
    book.note_claim(shares, [seen(key("a"), 7)], 0.0, 0.0)
    assert not book.has_work(0.1, {WHATSAPP})
    book.suspect_news()
    assert [share.after_id for share in book.plan({WHATSAPP: 5}, 0.2, {})] == [7]


def test_a_look_is_due_after_a_while_and_later_where_it_was_dear() -> None:
    book = LaneBook()
    assert book.needs_look(0.0)
    book.note_look([], 0.0, 0.001)
    assert not book.needs_look(LOOK_S / 2)
    assert book.needs_look(LOOK_S)
    book.note_look([], 10.0, 0.1)
    assert not book.needs_look(11.5)
    assert book.needs_look(12.1)


def test_a_look_keeps_the_floors() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 1}, 0.0, {})
    book.note_claim(shares, [seen(key("a"), 7)], 0.0, 0.0)
    book.note_look([lane("a")], 0.3, 0.0)
    assert [share.after_id for share in book.plan({WHATSAPP: 1}, 0.4, {})] == [7]


def test_an_empty_lane_keeps_its_floor_for_a_while() -> None:
    book = book_of(lane("a"))
    shares = book.plan({WHATSAPP: 2}, 0.0, {})
    book.note_claim(shares, [seen(key("a"), 7)], 0.0, 10.0)
    book.note_look([], 1.0, 0.0)
    assert not book.has_work(1.0, {WHATSAPP})
    assert book.next_due_s(1.0, {WHATSAPP}) == float("inf")
    book.suspect_news()
    assert [share.after_id for share in book.plan({WHATSAPP: 2}, 1.0, {})] == [7]
    book.note_look([], 2.0, 0.0)
    book.note_look([], 70.0, 0.0)
    book.note_look([lane("a")], 71.0, 0.0)
    assert [share.after_id for share in book.plan({WHATSAPP: 2}, 71.0, {})] == [0]


def test_a_suspicion_does_not_forget_when_a_lane_is_due() -> None:
    book = book_of(lane("a", due_in_s=30.0))
    book.suspect_news()
    shares = book.plan({WHATSAPP: 2}, 1.0, {})
    assert len(shares) == 1
    book.note_claim(shares, [], 1.0, 0.0)
    assert not book.has_work(2.0, {WHATSAPP})
    assert book.next_due_s(2.0, {WHATSAPP}) == 28.0


def test_a_heap_of_followers_is_met_in_growing_strides() -> None:
    book = book_of(lane("a"))
    asked = []
    for _ in range(7):
        shares = book.plan({WHATSAPP: 10}, 0.0, {})
        asked.append(shares[0].share)
        parked = [seen(key("a"), number, Verdict.PARKED) for number in range(shares[0].share)]
        book.note_claim(shares, parked, 0.0, 0.0)
    assert asked == [10, 20, 40, 80, 160, 160, 160]
    shares = book.plan({WHATSAPP: 10}, 0.0, {})
    claimed = [seen(key("a"), number) for number in range(shares[0].share)]
    book.note_claim(shares, claimed, 0.0, 0.0)
    assert book.plan({WHATSAPP: 10}, 0.0, {})[0].share == 10


def test_urgent_lanes_that_seemed_empty_are_looked_into_with_every_claim() -> None:
    book = book_of(lane("a", Priority.URGENT), lane("b"))
    shares = book.plan({WHATSAPP: 20}, 0.0, {})
    book.note_claim(shares, [seen(key("b"), number) for number in range(20)], 0.0, 0.0)
    shares = book.plan({WHATSAPP: 20}, 0.1, {})
    assert key("a", Priority.URGENT) in amounts(shares)
    assert amounts(shares)[key("b")] == 20
    assert book.knows_urgent(WHATSAPP)
    assert not book.knows_urgent(SMS)
