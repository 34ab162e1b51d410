"""The command `dashboards preview`: which dashboards, from where, and what is made of them."""

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dashboards.catalogue import all_dashboards
from dashboards.preview.frames import DashboardFrame, View, collect_dashboard
from dashboards.preview.moments import SCRAPE_INTERVAL_S, parse_interval, parse_range
from dashboards.preview.page import Theme, render_page
from dashboards.preview.picture import open_browser
from dashboards.preview.server import Offer, parse_place, serve
from dashboards.preview.terminal import draw_dashboard, read_dashboard
from dashboards.preview.variables import resolve_variables
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

FAILED = 1
"""Exit code where a panel's query failed."""

_SAVED_WIDTH = 1280
_UID = re.compile(r"[\w-]{1,80}")

Json = dict[str, Any]


def preview_dashboards(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Uid of a dashboard, or a JSON file of Grafana's.", metavar="NAME"),
    ] = None,
    prometheus: Annotated[
        str, typer.Option(help="Address of Prometheus.")
    ] = "http://127.0.0.1:9090",
    since: Annotated[str, typer.Option("--from", help="now-6h, or an ISO 8601 time.")] = "now-6h",
    until: Annotated[str, typer.Option("--to", help="The same.")] = "now",
    var: Annotated[
        list[str] | None,
        typer.Option(help="Value of a variable; repeatable.", metavar="NAME=VALUE"),
    ] = None,
    channel: Annotated[str | None, typer.Option(help="whatsapp, sms or email.")] = None,
    scrape_interval: Annotated[
        str, typer.Option(help="Time between scrapes of this Prometheus.")
    ] = f"{SCRAPE_INTERVAL_S:g}s",
    html: Annotated[Path | None, typer.Option(help="Write one self-contained page.")] = None,
    png: Annotated[Path | None, typer.Option(help="Take a picture; needs Chromium.")] = None,
    width: Annotated[int, typer.Option(min=320, max=3840, help="Pixels of the picture.")] = 1280,
    theme: Annotated[Theme, typer.Option(help="Colours of page and picture.")] = Theme.AUTO,
    serve_at: Annotated[
        str, typer.Option("--serve", help="Serve live pages here.", metavar="[HOST:]PORT")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw dashboards from a Prometheus, without Grafana.

    In the terminal; as a page with --html, as a picture with --png, live with --serve. Exits 1 if
    the query of a panel failed.
    """
    given = _read_variables(var or [], channel)
    documents = [load_document(name) for name in names or [Dashboard.SLA.value]]
    _check_variables(documents, given)
    source = PrometheusApi(prometheus)
    scrape_s = parse_interval(scrape_interval)
    chosen = parse_range(since, until, time.time())
    if serve_at:
        place = parse_place(serve_at)
        # Whoever serves without naming any wants to look around in all of them.
        offered = documents if names else list(all_dashboards().values())
        offer = Offer(tuple(offered), source, given, since, scrape_s, theme)
        serve(offer, place, lambda url: typer.echo(f"Serving {url} until Ctrl-C"))
        return
    # What is no Prometheus is told at once, not panel by panel.
    source.query("vector(1)")
    if html is None and png is None:
        _print_values(documents, source, given, as_json=as_json)
        return
    view = View(chosen, since, until, given, scrape_s)
    frames = [collect_dashboard(document, source, view) for document in documents]
    _write_files(frames, html, png, width, theme)
    _tell(frames)


def load_document(name: str) -> Json:
    """Load a dashboard by its uid, or from a file.

    Raises:
        UserMistake: There is no such dashboard, or the file is none.

    """
    built_in = {uid.value: document for uid, document in all_dashboards().items()}
    if name in built_in:
        return built_in[name]
    path = Path(name)
    if path.suffix != ".json" and not path.is_file():
        raise UserMistake(
            f"{name} is no dashboard", f"Use {', '.join(built_in)}, or a file that ends in .json"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as failure:
        raise UserMistake(f"{name} can't be read: {failure.strerror}", "Check the path") from None
    except ValueError as failure:
        raise UserMistake(f"{name} holds no JSON: {failure}", "Export it again") from None
    return check_document(document, name)


def check_document(document: object, name: str) -> Json:
    """See that a document has what a preview reads of it.

    Raises:
        UserMistake: It has not.

    """
    mend = "Export the dashboard from Grafana as JSON"
    if not isinstance(document, dict) or not isinstance(document.get("panels"), list):
        raise UserMistake(f"{name} is no dashboard of Grafana: it has no list `panels`", mend)
    document.setdefault("uid", Path(name).stem)
    if not _UID.fullmatch(str(document["uid"])):
        raise UserMistake(f"{name}: uid {document['uid']!r} is none of Grafana's", mend)
    for number, panel in enumerate(document["panels"]):
        grid = panel.get("gridPos") if isinstance(panel, dict) else None
        if not isinstance(grid, dict) or not {"x", "y", "w", "h"} <= grid.keys():
            raise UserMistake(f"{name}: panels[{number}] has no gridPos with x, y, w and h", mend)
        if "type" not in panel or "id" not in panel:
            raise UserMistake(f"{name}: panels[{number}] has no type or no id", mend)
        for target in panel.get("targets", []):
            if "expr" not in target or "refId" not in target:
                raise UserMistake(
                    f"{name}: a target of panels[{number}] has no expr or no refId", mend
                )
    return document


def _read_variables(pairs: Sequence[str], channel: str | None) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserMistake(f"--var {pair!r} is no NAME=VALUE", "Write it as channel=sms")
        given[name] = value
    if channel is not None:
        given["channel"] = channel
    known = [each.label for each in Channel]
    if given.get("channel", known[0]) not in known:
        raise UserMistake(
            f"--channel {given['channel']!r} is no channel", f"Use {', '.join(known)}"
        )
    return given


def _check_variables(documents: Sequence[Json], given: Mapping[str, str]) -> None:
    for document in documents:
        names = [each["name"] for each in document.get("templating", {}).get("list", [])]
        # --channel is harmless where a dashboard shows all channels.
        strange = given.keys() - set(names) - {"channel"}
        if strange:
            raise UserMistake(
                f"{document['uid']} has no variable {', '.join(sorted(strange))}",
                f"It has {', '.join(names) or 'none'}",
            )


def _print_values(
    documents: Sequence[Json], source: PrometheusApi, given: Mapping[str, str], *, as_json: bool
) -> None:
    end_s = time.time()
    everything: list[Json] = []
    for document in documents:
        found = resolve_variables(
            document,
            given,
            lambda metric, label: source.label_values(metric, label, end_s - 6 * 3600, end_s),
        )
        values = {each.name: each.value for each in found}
        channel = values.get("channel", "")
        panels = read_dashboard(document, source.query, channel, values)
        if as_json:
            everything += [{"dashboard": document["uid"], **asdict(panel)} for panel in panels]
        else:
            shown = [document["title"], *([channel] if channel else [])]
            Console().print(draw_dashboard(" · ".join(shown), panels))
    if as_json:
        typer.echo(json.dumps(everything, indent=2))


def _write_files(
    frames: Sequence[DashboardFrame],
    html: Path | None,
    png: Path | None,
    width: int,
    theme: Theme,
) -> None:
    if html is not None:
        write_file(html, render_page(frames, theme).encode())
    if png is not None:
        with open_browser() as camera:
            for frame in frames:
                # One dashboard is one picture; several have their uids in the names.
                place = png if len(frames) == 1 else png.with_stem(f"{png.stem}-{frame.uid}")
                write_file(place, camera(render_page([frame], theme), width, theme))


def save_previews(frames: Sequence[DashboardFrame], directory: Path) -> None:
    """Write a page of each dashboard, and a picture of each where there is a browser.

    Raises:
        OSError: The directory can't be written.

    """
    for frame in frames:
        page = render_page([frame])
        (directory / f"{frame.uid}.html").write_text(page, encoding="utf-8")
    try:
        with open_browser() as camera:
            for frame in frames:
                picture = camera(render_page([frame]), _SAVED_WIDTH, Theme.LIGHT)
                (directory / f"{frame.uid}.png").write_bytes(picture)
    except UserMistake:
        # The pages are what matters; a machine without a browser is no fault of the demo's.
        return


def write_file(path: Path, content: bytes) -> None:
    """Write a file.

    Raises:
        UserMistake: It can't be written.

    """
    try:
        path.write_bytes(content)
    except OSError as failure:
        raise UserMistake(
            f"{path} can't be written: {failure.strerror}", "Name another file"
        ) from None
    typer.echo(f"Wrote {path} ({len(content) / 1024:,.0f} KiB)")


def _tell(frames: Sequence[DashboardFrame]) -> None:
    failures = [f"{frame.uid}: {line}" for frame in frames for line in frame.failures]
    for line in failures:
        sys.stderr.write(f"outbound-slo: {line}\n")
    if failures:
        raise typer.Exit(FAILED)
