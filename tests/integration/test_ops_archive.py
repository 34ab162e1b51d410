"""Dead letters archived and purged: moved whole, brought back whole, in neither place twice."""

import csv
import stat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest

from sender.audit import note_progress
from tests.integration.ops_processes import kill_midway, start_ops
from tests.ops_parts import Operator
from tests.ops_schemas import check_printed


@pytest.fixture
def ops(database: str) -> Operator:
    return Operator(database)


def _rows(ops: Operator, table: str) -> list[tuple[Any, ...]]:
    passing = "ARRAY['turn', 'due_at', 'due_since']"
    return ops.execute(f"SELECT to_jsonb(t) - {passing} FROM {table} AS t ORDER BY id")


def _everything(ops: Operator) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("outbound_message", "outbound_attempt", "outbound_message_archive")
    return {table: _rows(ops, table) for table in tables}


def _archived(ops: Operator) -> list[int]:
    found = ops.execute("SELECT id FROM outbound_message_archive ORDER BY id")
    return [number for (number,) in found]


def test_old_dead_letters_go_into_the_archive_and_nothing_else(ops: Operator) -> None:
    old = ops.add(3, age="8 days")
    stay = [
        *ops.add(1, age="6 days"),
        *ops.add(1, age="8 days", attempts=2),
        *ops.add(1, age="8 days", status="SENT", code=None),
    ]
    before = _everything(ops)
    picture = ops.picture(old)
    dry = ops.run("dlq", "archive", "--dry-run", "--json").json()
    check_printed("survey", dry)
    assert dry["keys"] == old
    assert _everything(ops) == before
    done = ops.change("dlq", "archive", "--ticket", "INC-7")
    check_printed("outcome", done)
    assert (done["changed"], done["skipped"]) == (3, {})
    assert ops.picture(old) == []
    assert _rows(ops, "outbound_message_archive") == picture
    assert ops.statuses(stay) == ["FAILED", "FAILED", "SENT"]
    attempts = ops.execute("SELECT DISTINCT outbound_message_id FROM outbound_attempt ORDER BY 1")
    assert [number for (number,) in attempts] == stay
    assert ops.change("dlq", "archive", "--days", "5")["changed"] == 1
    assert ops.run("dlq", "archive", "--yes").out == "Nothing to do: no dead letters to change.\n"


def test_an_archive_is_undone_and_done_again_with_all_attempts(ops: Operator) -> None:
    ops.add(5, age="8 days")
    before = _everything(ops)
    number = ops.change("dlq", "archive")["operation"]
    after = _everything(ops)
    undone = ops.change("undo", number)
    assert undone["skipped"] == {}
    assert _everything(ops) == before
    redone = ops.change("undo", undone["operation"])
    assert redone["skipped"] == {}
    assert _everything(ops) == after
    assert ops.change("undo", redone["operation"])["skipped"] == {}
    assert _everything(ops) == before


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["--codes", "1"], {"code"}),
        (["--channel", "sms"], {"sms"}),
        (["--org", "other"], {"other"}),
        (["--limit", "1"], {"oldest"}),
    ],
)
def test_filters_choose(ops: Operator, options: list[str], chosen: set[str]) -> None:
    numbers = {
        "code": ops.add(1, code="1", age="9 days")[0],
        "sms": ops.add(1, channel="SMS", age="9 days")[0],
        "other": ops.add(1, org="other", age="9 days")[0],
        "oldest": ops.add(1, age="90 days")[0],
    }
    expected = {numbers[name] for name in chosen}
    ops.change("dlq", "archive", *options)
    assert set(_archived(ops)) == expected
    ops.change("dlq", "archive")
    dry = ops.run("dlq", "purge", "--days", "1", "--dry-run", "--json", *options).json()
    assert set(dry["keys"]) == expected


