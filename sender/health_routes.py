"""The routes that machines ask: health, readiness and metrics (000's actuator among them)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from sender.actuator import MetricNames, MetricReading, list_names, read_metric
from sender.metrics import SenderMetrics
from sender.problems import ProblemError, declare

_PAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus's text format.",
        "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Probes:
    """What the health endpoints ask."""

    database_answers: Callable[[], Awaitable[bool]]
    worker_runs: Callable[[], bool]
    refresh_metrics: Callable[[], None]


class Part(BaseModel):
    """Whether a part works."""

    status: Literal["UP", "DOWN"]


class Health(BaseModel):
    """Whether the process can send, and its parts."""

    status: Literal["UP", "DOWN"]
    components: dict[str, Part]


def build_health_routes(metrics: SenderMetrics, probes: Probes) -> APIRouter:
    """Build the routes; they need no token."""
    router = APIRouter(tags=["health"])
    _add_health(router, probes)
    _add_metrics(router, metrics, probes)
    return router


def _add_health(router: APIRouter, probes: Probes) -> None:
    async def tell_ready(response: Response) -> Health:
        """Tell whether the database answers and the worker runs; 503 where one does not."""
        parts = {
            "db": _tell(works=await probes.database_answers()),
            "outboundWorker": _tell(works=probes.worker_runs()),
        }
        ready = all(part.status == "UP" for part in parts.values())
        if not ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Health(status="UP" if ready else "DOWN", components=parts)

    @router.get("/healthz")
    async def tell_alive() -> Part:
        """Tell that the process runs."""
        return Part(status="UP")

    down: dict[int | str, dict[str, Any]] = {
        503: {"model": Health, "description": "A part does not work."}
    }
    router.add_api_route("/readyz", tell_ready, operation_id="tell_ready", responses=down)
    router.add_api_route(
        "/actuator/health", tell_ready, operation_id="tell_actuator_health", responses=down
    )


def _tell(*, works: bool) -> Part:
    return Part(status="UP" if works else "DOWN")


def _add_metrics(router: APIRouter, metrics: SenderMetrics, probes: Probes) -> None:
    async def show_metrics() -> Response:
        """Show what the process counts about itself."""
        probes.refresh_metrics()
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    for path, name in (
        ("/metrics", "show_metrics"),
        ("/actuator/prometheus", "show_actuator_prometheus"),
    ):
        router.add_api_route(
            path,
            show_metrics,
            operation_id=name,
            response_class=Response,
            responses=_PAGE,
        )

    @router.get("/actuator/metrics")
    async def list_metrics() -> MetricNames:
        """List the metrics by the names that Spring would give them."""
        return list_names(metrics.registry)

    @router.get("/actuator/metrics/{name}", responses=declare(404, 422))
    async def show_metric(
        name: Annotated[str, Path(max_length=200)],
        tag: Annotated[
            list[Annotated[str, Field(pattern=r"^[^:]+:")]] | None,
            Query(description="`name:value`; only the series that have it.", max_length=20),
        ] = None,
    ) -> MetricReading:
        """Show one metric, as `resilience4j.circuitbreaker.state`."""
        probes.refresh_metrics()
        reading = read_metric(metrics.registry, name, [_split(one) for one in tag or []])
        if reading is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"There is no metric {name!r} with these tags. /actuator/metrics lists the names",
            )
        return reading


def _split(tag: str) -> tuple[str, str]:
    key, _, value = tag.partition(":")
    return key, value
