"""Reads docker-compose.yml as Compose would: merged, with variables filled in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
EXAMPLE_FILE = ROOT / "deploy/env.example"

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<word>[^}]*))?\}")


def read_example(text: str, *, offered: bool = False) -> dict[str, str]:
    """Read an env file; `offered` reads the settings that are commented out as well."""
    lines = [line.removeprefix("#") if offered else line for line in text.splitlines()]
    pairs = [re.fullmatch(r"([A-Z]\w+)=(.*)", line) for line in lines]
    return {pair[1]: pair[2] for pair in pairs if pair}


def fill(text: str, environment: Mapping[str, str]) -> str:
    """Fill `${NAME}`, `${NAME:-default}` and `${NAME:?message}`; `$$` is a dollar sign."""

    def value_of(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        value = environment.get(found["name"], "")
        if not value and found["kind"] == "?":
            raise KeyError(f"{found['name']}: {found['word']}")
        return value or (found["word"] if found["kind"] == "-" else "")

    return _VARIABLE.sub(value_of, text)


def fill_all(document: Any, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML is anything
    """Fill the variables of every text in a document."""
    if isinstance(document, dict):
        return {name: fill_all(value, environment) for name, value in document.items()}
    if isinstance(document, list):
        return [fill_all(value, environment) for value in document]
    return fill(document, environment) if isinstance(document, str) else document


def read_compose() -> dict[str, Any]:
    """Read the file with YAML's anchors merged and variables as they are written."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    return document


def read_filled_compose() -> dict[str, Any]:
    """Read the file as somebody gets it who copied deploy/env.example to .env."""
    environment = read_example(EXAMPLE_FILE.read_text(encoding="utf-8"))
    filled: dict[str, Any] = fill_all(read_compose(), environment)
    return filled


def named_variables(text: str) -> set[str]:
    """Name every variable that a compose file's text uses."""
    return {found["name"] for found in _VARIABLE.finditer(text) if found["name"]}


def required_variables(text: str) -> set[str]:
    """Name the variables without which Compose refuses to start."""
    return {found["name"] for found in _VARIABLE.finditer(text) if found["kind"] == "?"}
