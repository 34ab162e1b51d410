"""The forms of what `outbound-slo ops … --json` prints, as JSON Schemas: one per kind of answer."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

HERE = Path(__file__).parent


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def check_printed(name: str, printed: Any) -> None:  # noqa: ANN401 - parsed JSON
    """Hold what a command printed against a schema, for example `outcome`.

    Raises:
        AssertionError: It differs; the first difference is named.

    """
    faults = sorted(_validator(name).iter_errors(printed), key=lambda fault: list(fault.path))
    assert not faults, f"{name}: {faults[0].json_path}: {faults[0].message}"
