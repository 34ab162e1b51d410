from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sender.actuator import list_names, read_metric
from sender.admission import AdminTokens


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    state = Gauge("resilience4j_circuitbreaker_state", "State.", ["name"], registry=registry)
    state.labels("whatsapp").set(2)
    state.labels("sms").set(1)
    hooks = Counter("hooks", "Webhooks.", ["provider", "result"], registry=registry)
    hooks.labels("meta", "accepted").inc(3)
    hooks.labels("meta", "rejected").inc(1)
    Histogram("call_duration_seconds", "Calls.", buckets=(1,), registry=registry).observe(0.5)
    return registry


@pytest.mark.parametrize(
    ("name", "tags", "numbers"),
    [
        ("resilience4j.circuitbreaker.state", [("name", "whatsapp")], {"VALUE": 2.0}),
        ("resilience4j_circuitbreaker_state", [], {"VALUE": 3.0}),
        ("hooks", [], {"COUNT": 4.0}),
        ("hooks.total", [("result", "rejected")], {"COUNT": 1.0}),
        ("call.duration.seconds", [], {"COUNT": 1.0, "TOTAL": 0.5}),
    ],
)
def test_a_metric_is_read_by_either_name_and_summed_over_the_tags_not_asked_for(
    registry: CollectorRegistry,
    name: str,
    tags: Sequence[tuple[str, str]],
    numbers: dict[str, float],
) -> None:
    reading = read_metric(registry, name, tags)
    assert reading is not None
    assert {each.statistic: each.value for each in reading.measurements} == numbers
    assert reading.base_unit == ("seconds" if "seconds" in name else None)


def test_the_tags_left_are_offered_with_their_values(registry: CollectorRegistry) -> None:
    reading = read_metric(registry, "hooks", [("provider", "meta")])
    assert reading is not None
    assert [(tag.tag, tag.values) for tag in reading.available_tags] == [
        ("result", ["accepted", "rejected"])
    ]


@pytest.mark.parametrize(
    ("name", "tags"), [("jvm.memory.used", []), ("hooks", [("provider", "twilio")])]
)
def test_what_is_not_there_is_none(
    registry: CollectorRegistry, name: str, tags: Sequence[tuple[str, str]]
) -> None:
    assert read_metric(registry, name, tags) is None


def test_every_listed_name_can_be_read(registry: CollectorRegistry) -> None:
    names = list_names(registry).names
    assert names == ["call.duration.seconds", "hooks", "resilience4j.circuitbreaker.state"]
    assert all(read_metric(registry, name, []) for name in names)


def test_each_token_is_accepted_and_an_empty_one_is_none() -> None:
    tokens = AdminTokens(["new", "", "old"])
    assert [tokens.accept(given) for given in ("new", "old", "", "ne", "new ")] == [
        *(True, True, False, False, False)
    ]
    assert not AdminTokens(["", ""])
    assert not AdminTokens([]).accept("")
