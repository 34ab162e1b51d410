from pathlib import Path

import pytest

from outbound_slo.artefacts import Drift, Finding, build_all, find_drift, write_all


def test_drift_is_found_and_mended(tmp_path: Path) -> None:
    files = {"a/new.txt": "new", "old.txt": "text", "same.txt": "same"}
    (tmp_path / "old.txt").write_text("other")
    (tmp_path / "same.txt").write_text("same")
    assert find_drift(tmp_path, files) == [
        Finding("a/new.txt", Drift.MISSING),
        Finding("old.txt", Drift.CHANGED),
    ]
    assert write_all(tmp_path, files) == ["a/new.txt", "old.txt"]
    assert find_drift(tmp_path, files) == []


def test_two_builders_of_one_file_are_a_fault() -> None:
    with pytest.raises(ValueError, match=r"two builders make x\.txt"):
        build_all([lambda: {"x.txt": "1"}, lambda: {"x.txt": "2"}])
