"""The extractor of the runbooks' SQL: finds what is there, refuses what it does not know."""

from pathlib import Path

import pytest

from tests.runbooks.bench import fill_in
from tests.runbooks.extraction import (
    Origin,
    Statement,
    extract_scripts,
    extract_statements,
    extract_table_lists,
)
from tests.runbooks.faults import Fault
from tests.runbooks.page import PAGE, refresh
from tests.runbooks.source import read_runbooks
from tests.runbooks.splitting import split_statements

RUNBOOK = """\
Text with an inline `SELECT 1 FROM inline_code;` in it.

```sql
-- a; comment
SELECT 'a;b' -- inner; comment
  FROM block;  -- trailing; comment
DELETE FROM block /* also; */ WHERE true;
```

   ```sql
   UPDATE indented SET x = 1;
   ```

```sql
-- The tables
outbound_message   -- the queue
outbound_attempt   -- its history
```

```bash
#!/bin/bash
# do-it.sh
psql -h host -c "
SELECT 1 FROM command;"
psql -h host -t <<'SQL' >> "$FILE"
SELECT 1 FROM heredoc;
SELECT 2 FROM heredoc;
SQL
watch -n 5 "psql -c \\"
SELECT 1 FROM watched\\""
QUERY="
SELECT 1 FROM variable LIMIT $LIMIT;
"
psql -c "$QUERY"
cat <<EOF
SELECT this is only shown
EOF
```

```
│ left  │ │ SELECT * FROM boxed │
│ right │ │ WHERE id = 1;       │
```
"""


def _statement(text: str) -> Statement:
    return Statement("000", 1, 1, 1, Origin.SQL_BLOCK, text)


def test_every_place_with_sql_is_found_in_the_order_of_the_text() -> None:
    found = [
        (each.line, each.last_line, each.origin, " ".join(each.text.split()))
        for each in extract_statements("000", RUNBOOK)
    ]
    assert found == [
        (1, 1, Origin.PROSE, "SELECT 1 FROM inline_code"),
        (5, 6, Origin.SQL_BLOCK, "SELECT 'a;b' -- inner; comment FROM block"),
        (7, 7, Origin.SQL_BLOCK, "DELETE FROM block /* also; */ WHERE true"),
        (11, 11, Origin.SQL_BLOCK, "UPDATE indented SET x = 1"),
        (24, 24, Origin.COMMAND, "SELECT 1 FROM command"),
        (26, 26, Origin.HEREDOC, "SELECT 1 FROM heredoc"),
        (27, 27, Origin.HEREDOC, "SELECT 2 FROM heredoc"),
        (30, 30, Origin.COMMAND, "SELECT 1 FROM watched"),
        (32, 32, Origin.VARIABLE, "SELECT 1 FROM variable LIMIT $LIMIT"),
        (41, 42, Origin.PROSE, "SELECT * FROM boxed WHERE id = 1"),
    ]


def test_statements_of_one_block_share_the_blocks_line() -> None:
    blocks = [each.block for each in extract_statements("000", RUNBOOK)]
    assert blocks == [1, 3, 3, 10, 23, 25, 25, 29, 31, 40]


def test_a_list_of_tables_is_told_from_statements() -> None:
    [tables] = extract_table_lists("000", RUNBOOK)
    assert tables.names == ("outbound_message", "outbound_attempt")


def test_a_script_is_known_by_the_name_in_its_second_line() -> None:
    [script] = extract_scripts("000", RUNBOOK)
    assert (script.name, script.line) == ("do-it.sh", 20)
    assert script.text.startswith("#!/bin/bash\n")


def test_an_sql_block_that_begins_with_no_known_verb_is_refused() -> None:
    with pytest.raises(ValueError, match="000:2: GRANT begins no statement"):
        extract_statements("000", "```sql\nGRANT ALL ON x TO y;\n```\n")


def test_a_statement_without_a_semicolon_at_the_end_is_not_lost() -> None:
    assert [piece.text for piece in split_statements("SELECT 1; SELECT 'it''s;'")] == [
        "SELECT 1",
        "SELECT 'it''s;'",
    ]


def test_shell_variables_and_server_files_get_values() -> None:
    statement = _statement("COPY x TO '/tmp/${ARCHIVE_FILE}'; SELECT 1 LIMIT $LIMIT")
    filled = fill_in(statement, Path("/scratch"))
    assert filled == b"COPY x TO '/scratch/dlq_archive.csv'; SELECT 1 LIMIT 100"


def test_a_shell_variable_without_a_value_is_refused() -> None:
    with pytest.raises(KeyError, match="UNHEARD_OF"):
        fill_in(_statement("SELECT $UNHEARD_OF"), Path("/scratch"))


def test_a_correction_of_words_that_are_not_there_is_refused() -> None:
    fault = Fault("001:1", "reason", "symptom", "cure", (("wrong", "right"),))
    assert fault.correct("a wrong b") == "a right b"
    with pytest.raises(ValueError, match="001:1 has no 'wrong'"):
        fault.correct("nothing")


def test_a_directory_without_one_of_the_runbooks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "000_a.txt").write_text("text", "utf-8")
    with pytest.raises(FileNotFoundError, match="0 runbooks 001"):
        read_runbooks(tmp_path)


def test_the_tables_of_the_page_on_compatibility_are_those_of_the_tests() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count("<!-- generated: ") == 12
    assert page == refresh(page), "run python -m tests.runbooks.page"


def test_a_mark_for_a_table_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError, match="no-such"):
        refresh("<!-- generated: no-such -->\n<!-- end -->\n")
