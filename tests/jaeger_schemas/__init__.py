"""The forms of Jaeger's answers as JSON Schemas: both query APIs, read from Jaeger's own source.

Nothing more is allowed than there is in Jaeger, but for the two times of a trace that runbook 000
reads and `v1_traces.json` marks.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check_answer(name: str, answer: Any) -> None:  # noqa: ANN401 - parsed JSON
    """Hold an answer against a schema, for example `v1_traces`.

    Raises:
        AssertionError: It differs; the first difference is named.

    """
    faults = sorted(_validator(name).iter_errors(answer), key=lambda fault: list(fault.path))
    assert not faults, f"{name}: {faults[0].json_path}: {faults[0].message}"
