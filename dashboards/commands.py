"""Commands of the dashboards: draw them without Grafana, put them into Grafana."""

import os
from typing import Annotated

import typer

from dashboards import sla
from dashboards.catalogue import encode_dashboard
from dashboards.grafana import import_dashboard
from dashboards.preview.command import preview_dashboards
from outbound_slo.vocabulary.mistakes import UserMistake

TOKEN_VARIABLE = "GRAFANA_API_KEY"  # noqa: S105 - names the variable (000), holds no secret

app = typer.Typer(help="The dashboards.", no_args_is_help=True)


app.command("preview")(preview_dashboards)


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
