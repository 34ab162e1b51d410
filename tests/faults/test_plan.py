"""Plans follow from their seeds, and the catalogue keeps what it promises."""

import pytest

from tests.faults.judge import Verdict
from tests.faults.plan import Load, Scale, draw_message, message_key
from tests.faults.scenarios import CATALOGUE
from tests.faults.table import describe, render


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("scale", Scale)
def test_a_seed_repeats_its_plan(name: str, scale: Scale) -> None:
    assert CATALOGUE[name].plan(7, scale) == CATALOGUE[name].plan(7, scale)


def test_other_seeds_give_other_moments() -> None:
    kill = CATALOGUE["kill"]
    assert kill.plan(1, Scale.WHOLE).steps != kill.plan(2, Scale.WHOLE).steps


def test_the_whole_of_the_kills_is_fifty_rounds() -> None:
    steps = CATALOGUE["kill"].plan(1, Scale.WHOLE).steps
    assert sum(type(step.blow).__name__ == "KillSender" for step in steps) == 50


def test_messages_follow_from_seed_and_number_and_mix_channels_and_recipients() -> None:
    load = Load()
    messages = [draw_message(load, 1, number) for number in range(500)]
    assert messages == [draw_message(load, 1, number) for number in range(500)]
    assert {message.channel.value for message in messages} == {"WHATSAPP", "SMS", "EMAIL"}
    assert len({message.to_recipient for message in messages}) < 2 * load.recipients
    assert messages[3].idempotency_key == message_key(1, 3)


def test_the_table_has_a_line_for_each_scenario_and_their_sums() -> None:
    verdict = Verdict(100, 103, lost=1, duplicated=3, marked=4, unknown=5, by_hand=0)
    table = render([describe("one", "this", verdict), describe("two", "that", verdict)])
    rows = table.splitlines()
    assert rows[2] == "| one | this | 100 | 103 | 5 | 4 | 3 | 1 | 0 |"
    assert rows[-1] == "| all | 2 scenarios | 200 | 206 | 10 | 8 | 6 | 2 | 0 |"
