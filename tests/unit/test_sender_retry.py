from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.settings import BACKOFF_SECONDS
from outbound_slo.vocabulary.errors import Limit
from sender.retry import (
    LONGEST_WAIT_S,
    REST_POLICIES,
    Rest,
    RestPolicy,
    lengthen_rest,
    pick_backoff,
    pick_pair_wait,
    read_wait,
    spread,
    wait_before_retry,
)

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
POLICY = RestPolicy(first_s=10.0, factor=2.0, longest_s=60.0)


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 5), (3, 15), (4, 60), (5, 360), (6, 360), (50, 360)]
)
def test_the_backoff_is_the_runbooks(attempts: int, minutes: int) -> None:
    assert pick_backoff(attempts, BACKOFF_SECONDS) == minutes * 60


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 1), (1, 1), (2, 4), (3, 16), (4, 64), (7, 3600), (1000, 3600)]
)
def test_the_pair_limit_waits_four_to_the_power_of_the_failures(
    attempts: int, seconds: int
) -> None:
    assert pick_pair_wait(attempts) == seconds


def _wait(
    attempts: int = 1, limits: Limit | None = None, at_least: tuple[float | None, ...] = ()
) -> float:
    return wait_before_retry(
        attempts, BACKOFF_SECONDS, limits=limits, at_least=at_least, jitter=0.0, draw=0.5
    )


def test_a_longer_lower_bound_wins_and_a_shorter_one_does_not() -> None:
    assert _wait() == 60.0
    assert _wait(at_least=(10.0, None)) == 60.0
    assert _wait(at_least=(None, 3600.0, 86400.0)) == 86400.0


def test_only_the_pair_limit_leaves_the_runbooks_backoff() -> None:
    assert _wait(attempts=3, limits=Limit.RECIPIENT) == 16.0
    assert _wait(attempts=3, limits=Limit.NUMBER) == 900.0
    assert _wait(attempts=3, limits=Limit.RECIPIENT, at_least=(30.0,)) == 30.0


@given(st.floats(0.1, 1e5), st.floats(0, 1), st.floats(0, 1))
def test_jitter_only_ever_lengthens_and_stays_in_its_share(
    seconds: float, jitter: float, draw: float
) -> None:
    assert seconds <= spread(seconds, jitter, draw) <= seconds * (1 + jitter) * (1 + 1e-9)


@given(
    st.integers(1, 50),
    st.sampled_from([None, *Limit]),
    st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=4),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_wait_is_never_shorter_than_any_of_its_bounds(
    attempts: int,
    limits: Limit | None,
    at_least: list[float | None],
    jitter: float,
    draw: float,
) -> None:
    wait = wait_before_retry(
        attempts, BACKOFF_SECONDS, limits=limits, at_least=at_least, jitter=jitter, draw=draw
    )
    assert wait >= 1.0
    assert all(wait >= bound for bound in at_least if bound is not None)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "3600"}, 3600.0),
        (503, {"retry-after": " 2.5 "}, 2.5),
        (429, {"retry-after": "0"}, 0.0),
        (429, {"retry-after": "999999999999999999999"}, 86400.0),
        (429, {"retry-after": "9" * 500}, 86400.0),
        (429, {"retry-after": "Tue, 01 Sep 2026 12:00:30 GMT"}, 30.0),
        (429, {"retry-after": "Tue, 01 Sep 2026 14:00:30 +0200"}, 30.0),
        (429, {"retry-after": "Tuesday, 01-Sep-26 12:01:00 GMT"}, 60.0),
        (429, {"retry-after": "Tue Sep  1 12:00:10 2026"}, 10.0),
        (429, {"retry-after": "Tue, 01 Sep 2026 11:00:00 GMT"}, 0.0),
        (429, {"retry-after": "Sun, 01 Nov 2037 12:00:00 GMT"}, 86400.0),
        # A date is meant by the clock that also wrote the answer's Date.
        (
            429,
            {
                "retry-after": "Tue, 01 Sep 2026 13:00:30 GMT",
                "date": "Tue, 01 Sep 2026 13:00:00 GMT",
            },
            30.0,
        ),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 45)}, 45.0),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) - 45)}, 0.0),
        (429, {"retry-after": "5", "x-ratelimit-reset": "9999999999"}, 5.0),
        (500, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 45)}, None),
        (429, {"x-ratelimit-reset": "0"}, None),
        (429, {"retry-after": "-1"}, None),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "nan"}, None),
        (429, {"retry-after": "inf"}, None),
        (429, {"retry-after": "1_000"}, None),
        (429, {"retry-after": "٣"}, None),
        (429, {"retry-after": "--5"}, None),
        (429, {"retry-after": ""}, None),
        (None, {}, None),
    ],
)
def test_the_providers_word_is_seconds_a_date_or_a_reset(
    status: int | None, headers: dict[str, str], seconds: float | None
) -> None:
    assert read_wait(status, headers, NOW) == seconds


