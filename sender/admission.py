"""Who may ask the HTTP face, how much, and for which organisation.

Everything below `/api/` needs the admin token. The gate stands before routing and before any body
is read, so that a route can't forget it.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Header
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sender.problems import ProblemError

GUARDED = "/api/"
"""Beginning of the paths that need the token."""

BODY_LIMIT = 256 * 1024
"""Bytes of a body below `/api/`: a long e-mail fits."""

SYSTEM_ADMIN = "system-admin"
"""The `X-Org-Id` of 001 that stands for all organisations."""

BEARER = HTTPBearer(scheme_name="adminToken", description="OUTBOUND_ADMIN_TOKEN.", auto_error=False)
"""For the OpenAPI document; the gate does the work."""


class AdminTokens:
    """The tokens that are accepted: one, or two during a rotation."""

    def __init__(self, tokens: Sequence[str]) -> None:
        """Keep digests, which have one length; empty tokens are none."""
        self._digests = [_digest(token) for token in tokens if token]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, given: str) -> bool:
        """Compare in constant time, with each token whatever the others gave."""
        asked = _digest(given)
        return sum(hmac.compare_digest(asked, known) for known in self._digests) > 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Gate:
    """ASGI middleware: the admin token and the size of bodies."""

    def __init__(self, app: ASGIApp, tokens: AdminTokens) -> None:
        """Stand before `app`."""
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_token(headers.get("authorization", ""))
            body = await _read_body(headers, receive)
        except ProblemError as problem:
            await problem.answer()(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _check_token(self, authorization: str) -> None:
        if not self._tokens:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "/api/ is closed: OUTBOUND_ADMIN_TOKEN is not set. Set it and restart the sender",
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._tokens.accept(token.strip()):
            return
        challenge = 'Bearer realm="outbound-slo"'
        if authorization:
            challenge += ', error="invalid_token"'
        raise ProblemError(
            HTTPStatus.UNAUTHORIZED,
            "Send the header 'Authorization: Bearer …' with the admin token",
            headers={"WWW-Authenticate": challenge},
        )


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > BODY_LIMIT:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(chunks)
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large() -> ProblemError:
    # The rest is not read: the connection has to go.
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {BODY_LIMIT} bytes",
        headers={"Connection": "close"},
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then what comes after it."""
    given = False

    async def repeat() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return repeat


@dataclass(frozen=True, slots=True)
class OrgScope:
    """Whose messages a request may see; `org_id` is None where it may see all."""

    org_id: str | None


_ORG_ID = r"^[!-~]{1,200}$"
_OrgHeader = Header(
    alias="X-Org-Id",
    pattern=_ORG_ID,
    description=f"The organisation; `{SYSTEM_ADMIN}` for all.",
    examples=["org-abc-123"],
)


def read_scope(x_org_id: Annotated[str, _OrgHeader]) -> OrgScope:
    """Read a header that has to be there."""
    return OrgScope(None if x_org_id == SYSTEM_ADMIN else x_org_id)


def read_optional_scope(x_org_id: Annotated[str | None, _OrgHeader] = None) -> OrgScope:
    """Read a header that 000's curl lines leave out: without it a request sees all."""
    return OrgScope(None if x_org_id == SYSTEM_ADMIN else x_org_id)
