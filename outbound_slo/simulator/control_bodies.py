"""Reading what the control interface is sent: a bad body is a 400 that names key and value."""

from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

_SHOWN_PROBLEMS = 3
_FAULT_KINDS = frozenset({"error", "latency", "timeout", "drop", "html"})

ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_body(request: web.Request, model: type[ModelT]) -> ModelT:
    """Read and check a body.

    Raises:
        web.HTTPBadRequest: It does not fit; the answer says where.

    """
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        problems = [
            _describe_problem(problem["loc"], problem["msg"], problem["input"])
            for problem in error.errors(include_url=False)
        ]
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    raise build_refusal(shown, "See docs/simulator.md for the keys and their ranges.")


def build_refusal(what: str, mend: str) -> web.HTTPBadRequest:
    """Build a 400 that says what is wrong and what to do."""
    body = web.json_response({"error": what, "mend": mend})
    return web.HTTPBadRequest(text=body.text, content_type="application/json")


def _describe_problem(place: tuple[int | str, ...], message: str, value: object) -> str:
    """Write one problem as `faults[0].rate: … (got 1.5)`."""
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _FAULT_KINDS:
            path += f".{part}" if path else part
    given = f" (got {value!r})" if isinstance(value, str | int | float) else ""
    return f"{path or 'body'}: {message}{given}"
