"""Who is being sent to: overlapping requests to one recipient, and what came before."""

from outbound_slo.simulator.traffic import Traffic
from outbound_slo.simulator.wire import Reference

ANA, BEN = "+33612345678", "+33687654321"


def test_one_after_the_other_is_no_overlap() -> None:
    traffic = Traffic(10)
    for number in range(3):
        visit = traffic.begin("meta", ANA, Reference(str(number), "1"), float(number))
        traffic.end(visit, "accepted", number + 0.5)
    assert traffic.overlaps == 0
    assert traffic.list_overlaps() == []


def test_two_at_once_to_one_recipient_are_an_overlap_that_names_both() -> None:
    traffic = Traffic(10)
    first = traffic.begin("meta", ANA, Reference("41", "1"), 1.0)
    second = traffic.begin("meta", ANA, Reference("42", "3"), 1.25)
    traffic.end(first, "accepted", 1.5)
    traffic.end(second, "accepted", 2.0)
    assert traffic.overlaps == 1
    ((shown),) = traffic.list_overlaps()
    assert (shown["in_flight"]["message"], shown["came"]["message"]) == ("41", "42")  # type: ignore[index] # objects of JSON
    assert shown["in_flight"]["ended_at"] == 1.5  # type: ignore[index] # as above


def test_the_one_that_outlives_the_other_is_still_in_flight() -> None:
    traffic = Traffic(10)
    first = traffic.begin("meta", ANA, Reference("41"), 1.0)
    traffic.begin("meta", ANA, Reference("42"), 1.1)
    traffic.end(first, "accepted", 1.2)
    traffic.begin("meta", ANA, Reference("43"), 1.3)
    assert traffic.overlaps == 2


def test_other_recipients_and_other_providers_do_not_overlap() -> None:
    traffic = Traffic(10)
    traffic.begin("meta", ANA, Reference("41"), 1.0)
    traffic.begin("meta", BEN, Reference("42"), 1.0)
    traffic.begin("twilio", ANA, Reference("43"), 1.0)
    assert traffic.overlaps == 0


def test_only_the_first_end_of_a_request_counts() -> None:
    traffic = Traffic(10)
    left = traffic.begin("meta", ANA, Reference("41"), 1.0)
    traffic.end(left, "left", 1.1)
    traffic.begin("meta", ANA, Reference("42"), 1.2)
    traffic.end(left, "unheard", 9.0)
    assert (left.outcome, left.ended_at) == ("left", 1.1)
    traffic.begin("meta", ANA, Reference("43"), 9.1)
    assert traffic.overlaps == 1


def test_a_recipients_requests_are_listed_in_their_order_with_start_and_end() -> None:
    traffic = Traffic(10)
    for number, recipient in ((41, ANA), (42, BEN), (43, ANA)):
        visit = traffic.begin("meta", recipient, Reference(str(number), "2"), float(number))
        traffic.end(visit, "accepted", number + 0.5)
    assert traffic.list_visits(ANA) == [
        {
            "provider": "meta",
            "recipient": ANA,
            "message": str(number),
            "attempt": "2",
            "started_at": float(number),
            "ended_at": number + 0.5,
            "outcome": "accepted",
        }
        for number in (41, 43)
    ]


def test_the_past_is_bounded_and_without_a_limit_of_it_overlaps_still_count() -> None:
    short, none = Traffic(2), Traffic(0)
    for traffic in (short, none):
        for number in range(3):
            traffic.begin("meta", ANA, Reference(str(number)), 1.0)
    assert [visit["message"] for visit in short.list_visits(ANA)] == ["1", "2"]
    assert none.list_visits(ANA) == []
    assert (short.overlaps, none.overlaps) == (2, 2)


def test_clearing_forgets_the_past_but_not_what_is_in_flight() -> None:
    traffic = Traffic(10)
    traffic.begin("meta", ANA, Reference("41"), 1.0)
    traffic.begin("meta", ANA, Reference("42"), 1.0)
    traffic.clear()
    assert (traffic.overlaps, traffic.list_overlaps(), traffic.list_visits(ANA)) == (0, [], [])
    traffic.begin("meta", ANA, Reference("43"), 1.0)
    assert traffic.overlaps == 1
