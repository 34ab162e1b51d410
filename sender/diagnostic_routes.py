"""The routes of 000's diagnostics and of 001's dashboard."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.concurrency import run_in_threadpool

from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.admission import BEARER, OrgScope, read_optional_scope, read_scope
from sender.desk import Desk
from sender.diagnostics import (
    ErrorPatterns,
    OutboundHealth,
    RetryQueue,
    Sessions,
    read_error_patterns,
    read_health,
    read_retry_queue,
    read_sessions,
)
from sender.problems import declare
from sender.rehearsal import Rehearsal, RehearsalRequest, Rehearser
from sender.shapes import restore_plus

MOST_ROWS = 1000
LONGEST_HOURS = 7 * 24

Scope = Annotated[OrgScope, Depends(read_optional_scope)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows at most.")]
Hours = Annotated[int, Query(ge=1, le=LONGEST_HOURS, description="How far to look back.")]
Phone = Annotated[str | None, Query(alias="phoneNumber", max_length=40, pattern=r"^[+ ]?\d{1,20}$")]


def build_diagnostic_routes(desk: Desk, rehearser: Rehearser, policy: ErrorPolicy) -> APIRouter:
    """Build the routes; a request without `X-Org-Id` sees every organisation, as in 000."""
    router = APIRouter(
        prefix="/api/v2/diagnostics/whatsapp",
        tags=["diagnostics"],
        dependencies=[Depends(BEARER)],
        responses=declare(401, 413, 422, 503),
    )

    @router.get("/sessions")
    def list_sessions(
        scope: Scope,
        active: Annotated[
            bool | None, Query(description="Only open windows (true), only closed ones (false).")
        ] = None,
        limit: Limit = 100,
        phone: Phone = None,
    ) -> Sessions:
        """List 24-hour windows: whether one is open for a recipient, and for how long."""
        number = None if phone is None else restore_plus(phone)
        with desk.look() as connection:
            return read_sessions(
                connection, org_id=scope.org_id, phone=number, active=active, limit=limit
            )

    @router.get("/retry-queue")
    def list_retry_queue(scope: Scope, limit: Limit = 100) -> RetryQueue:
        """List what waits for another attempt: how many, until when, with what budget left."""
        with desk.look() as connection:
            return read_retry_queue(connection, org_id=scope.org_id, limit=limit)

    @router.post("/dry-run-send", responses=declare(400))
    async def rehearse_send(scope: Scope, request: RehearsalRequest) -> Rehearsal:
        """Tell whether a message would be sent now, by the sender's own checks; sends nothing."""
        # The breaker belongs to the event loop.
        state = rehearser.breaker()

        def rehearse() -> Rehearsal:
            with desk.look() as connection:
                return rehearser.rehearse(connection, request, org_id=scope.org_id, breaker=state)

        return await run_in_threadpool(rehearse)

    @router.get("/error-patterns")
    def list_error_patterns(scope: Scope, hours: Hours = 24) -> ErrorPatterns:
        """Count errors by code: whether many, of one organisation or all, and which templates."""
        with desk.look() as connection:
            return read_error_patterns(connection, org_id=scope.org_id, hours=hours, policy=policy)

    return router


def build_dashboard_routes(desk: Desk) -> APIRouter:
    """Build the routes of 001's dashboard."""
    router = APIRouter(
        prefix="/api/v1/dashboard",
        tags=["dashboard"],
        dependencies=[Depends(BEARER)],
        responses=declare(401, 413, 422, 503),
    )

    @router.get("/outbound/health")
    def tell_outbound_health(
        scope: Annotated[OrgScope, Depends(read_scope)], hours: Hours = 1
    ) -> OutboundHealth:
        """Tell each channel's success rate and latency over messages created in the period."""
        with desk.look() as connection:
            return read_health(connection, org_id=scope.org_id, hours=hours)

    return router
