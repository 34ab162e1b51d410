"""The HTTP face: webhooks, health and metrics."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from sender.inbox import Inbox
from sender.metrics import SenderMetrics
from sender.webhook_routes import WebhookSecrets, add_webhook_routes

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Probes:
    """What the health endpoints ask."""

    database_answers: Callable[[], Awaitable[bool]]
    worker_runs: Callable[[], bool]
    refresh_metrics: Callable[[], None]


def build_api(
    inbox: Inbox, secrets: WebhookSecrets, metrics: SenderMetrics, probes: Probes
) -> FastAPI:
    """Build the application."""
    app = FastAPI(title="outbound-slo sender", docs_url=None, redoc_url=None)
    app.add_exception_handler(psycopg.Error, _tell_outage)
    _add_health(app, metrics, probes)
    add_webhook_routes(app, inbox, secrets, metrics)
    return app


async def _tell_outage(_request: Request, fault: Exception) -> Response:
    """Let the provider come again: it repeats what was answered with 5xx, for days."""
    _log.warning("webhook not stored", error=type(fault).__name__)
    return PlainTextResponse("The database does not answer", status_code=503)


def _add_health(app: FastAPI, metrics: SenderMetrics, probes: Probes) -> None:
    @app.get("/healthz")
    async def tell_alive() -> dict[str, str]:
        """Tell that the process runs."""
        return {"status": "UP"}

    @app.get("/readyz")
    @app.get("/actuator/health")
    async def tell_ready() -> Response:
        """Tell whether the database answers and the worker runs (000's actuator)."""
        database = await probes.database_answers()
        worker = probes.worker_runs()
        ready = database and worker
        body = {
            "status": "UP" if ready else "DOWN",
            "components": {
                "db": {"status": "UP" if database else "DOWN"},
                "outboundWorker": {"status": "UP" if worker else "DOWN"},
            },
        }
        return Response(
            json.dumps(body), status_code=200 if ready else 503, media_type="application/json"
        )

    @app.get("/metrics")
    @app.get("/actuator/prometheus")
    async def show_metrics() -> Response:
        """Show what the process counts about itself."""
        probes.refresh_metrics()
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)
