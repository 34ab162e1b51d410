"""Commands of the dashboards: draw one in the terminal, check them, put them into Grafana."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from dashboards import sla
from dashboards.catalogue import encode_dashboard
from dashboards.import_commands import import_into_grafana
from dashboards.lint.commands import check_dashboards
from dashboards.preview import draw_dashboard, read_dashboard
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

app = typer.Typer(help="The dashboards.", no_args_is_help=True)
app.command("check")(check_dashboards)
app.command("import")(import_into_grafana)


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