def test_what_was_retried_meanwhile_or_lies_there_already_is_left(
    ops: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    retried, twice, plain = ops.add(3, age="8 days")
    ops.execute(
        "INSERT INTO outbound_message_archive SELECT * FROM outbound_message WHERE id = %s", twice
    )

    def survey_and_meanwhile(*_arguments: object) -> list[int]:
        ops.execute("UPDATE outbound_message SET status = 'QUEUED' WHERE id = %s", retried)
        return [retried, twice, plain]

    monkeypatch.setattr("operations.archiving.choose_leftovers", survey_and_meanwhile)
    done = ops.change("dlq", "archive")
    assert (done["changed"], done["skipped"]) == (1, {"already_in_archive": 1, "moved_on": 1})
    assert _archived(ops) == [twice, plain]
    assert ops.statuses([retried, twice]) == ["QUEUED", "FAILED"]


def test_dead_letters_that_come_back_are_no_new_failures(ops: Operator) -> None:
    ops.add(3, age="8 days")
    ops.change("undo", ops.change("dlq", "archive")["operation"])
    finished = "SELECT COALESCE(sum(events), 0) FROM outbound_event WHERE kind = 'finished'"
    assert ops.ask(finished) == 0
    dead = "SELECT sum(messages) FROM outbound_state WHERE status = 'FAILED' AND detail = '131016'"
    assert ops.ask(dead) == 3


def test_a_killed_archive_has_moved_whole_batches(ops: Operator) -> None:
    numbers = ops.add(40, age="8 days")
    before = _everything(ops)
    killed = kill_midway(ops, "dlq", "archive", "--per-second", "4", least=4)
    assert killed % 4 == 0
    assert 0 < killed < 40
    assert _archived(ops) == numbers[:killed]
    assert len(_rows(ops, "outbound_message")) == 40 - killed
    rest = ops.change("dlq", "archive")
    assert rest["changed"] == 40 - killed
    assert _archived(ops) == numbers
    for number in (rest["operation"], rest["operation"] - 1):
        ops.change("undo", number)
    assert _everything(ops) == before


def test_an_undo_that_is_killed_loses_no_message(ops: Operator) -> None:
    numbers = ops.add(20, age="8 days")
    before = _everything(ops)
    number = ops.change("dlq", "archive")["operation"]
    undo = ["undo", str(number), "--batch", "1", "--yes"]
    with psycopg.connect(ops.database) as other:
        # It gets as far as the first row of the archive, which is the last thing that it does.
        other.execute("SELECT FROM outbound_message_archive WHERE id = %s FOR UPDATE", numbers[:1])
        with start_ops(ops, *undo) as process:
            _, err = process.communicate(timeout=60)
        assert b"Another session holds these rows" in err
    assert _rows(ops, "outbound_message") == before["outbound_message"]
    assert _archived(ops) == numbers
    ops.change("undo", number)
    assert _everything(ops) == before


def test_a_purge_takes_old_rows_of_the_archive_and_is_undone(ops: Operator) -> None:
    ops.add(3, age="31 days")
    ops.add(2, age="29 days")
    ops.change("dlq", "archive")
    before = _everything(ops)
    dry = ops.run("dlq", "purge", "--dry-run", "--json").json()
    check_printed("survey", dry)
    assert (dry["rows"], len(dry["warnings"])) == (3, 1)
    done = ops.change("dlq", "purge")
    assert done["changed"] == 3
    assert len(_archived(ops)) == 2
    assert ops.run("dlq", "purge", "--yes").out.startswith("Nothing to do")
    ops.change("undo", done["operation"])
    assert _everything(ops) == before


def test_dead_letters_come_back_from_the_archive_even_after_a_purge(ops: Operator) -> None:
    ops.add(3, age="31 days")
    before = _everything(ops)
    archived = ops.change("dlq", "archive")["operation"]
    purged = ops.change("dlq", "purge")["operation"]
    assert ops.change("undo", archived)["skipped"] == {"changed_since": 3}  # archive rows are gone
    assert _everything(ops) == before
    # A message that stands in the outbox again has no place in the archive.
    assert ops.change("undo", purged)["skipped"] == {"another_in_its_place": 3}
    assert _everything(ops) == before
    assert ops.change("dlq", "archive")["changed"] == 3


def test_a_purge_writes_rows_to_a_file_from_which_they_can_be_copied_back(
    ops: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "purged.csv"
    ops.add(5, age="31 days")
    ops.execute("UPDATE outbound_message SET error_message = E'a\\nb', payload_json = '{\"a\": 1}'")
    ops.change("dlq", "archive")
    before = _rows(ops, "outbound_message_archive")
    dry = ops.run("dlq", "purge", "--to", file, "--dry-run").out
    assert f"5 archived messages to be written to {file}, then to be deleted" in " ".join(
        dry.split()
    )
    assert not file.exists()
    assert ops.change("dlq", "purge", "--to", file, "--batch", "2")["changed"] == 5
    assert _archived(ops) == []
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with psycopg.connect(ops.database) as connection, connection.cursor() as cursor:
        statement = "COPY outbound_message_archive FROM STDIN WITH (FORMAT csv, HEADER)"
        with cursor.copy(statement) as copy:
            copy.write(file.read_bytes())
    assert _rows(ops, "outbound_message_archive") == before
    refused = ops.run("dlq", "purge", "--to", file, "--yes")
    assert (refused.code, "is there already" in refused.err) == (2, True)
    assert len(_archived(ops)) == 5


def test_nothing_is_purged_that_could_not_be_written(
    ops: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops.add(3, age="31 days")
    ops.change("dlq", "archive")

    for place in ("operations.files.keep_entry", "operations.exporting.os.fsync"):
        monkeypatch.setattr(place, Mock(side_effect=OSError(28, "No space left on device")))
        refused = ops.run("dlq", "purge", "--to", tmp_path / f"{place}.csv", "--yes")
        assert (refused.code, "No space left on device" in refused.err) == (2, True)
        monkeypatch.undo()
    assert len(_archived(ops)) == 3
    assert ops.run("log", "--json").json()[0]["state"] == "failed"


@pytest.mark.parametrize("failures", [1, 3])
def test_what_was_written_and_not_deleted_is_not_left_in_the_file(
    ops: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    numbers = ops.add(4, age="31 days")
    ops.change("dlq", "archive")
    calls: list[int] = []

    def note_or_fail(*arguments: Any) -> None:  # noqa: ANN401 - passed on
        calls.append(1)
        if 1 < len(calls) <= 1 + failures:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        note_progress(*arguments)

    monkeypatch.setattr("operations.change.note_progress", note_or_fail)
    file = tmp_path / "purged.csv"
    said = ops.run("dlq", "purge", "--to", file, "--batch", "2", "--yes")
    assert said.code == (0 if failures == 1 else 2)
    rows = csv.DictReader(file.read_text("utf-8").splitlines())
    gone = [number for number in numbers if number not in _archived(ops)]
    assert [int(row["id"]) for row in rows] == gone
    assert len(gone) == (4 if failures == 1 else 2)


def test_a_file_without_rows_is_not_left(
    ops: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops.add(1, age="31 days")
    ops.change("dlq", "archive")
    failing = Mock(side_effect=psycopg.errors.DeadlockDetected("deadlock detected"))
    monkeypatch.setattr("operations.change.note_progress", failing)
    assert ops.run("dlq", "purge", "--to", tmp_path / "purged.csv", "--yes").code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_killed_purge_has_on_the_disk_what_it_has_deleted(ops: Operator, tmp_path: Path) -> None:
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    numbers = ops.add(40, age="31 days")
    ops.change("dlq", "archive")
    purge = ["dlq", "purge", "--per-second", "4", "--to"]
    killed = kill_midway(ops, *purge, files[0], least=4)
    assert 0 < killed < 40
    assert len(_archived(ops)) == 40 - killed
    rest = ops.change("dlq", "purge", "--to", files[1])
    assert rest["changed"] == 40 - killed
    saved = [
        [int(row["id"]) for row in csv.DictReader(file.read_text("utf-8").splitlines())]
        for file in files
    ]
    # The batch that was under way may be in both files, and is deleted once.
    assert set(numbers[:killed]) <= set(saved[0])
    assert sorted(set(saved[0]) | set(saved[1])) == numbers
    assert saved[1] == numbers[killed:]
    for number in (rest["operation"], rest["operation"] - 1):
        ops.change("undo", number)
    assert _archived(ops) == numbers


def test_a_dlq_retry_is_the_retry_of_dead_letters(ops: Operator) -> None:
    cooled = ops.add(2, age="25 hours")
    fresh = ops.add(1, age="23 hours")
    before = ops.picture(cooled)
    dry = ops.run("dlq", "retry", "--dry-run", "--json").json()
    other = ops.run("retry", "--mode", "dlq", "--dry-run", "--json").json()
    assert dry | {"command": "retry"} == other
    done = ops.change("dlq", "retry")
    assert (done["changed"], done["updated_by"]) == (2, f"ops-{done['operation']}-dlq-retry-ana")
    assert ops.statuses(cooled + fresh) == ["QUEUED", "QUEUED", "FAILED"]
    ops.change("undo", done["operation"])
    assert ops.picture(cooled) == before
