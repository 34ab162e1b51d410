"""Who the spans come from: OpenTelemetry's resource attributes of this process."""

import importlib.metadata
import uuid
from collections.abc import Mapping
from urllib.parse import unquote

_SDK = "outbound-slo"


def describe_service(
    service_name: str, further: Mapping[str, str], from_environment: str = ""
) -> dict[str, str]:
    """Give the resource attributes of a service.

    Args:
        service_name: `service.name`, what Jaeger lists as the service.
        further: Attributes that this program knows; they go before the environment's.
        from_environment: `OTEL_RESOURCE_ATTRIBUTES`: `key=value` pairs with commas between them,
            special characters as `%2C`. A pair without a key or a `=` is passed over.

    """
    attributes = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": _SDK,
        "telemetry.sdk.version": importlib.metadata.version(_SDK),
        "service.instance.id": str(uuid.uuid4()),
    }
    for pair in from_environment.split(","):
        key, equals, value = pair.partition("=")
        if key.strip() and equals:
            attributes[key.strip()] = unquote(value.strip().strip('"'))
    return {**attributes, **further, "service.name": service_name}
