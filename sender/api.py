"""The HTTP face: what people, programs, providers and monitoring ask of a sender process."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from sender.admission import AdminTokens, Gate
from sender.desk import Desk
from sender.diagnostic_routes import build_dashboard_routes, build_diagnostic_routes
from sender.health_routes import Probes, build_health_routes
from sender.inbox import Inbox
from sender.message_routes import MessageRules, build_message_routes
from sender.metrics import SenderMetrics
from sender.problems import Problem, add_handlers, answer_fault, write_problem
from sender.rehearsal import Rehearser
from sender.webhook_routes import Receiver, WebhookSecrets, add_webhook_routes
from tracing.setup import Tracing

_DESCRIPTION = """Queue messages, ask about them, and send them again.

Everything below `/api/` needs the admin token. Refusals are problem details (RFC 9457)."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What the routes below `/api/` work with."""

    desk: Desk
    tokens: AdminTokens
    tracing: Tracing
    rules: MessageRules
    rehearser: Rehearser


class SenderApi(FastAPI):
    """The application, with a document that shows problems as what they are.

    Attributes:
        receivers: What takes the providers' POSTs, by path. They come two for every message sent,
            so they go past middleware and routing, which cost three times what storing them does.

    """

    receivers: Mapping[str, Receiver]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        posted = scope["type"] == "http" and scope["method"] == "POST"
        receiver = self.receivers.get(scope["path"]) if posted else None
        if receiver is None:
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await receiver(request)
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - each is answered, as the middleware would
            response = await answer_fault(request, fault)
        await response(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Give the OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            template = "#/components/schemas/{model}"
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schema = Problem.model_json_schema(ref_template=template)
            schemas |= schema.pop("$defs", {})
            schemas["Problem"] = schema
            document["components"]["schemas"] = dict(sorted(schemas.items()))
        return super().openapi()

    def list_methods(self, path: str) -> list[str]:
        """List the methods that a path takes, over all of its routes."""
        found: set[str] = set()
        for template, operations in self.openapi()["paths"].items():
            if compile_path(template)[0].match(path):
                found.update(method.upper() for method in operations)
        return sorted(found)


def build_api(
    inbox: Inbox,
    secrets: WebhookSecrets,
    metrics: SenderMetrics,
    probes: Probes,
    counter: Counter,
) -> FastAPI:
    """Build the application."""
    app = SenderApi(
        title="outbound-slo sender",
        version="1",
        description=_DESCRIPTION,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
    )
    add_handlers(app)

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def tell_methods(request: Request, _fault: Exception) -> Response:
        """Name all methods: the framework knows those of one route only."""
        allowed = ", ".join(app.list_methods(request.url.path)) or "GET"
        detail = f"The path takes {allowed}"
        return write_problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed})

    policy = counter.rules.policy
    app.include_router(build_message_routes(counter.desk, counter.tracing, counter.rules))
    app.include_router(build_diagnostic_routes(counter.desk, counter.rehearser, policy))
    app.include_router(build_dashboard_routes(counter.desk))
    app.include_router(build_health_routes(metrics, probes))
    app.receivers = add_webhook_routes(app, inbox, secrets, metrics)
    app.add_middleware(Gate, tokens=counter.tokens)
    return app
