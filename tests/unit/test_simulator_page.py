"""The documentation names what can be set and called."""

from pathlib import Path

import pytest
from aiohttp import web
from pydantic import BaseModel

from outbound_slo.simulator.control import list_routes
from outbound_slo.simulator.faults import (
    DropFault,
    ErrorFault,
    HtmlFault,
    LatencyFault,
    TimeoutFault,
)
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.limits import Limits
from outbound_slo.simulator.meta_notices import NoticeField, NoticeOrder
from outbound_slo.simulator.occasions import (
    ForgeryOrder,
    InboundOrder,
    InboundSmsOrder,
    MailEventOrder,
)

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "model",
    [
        Behaviour,
        ErrorFault,
        LatencyFault,
        TimeoutFault,
        DropFault,
        HtmlFault,
        Limits,
        InboundOrder,
        InboundSmsOrder,
        MailEventOrder,
        NoticeOrder,
        ForgeryOrder,
    ],
)
def test_every_key_of_a_body_is_on_the_page(model: type[BaseModel]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert {key for key in keys if f"`{key}`" not in PAGE and f'"{key}"' not in PAGE} == set()


@pytest.mark.parametrize("route", list_routes(), ids=lambda route: f"{route.method} {route.path}")
def test_every_control_call_is_on_the_page(route: web.RouteDef) -> None:
    rows = [line for line in PAGE.splitlines() if f"{route.path}`" in line]
    assert any(route.method in row for row in rows)


def test_every_field_of_a_notice_is_on_the_page() -> None:
    assert [each.value for each in NoticeField if f"`{each.value}`" not in PAGE] == []


def test_every_fault_kind_is_on_the_page() -> None:
    for kind in ("error", "latency", "timeout", "drop", "html"):
        assert f"| `{kind}` |" in PAGE