_DATE_LIKE = st.from_regex(
    r"\A(\w{3}, )?\d{1,2} (Jan|Sep|Foo) \d{1,5} \d{1,3}:\d{2}(:\d{2})?( [+-]\d{1,9}| GMT| \w+)?\Z"
)
_VALUES = st.one_of(st.text(), _DATE_LIKE, st.floats().map(str), st.integers().map(str))


@given(
    st.sampled_from([None, 200, 429, 503]),
    st.dictionaries(st.sampled_from(["retry-after", "date", "x-ratelimit-reset"]), _VALUES),
)
def test_whatever_a_provider_sends_the_wait_is_none_or_within_a_day(
    status: int | None, headers: dict[str, str]
) -> None:
    wait = read_wait(status, headers, NOW)
    assert wait is None or 0.0 <= wait <= LONGEST_WAIT_S


@given(st.integers(0, 86400))
def test_every_http_date_within_a_day_is_read_to_the_second(ahead: int) -> None:
    date = format_datetime(datetime.fromtimestamp(NOW.timestamp() + ahead, UTC), usegmt=True)
    assert read_wait(503, {"retry-after": date}, NOW) == ahead


def test_all_that_were_under_way_count_as_one_hit() -> None:
    rest = lengthen_rest(None, 100.0, POLICY, named_s=None)
    assert rest == Rest(110.0, 10.0)
    for late in (100.1, 105.0, 109.9):
        assert lengthen_rest(rest, late, POLICY, named_s=None) == rest


def test_a_hit_right_after_a_rest_doubles_it_up_to_the_longest() -> None:
    rest = lengthen_rest(None, 0.0, POLICY, named_s=None)
    lengths = []
    for _ in range(4):
        rest = lengthen_rest(rest, rest.until, POLICY, named_s=None)
        lengths.append(rest.length_s)
    assert lengths == [20.0, 40.0, 60.0, 60.0]


def test_a_hit_long_after_a_rest_starts_anew() -> None:
    rest = Rest(until=100.0, length_s=40.0)
    assert lengthen_rest(rest, 139.9, POLICY, named_s=None).length_s == 60.0
    assert lengthen_rest(rest, 140.0, POLICY, named_s=None).length_s == 10.0


def test_what_the_provider_names_counts_as_it_is() -> None:
    first = lengthen_rest(None, 0.0, POLICY, named_s=3.0)
    assert first == Rest(3.0, 3.0)
    assert lengthen_rest(first, 3.0, POLICY, named_s=3600.0) == Rest(3603.0, 3600.0)
    # During a rest a later end is believed, an earlier one is not.
    assert lengthen_rest(first, 1.0, POLICY, named_s=1.0) == first
    assert lengthen_rest(first, 1.0, POLICY, named_s=30.0).until == 31.0


@given(
    st.sampled_from(list(REST_POLICIES.values())),
    st.lists(st.tuples(st.floats(0, 1e4), st.one_of(st.none(), st.floats(0, 86400)))),
)
def test_a_rest_never_ends_earlier_than_it_was_told_and_never_grows_without_bound(
    policy: RestPolicy, hits: list[tuple[float, float | None]]
) -> None:
    now, rest = 0.0, None
    for pause, named in hits:
        now += pause
        following = lengthen_rest(rest, now, policy, named_s=named)
        if rest is not None:
            assert following.until >= min(rest.until, now)
            if now < rest.until:
                assert following.until >= rest.until
        if named is None:
            assert following.until - now <= max(
                policy.longest_s, 0.0 if rest is None else rest.until - now
            ) * (1 + 1e-9)
        rest = following


def test_every_kind_of_limit_has_a_policy() -> None:
    assert set(REST_POLICIES) == set(Limit)
