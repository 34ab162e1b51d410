"""Commands of the dashboards: draw one in the terminal, put it into Grafana."""

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from dashboards import sla
from dashboards.catalogue import encode_dashboard
from dashboards.grafana import import_dashboard
from dashboards.preview import draw_dashboard, read_dashboard
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

TOKEN_VARIABLE = "GRAFANA_API_KEY"  # noqa: S105 - names the variable (000), holds no secret

app = typer.Typer(help="The dashboards.", no_args_is_help=True)


@app.command("preview")
def preview_dashboard(
    prometheus: Annotated[
        str, typer.Option(help="Address of Prometheus.")
    ] = "http://127.0.0.1:9090",
    channel: Annotated[str, typer.Option(help="whatsapp, sms or email.")] = "whatsapp",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw the SLA dashboard's current values in the terminal."""
    known = [each.label for each in Channel]
    if channel not in known:
        raise UserMistake(f"--channel {channel!r} is no channel", f"Use {', '.join(known)}")
    document = encode_dashboard(sla.build_dashboard())
    panels = read_dashboard(document, PrometheusApi(prometheus).query, channel)
    if as_json:
        typer.echo(json.dumps([asdict(panel) for panel in panels], indent=2))
        return
    Console().print(draw_dashboard(f"{document['title']} · {channel}", panels))


@app.command("import")
def import_into_grafana(
    grafana: Annotated[str, typer.Option(help="Address of Grafana.")],
) -> None:
    """Create or replace the SLA dashboard in Grafana; the token comes from GRAFANA_API_KEY."""
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        raise UserMistake(
            f"{TOKEN_VARIABLE} is not set", "Put the token of a Grafana service account into it"
        )
    imported = import_dashboard(grafana, token, encode_dashboard(sla.build_dashboard()))
    typer.echo(f"Imported {imported.uid}, version {imported.version}: {imported.url}")
