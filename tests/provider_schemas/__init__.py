"""The providers' wire formats as JSON Schemas, from their documentation (September 2026)."""

import json
from functools import cache
from importlib.resources import files

from jsonschema import Draft202012Validator


def check_shape(name: str, body: object) -> None:
    """Compare a decoded body with a schema; the error names the place that differs."""
    _load_shape(name).validate(body)


@cache
def _load_shape(name: str) -> Draft202012Validator:
    schema = json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)
