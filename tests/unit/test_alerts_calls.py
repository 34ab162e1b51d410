"""Notifications become pages: a group that begins to fire is one, more news of it is none."""

from alerts.replay.delivery import Edge, Notification, find_edges
from alerts.replay.pages import collect_calls
from alerts.replay.pending import Firing
from alerts.replay.tape import Labels

A: Labels = (("alertname", "A"),)
B: Labels = (("alertname", "B"),)


def test_updates_belong_to_their_page_until_it_is_over() -> None:
    calls = collect_calls(
        [
            Notification(10, "page-l1", "g", (A,), ()),
            Notification(20, "tickets", "t", (B,), ()),
            Notification(30, "page-l1", "g", (A, B), ()),
            Notification(40, "page-l1", "g", (B,), (A,)),
            Notification(50, "page-l1", "g", (), (B,)),
            Notification(60, "page-l1", "g", (A,), ()),
        ]
    )

    assert [(call.at_s, call.wakes, call.names(), call.over_s) for call in calls] == [
        (10, True, ("A", "B"), 50),
        (20, False, ("B",), None),
        (60, True, ("A",), None),
    ]
    assert calls[0].first == {A}


def test_edges_are_ordered_and_the_watchdog_is_left_out() -> None:
    firings = [
        Firing("B", (), 30, 60, 1.0),
        Firing("A", (), 0, 30, 1.0),
        Firing("Watchdog", (), 0, None, 1.0),
    ]

    assert find_edges(firings) == [Edge(0, (A,), ()), Edge(30, (B,), (A,)), Edge(60, (), (B,))]
