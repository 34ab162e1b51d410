"""How the HTTP face writes JSON: camelCase names, and times in one of two forms."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from sender.storable import make_storable

LARGEST_ID = 2**53 - 1
"""The largest id that every reader of JSON holds exactly; a bigint would reach further."""

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_DEEPEST = 32
_RUNBOOK_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"


class Answer(BaseModel):
    """What we send: every field is there, with null for what is not known."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )


class Question(BaseModel):
    """What we are sent: an unknown field is a mistake, not noise."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid")


def show_examples(*examples: Mapping[str, JsonValue]) -> ConfigDict:
    """Give a model's configuration that shows examples in the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [dict(example) for example in examples]})


def _write_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_runbook_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


Moment = Annotated[
    datetime,
    PlainSerializer(_write_moment, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""A time as RFC 3339 wants it, in UTC with milliseconds."""

RunbookTime = Annotated[
    datetime,
    PlainSerializer(_write_runbook_time, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _RUNBOOK_TIME}, mode="serialization"),
]
"""A time as 000's examples have it: whole seconds without a zone. It is UTC."""


def _refuse_unstorable(value: str) -> str:
    if make_storable(value) != value:
        raise ValueError("holds NUL or half of a surrogate pair, which the database can't store")
    return value


def _refuse_odd_json(value: dict[str, object]) -> dict[str, object]:
    _walk(value, _DEEPEST)
    if make_storable(value) != value:
        raise ValueError("holds NUL or half of a surrogate pair, which the database can't store")
    return value


def _walk(value: object, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"is nested more than {_DEEPEST} levels deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that JSON does not have")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _walk(part, depth - 1)


def _refuse_numbers(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("is no text such as 2026-01-31T10:00:00Z")  # noqa: TRY004 - as pydantic asks
    return value


def _refuse_far(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("lies outside the years 2000 to 2099")
    return moment


ShortText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_refuse_unstorable)]
"""A name, code or address: 1 to 200 characters."""

LongText = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_refuse_unstorable)]
"""A line of text: 1 to 2,000 characters."""

JsonObject = Annotated[dict[str, object], AfterValidator(_refuse_odd_json)]
"""A JSON object that PostgreSQL takes."""

GivenMoment = Annotated[
    AwareDatetime, AfterValidator(_refuse_far), BeforeValidator(_refuse_numbers)
]
"""A time with its zone."""

Number = Annotated[int, Field(ge=1, le=LARGEST_ID, strict=True)]
"""The id of a row."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false, and nothing that might be taken for it."""


def restore_plus(number: str) -> str:
    """Put back the `+` of a telephone number that a query string turned into a blank."""
    return re.sub(r"^ (?=\d)", "+", number)
