"""`outbound-slo dashboards import`: puts the dashboards into a running Grafana."""

import json
import os
from typing import Annotated

import typer

from dashboards.catalogue import all_dashboards
from dashboards.grafana import TOKEN_VARIABLE, URL_VARIABLE, GrafanaApi, Saved
from dashboards.imports import Change, Step, carry_out, make_plan
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.mistakes import UserMistake

_MESSAGE = "outbound-slo dashboards import"
_PAST = {Change.CREATE: "created", Change.REPLACE: "replaced", Change.UNCHANGED: "unchanged"}


def import_into_grafana(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Uids of dashboards; without any, all of them.", metavar="NAME"),
    ] = None,
    grafana: Annotated[
        str | None,
        typer.Option(
            help="Address of Grafana, such as https://grafana.example.org.", envvar=URL_VARIABLE
        ),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            help="Title of the folder; made if absent. Without it, what is there stays where it is"
            " and what is new goes to 'Outbound messages'. General is outside of all folders."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")
    ] = False,
) -> None:
    """Create, replace or leave each dashboard in Grafana; the token comes from GRAFANA_API_KEY.

    A dashboard that is the same already gets no new version.
    """
    documents = _choose(names or [])
    if folder is not None and not folder.strip():
        raise UserMistake("--folder is empty", "Give the folder's title, or leave --folder out")
    if folder is not None and not folder.isprintable():
        raise UserMistake(f"--folder {folder!r} holds what can't be shown", "Write it anew")
    api = GrafanaApi(_require(grafana, URL_VARIABLE), os.environ.get(TOKEN_VARIABLE) or _no_token())
    plan = make_plan(api, documents, folder)
    if dry_run:
        if plan.creates_folder:
            typer.echo(f"would create  folder {plan.folder.title} ({plan.folder.uid})")
        for step in plan.steps:
            stays = step.change is Change.UNCHANGED
            typer.echo(f"{step.change if stays else f'would {step.change}':<13} {step.uid}")
        return
    carry_out(api, plan, _MESSAGE, _tell)


def _tell(step: Step, saved: Saved | None) -> None:
    place = f", version {saved.version}: {saved.url}" if saved else f", version {step.version}"
    typer.echo(f"{_PAST[step.change]:<10} {step.uid}{place}")


def _choose(names: list[str]) -> dict[str, dict[str, object]]:
    for name in names:
        if name not in list(Dashboard):
            raise UserMistake(f"There is no dashboard {name!r}", f"Use {', '.join(Dashboard)}")
    # As JSON gives it: tuples and the like would never equal what Grafana keeps.
    return {
        uid.value: json.loads(json.dumps(document))
        for uid, document in all_dashboards().items()
        if not names or uid in names
    }


def _require(address: str | None, variable: str) -> str:
    if not address:
        raise UserMistake("It is not said where Grafana is", f"Give --grafana, or set {variable}")
    return address


def _no_token() -> str:
    raise UserMistake(
        f"{TOKEN_VARIABLE} is not set", "Put the token of a Grafana service account into it"
    )
