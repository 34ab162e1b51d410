import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound_slo.settings import BACKOFF_SECONDS
from sender.retry import pick_backoff, spread, wait_before_retry


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 5), (3, 15), (4, 60), (5, 360), (6, 360), (50, 360)]
)
def test_the_backoff_is_the_runbooks(attempts: int, minutes: int) -> None:
    assert pick_backoff(attempts, BACKOFF_SECONDS) == minutes * 60


def test_a_longer_retry_after_wins_and_a_shorter_one_does_not() -> None:
    def wait(retry_after_s: float | None) -> float:
        return wait_before_retry(1, (60.0,), retry_after_s=retry_after_s, jitter=0.0, draw=0.5)

    assert wait(None) == 60.0
    assert wait(10.0) == 60.0
    assert wait(3600.0) == 3600.0


@given(st.floats(0.1, 1e5), st.floats(0, 1), st.floats(0, 1))
def test_jitter_only_ever_lengthens_and_stays_in_its_share(
    seconds: float, jitter: float, draw: float
) -> None:
    assert seconds <= spread(seconds, jitter, draw) <= seconds * (1 + jitter) * (1 + 1e-9)
