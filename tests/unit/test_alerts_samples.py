"""A replay's file: OpenMetrics with a timestamp on every sample, or one clear line about it."""

from pathlib import Path

import pytest

from alerts.replay.samples import lay_out, parse, read_file
from alerts.replay.tape import Series, Tape, write_samples
from outbound_slo.vocabulary.mistakes import UserMistake

WANTED = frozenset({"a"})


def test_samples_stand_at_the_next_instant_of_the_grid() -> None:
    text = ['a{x="1"} 1 15', "a 5 15.1", 'a{x="1"} 2 29.9', 'a{x="1"} 3 30', 'a{x="1"} 4 60 # {} 1']

    tape = lay_out(parse([*text, "# EOF"], "f"), 15)

    assert (tape.start_s, tape.step_s, tape.steps) == (15, 15, 4)
    assert {each.labels: list(each.values) for each in tape.series} == {
        (("x", "1"),): [1.0, 3.0, None, 4.0],
        (): [None, 5.0, None, None],
    }


def test_what_is_written_is_read_back() -> None:
    labels = (("le", "+Inf"), ("q", 'a "quoted" \\ {brace}, and\nline'))
    series = Series("a", labels, [0.1, None, float("inf"), 1e-9])
    tape = Tape(1500, 15, 4, (series,))

    read = lay_out(parse([*write_samples(tape, tape.series), "# EOF"], "f"), 15)

    assert read.series == (series,)
    assert read.start_s == tape.start_s


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a 1 15", "a 2", "# EOF"], "f, line 2: the sample has no timestamp"),
        (["a 1 15", "", "a{ 2 30", "# EOF"], "f, line 3: 'a{ 2 30' is no sample"),
        (["a x 15", "# EOF"], "f, line 1: value 'x' is no number"),
        (["a 1 soon", "# EOF"], "f, line 1: timestamp 'soon' is no number"),
        (["a 1 1767603600000", "# EOF"], "not in Unix seconds"),
        (['a{b=1"2"} 1 15', "# EOF"], "is no label"),
        (['a{b="1",b="2"} 1 15', "# EOF"], "f, line 1: the label b stands twice"),
        (["a 1 15"], "f ends after line 1 without '# EOF'"),
        ([], "f ends after line 0 without '# EOF'"),
        (["# EOF", "a 1 15"], "f, line 2: there is text after # EOF"),
    ],
)
def test_a_bad_line_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(UserMistake) as caught:
        list(parse(lines, "f"))

    assert message in str(caught.value)


def test_a_file_without_the_series_that_rules_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.om"
    path.write_text("b 1 15\n# EOF\n")

    with pytest.raises(UserMistake, match="no series that the rules read"):
        read_file(path, WANTED)
    with pytest.raises(UserMistake, match=r"absent\.om can't be read"):
        read_file(tmp_path / "absent.om", WANTED)
    path.write_bytes(b"a\xff 1 15\n# EOF\n")
    with pytest.raises(UserMistake, match="is not UTF-8"):
        read_file(path, WANTED)


def test_a_range_too_long_is_refused() -> None:
    with pytest.raises(UserMistake, match="more than 200000"):
        lay_out(parse(["a 1 15", "a 1 99999999", "# EOF"], "f"), 15)
