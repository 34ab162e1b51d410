"""References to secrets are followed late, and their mistakes never show a secret."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.references import check_references, follow_references
from outbound_slo.vocabulary.mistakes import UserMistake


def follow(text: str, **environment: str) -> str:
    assert check_references(text) is None
    return follow_references(text, "databases.a.url", environment)


def test_variables_and_files_are_put_in(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("pa$${ss}\n")

    text = follow(f"postgresql://${{USER}}:${{file:{secret}}}@${{HOST_1}}/x", USER="me", HOST_1="h")

    assert text == "postgresql://me:pa$${ss}@h/x"


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old")
    assert follow(f"${{file:{secret}}}") == "old"

    secret.write_text("new")

    assert follow(f"${{file:{secret}}}") == "new"


@given(st.text())
def test_doubled_dollar_signs_stand_for_themselves(text: str) -> None:
    assert follow(text.replace("$", "$$")) == text


@pytest.mark.parametrize("text", ["$", "a$b", "${}", "${1A}", "${A-B}", "${file:}", "${A", "$$$"])
def test_a_malformed_reference_is_told(text: str) -> None:
    assert check_references(text) is not None


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(UserMistake, match=r"databases.a.url refers to \$\{PG\}.*Set PG"):
        follow("${PG}", pg="secret")


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="no such file"):
        follow(f"${{file:{tmp_path}/none}}")

    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UserMistake, match="no text"):
        follow(f"${{file:{tmp_path}/binary}}")
