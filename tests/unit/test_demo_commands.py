import tempfile
from pathlib import Path

import pytest

from outbound_slo.demo.commands import demonstrate
from outbound_slo.vocabulary.mistakes import UserMistake


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"duration": 30.0}, "--duration 30 is too short"),
        ({"duration": float("nan")}, "--duration nan is no length of time"),
        ({"duration": float("inf")}, "--duration inf is no length of time"),
        ({"time_scale": 0.5}, "A time scale of 0.5"),
        ({"time_scale": 1000.0}, "A time scale of 1000 can't be used: messages would run out"),
        ({"time_scale": 1e12}, "A time scale of 1e.12 can't be used"),
        ({"scenario": "meteor"}, "--scenario meteor is not known"),
    ],
)
def test_a_wrong_wish_is_refused_before_anything_is_made(
    arguments: dict[str, float | str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UserMistake, match=said):
        demonstrate(**arguments)  # type: ignore[arg-type] # names and types come from the list
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_directory_that_holds_something_is_refused_before_anything_is_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UserMistake, match="is not empty"):
        demonstrate(data_dir=tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]
