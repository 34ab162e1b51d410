import pytest

from sender.storable import make_storable


def test_what_the_database_refuses_goes_and_all_else_stays() -> None:
    value = {"a\x00": ["\ud83d", "é😀", 1, None, True, {"b": "x\x00y"}]}
    assert make_storable(value) == {"a": ["?", "é😀", 1, None, True, {"b": "xy"}]}


def test_endless_nesting_is_told_and_not_survived_in_silence() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError):
        make_storable(value)
