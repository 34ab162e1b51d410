"""An alert's stages from its condition: `for`, `keep_firing_for`, and the edges between them."""

import pytest

from alerts.replay.evaluation import read_duration
from alerts.replay.pending import Stage, find_spans, stage_alert
from outbound_slo.vocabulary.mistakes import UserMistake

_LETTERS = {Stage.INACTIVE: ".", Stage.PENDING: "p", Stage.FIRING: "F"}


def walk(condition: str, hold_s: float, keep_s: float) -> str:
    values = [None if letter == "." else 1.0 for letter in condition]
    return "".join(_LETTERS[stage] for stage in stage_alert(values, 15, hold_s, keep_s))


@pytest.mark.parametrize(
    ("condition", "hold_s", "keep_s", "stages"),
    [
        ("..xxx..", 0, 0, "..FFF.."),
        ("..xxxxx..", 45, 0, "..pppFF.."),
        ("..xxx.xxxx.", 45, 0, "..ppp.pppF."),
        ("xxx", 46, 0, "ppp"),
        ("x......", 0, 45, "FFFF..."),
        ("x.x.....", 0, 30, "FFFFF..."),
        (".x..x...", 15, 60, ".p..p..."),
        ("xx....xx", 15, 30, "pFFF..pF"),
    ],
)
def test_an_alert_waits_fires_and_keeps_firing(
    condition: str, hold_s: float, keep_s: float, stages: str
) -> None:
    assert walk(condition, hold_s, keep_s) == stages


def test_spans_tell_where_a_stage_begins_and_ends() -> None:
    stages = stage_alert([None, 1.0, 1.0, None, 1.0], 15, 0, 0)

    assert find_spans(stages, Stage.FIRING) == [(1, 3), (4, None)]


@pytest.mark.parametrize("text", ["5", "5 m", "m", "5x", "1m30"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserMistake, match="is no duration"):
        read_duration(text)
