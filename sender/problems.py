"""Refusals of the HTTP face, all in one shape: the problem details of RFC 9457."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from outbound_slo.vocabulary.mistakes import UserMistake
from sender.faults import is_passing

_log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""Seconds after which a caller may ask again while the database does not answer."""

_FAULT_OF_OURS = 500


class FieldFault(BaseModel):
    """What is wrong with one part of a request; `field` is its name there."""

    field: str
    message: str


class Problem(BaseModel):
    """Why a request was refused, and what to do about it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldFault] | None = None


class ProblemError(Exception):
    """A refusal that the caller gets to read.

    Args:
        status: HTTP status.
        detail: What is wrong and what mends it, in a sentence or two.
        errors: The fields at fault.
        headers: Headers of the answer.

    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[FieldFault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what `answer` needs."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def answer(self) -> Response:
        """Make the answer."""
        return write_problem(self.status, self.detail, self.errors, self.headers)


def write_problem(
    status: int,
    detail: str,
    errors: Sequence[FieldFault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make an answer that refuses."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors) or None
    )
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status, dict(headers or {}), MEDIA_TYPE)


_DESCRIPTIONS = {
    400: "The body is no JSON, or a parameter can't be read.",
    401: "No admin token, or not the right one.",
    403: "The verify token is not ours.",
    404: "There is no such thing, or it belongs to another organisation.",
    409: "It stands against the state of the message.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "A field or parameter does not fit; `errors` names it.",
    500: "A fault of ours; the log has it.",
    503: "The database does not answer or is too slow, or a setting is missing.",
}


def declare(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare refusals of a route for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def add_handlers(app: FastAPI) -> None:
    """Answer every fault of a request with a problem."""
    for kind, tell in _HANDLERS.items():
        app.add_exception_handler(kind, tell)


async def answer_fault(request: Request, fault: Exception) -> Response:
    """Make the answer to a fault where no framework stands between."""
    tell = next(_HANDLERS[kind] for kind in type(fault).__mro__ if kind in _HANDLERS)
    return await tell(request, fault)


async def _tell_refusal(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, ProblemError)  # noqa: S101 - registered for this class alone
    return fault.answer()


async def _tell_http(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)  # noqa: S101 - registered for this class alone
    return write_problem(fault.status_code, str(fault.detail), headers=fault.headers)


async def _tell_misfit(_request: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)  # noqa: S101 - registered for this class alone
    errors = [_name_fault(error) for error in fault.errors()]
    unreadable = any(error["type"] == "json_invalid" for error in fault.errors())
    status = HTTPStatus.BAD_REQUEST if unreadable else HTTPStatus.UNPROCESSABLE_ENTITY
    shown = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return write_problem(status, shown, errors)


def _name_fault(error: Mapping[str, Any]) -> FieldFault:
    """Name the field; what was given is left out, since it may be a secret."""
    if error["type"] == "json_invalid":
        return FieldFault(field="body", message="is no JSON")
    place = [str(part) for part in error["loc"]]
    named = place[1:] if len(place) > 1 else place
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "There is no such field"
    return FieldFault(field=".".join(named), message=message)


async def _tell_mistake(_request: Request, fault: Exception) -> Response:
    return write_problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(fault))


async def _tell_database(request: Request, fault: Exception) -> Response:
    """Let the caller come again: providers repeat what was answered with 5xx, for days."""
    path = request.url.path
    _log.warning("request not served", path=path, error=type(fault).__name__)
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(fault, psycopg.errors.QueryCanceled):
        detail = (
            "The database took too long. Ask for fewer hours, a lower limit or one organisation"
        )
    elif isinstance(fault, psycopg.errors.LockNotAvailable):
        detail = "Another transaction holds what this one needs. Ask again"
    elif isinstance(fault, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        detail = "The database lacks a migration. Run 'outbound-slo db migrate'"
    elif isinstance(fault, psycopg.Error) and is_passing(fault):
        detail = "The database does not answer. Ask again"
    else:
        return write_problem(_FAULT_OF_OURS, "A fault of ours; the log has it")
    return write_problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)


async def _tell_crash(request: Request, fault: Exception) -> Response:
    _log.error("request crashed", path=request.url.path, error=type(fault).__name__)
    return write_problem(_FAULT_OF_OURS, "A fault of ours; the log has it")


_HANDLERS: Mapping[type, Callable[[Request, Exception], Awaitable[Response]]] = {
    ProblemError: _tell_refusal,
    HTTPException: _tell_http,
    RequestValidationError: _tell_misfit,
    UserMistake: _tell_mistake,
    psycopg.Error: _tell_database,
    Exception: _tell_crash,
}
