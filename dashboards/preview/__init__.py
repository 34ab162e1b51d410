"""Previews: what Grafana would show, drawn without it. The terminal's are named here."""

from dashboards.preview.terminal import (
    PanelReading,
    Reading,
    draw_dashboard,
    fill_variables,
    read_dashboard,
    show_value,
)
from dashboards.preview.values import format_value

__all__ = [
    "PanelReading",
    "Reading",
    "draw_dashboard",
    "fill_variables",
    "format_value",
    "read_dashboard",
    "show_value",
]
