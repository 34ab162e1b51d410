"""Commands of the dashboards: draw them without Grafana, check them, put them into Grafana."""

import typer

from dashboards.import_commands import import_into_grafana
from dashboards.lint.commands import check_dashboards
from dashboards.preview.command import preview_dashboards

app = typer.Typer(help="The dashboards.", no_args_is_help=True)
app.command("preview")(preview_dashboards)
app.command("check")(check_dashboards)
app.command("import")(import_into_grafana)
