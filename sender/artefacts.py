"""docs/openapi.json: what the HTTP face answers, made from the routes themselves."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.admission import AdminTokens
from sender.api import Counter, build_api
from sender.desk import Desk
from sender.health_routes import Probes
from sender.message_routes import MessageRules
from sender.metrics import SenderMetrics
from sender.quiet_hours import NO_DEFAULT
from sender.rehearsal import Rehearser
from tracing.setup import start_tracing

PATH = "docs/openapi.json"


def build_openapi_page() -> Mapping[str, str]:
    """Build the document; nothing is connected, since no route is asked."""
    # Webhook routes keep these for later and touch them at a request only.
    absent = cast("Any", None)
    counter = Counter(
        desk=Desk(""),
        tokens=AdminTokens([]),
        tracing=start_tracing(),
        rules=MessageRules(ErrorPolicy.RUNBOOK, 600.0, 60.0),
        rehearser=Rehearser(
            has_provider=False,
            quiet=NO_DEFAULT,
            breaker=lambda: None,
            clock=lambda: datetime.now(UTC),
        ),
    )
    probes = Probes(absent, absent, absent)
    document = build_api(absent, absent, SenderMetrics(), probes, counter).openapi()
    return {PATH: json.dumps(document, indent=2, ensure_ascii=False) + "\n"}
