"""The command `dashboards preview`: which dashboards, from where, and what is made of them."""

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from dashboards.catalogue import all_dashboards
from dashboards.preview.addresses import parse_place
from dashboards.preview.document import load_document
from dashboards.preview.frames import DashboardFrame, View, collect_dashboard, find_hint
from dashboards.preview.moments import (
    SCRAPE_INTERVAL_S,
    name_intervals,
    parse_interval,
    parse_range,
)
from dashboards.preview.page import Theme, render_page
from dashboards.preview.picture import open_browser
from dashboards.preview.server import Offer, serve
from dashboards.preview.terminal import PanelReading, draw_dashboard, read_dashboard
from dashboards.preview.variables import resolve_variables
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel

FAILED = 1
"""Exit code where a panel's query failed."""

_SAVED_WIDTH = 1280
_LONGEST_SCRAPE_S = 3600.0
_HTML_SUFFIXES = (".html", ".htm")
_PNG_SUFFIXES = (".png",)
_NO_DIRECTORY = "Make its directory, or name another file"

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
    width: Annotated[
        int | None,
        typer.Option(min=320, max=3840, help=f"Pixels of the picture; {_SAVED_WIDTH} by default."),
    ] = None,
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
    documents = [load_document(name) for name in dict.fromkeys(names or [Dashboard.SLA.value])]
    if serve_at and not names:
        # Whoever serves without naming any wants to look around in all of them.
        documents = list(all_dashboards().values())
    _check_uids(documents)
    _check_variables(documents, given)
    source = PrometheusApi(prometheus)
    scrape_s = parse_interval(scrape_interval)
    if scrape_s > _LONGEST_SCRAPE_S:
        raise UserMistake(
            f"--scrape-interval {scrape_interval} is longer than an hour", "Write it as 15s or 1m"
        )
    chosen = parse_range(since, until, time.time())
    if serve_at:
        if html or png or width or as_json or until != "now":
            raise UserMistake(
                "--serve goes with none of --html, --png, --width, --json and --to",
                "Leave them out",
            )
        offer = Offer(tuple(documents), source, given, since, scrape_s, theme)
        place = parse_place(serve_at)
        serve(offer, place, lambda url: typer.echo(f"Serving {url} until Ctrl-C"))
        return
    _check_outputs(html, png, width, as_json=as_json)
    if theme is not Theme.AUTO and not (html or png):
        raise UserMistake(
            f"--theme {theme} is for pages and pictures", "Add --html, --png or --serve"
        )
    # What is no Prometheus is told at once, not panel by panel.
    source.query("vector(1)")
    view = View(chosen, since, until, given, scrape_s)
    if html is None and png is None:
        _print_values(documents, source, view, as_json=as_json)
        return
    frames = [collect_dashboard(document, source, view) for document in documents]
    _write_files(frames, html, png, width or _SAVED_WIDTH, theme)
    _tell([f"{frame.uid}: {line}" for frame in frames for line in frame.failures])


def _read_variables(pairs: Sequence[str], channel: str | None) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserMistake(f"--var {pair!r} is no NAME=VALUE", "Write it as channel=sms")
        if not value.isprintable():
            raise UserMistake(
                f"--var {pair!r} holds what can't be shown", "Write it as channel=sms"
            )
        if name in given:
            raise UserMistake(f"--var {name} is given twice", "Give it once")
        given[name] = value
    if channel is not None:
        if given.get("channel", channel) != channel:
            raise UserMistake(
                f"--channel {channel} and --var channel={given['channel']} differ", "Give one"
            )
        given["channel"] = channel
    known = [each.label for each in Channel]
    if given.get("channel", known[0]) not in known:
        raise UserMistake(
            f"--channel {given['channel']!r} is no channel", f"Use {', '.join(known)}"
        )
    return given


def _check_uids(documents: Sequence[Json]) -> None:
    """See that no dashboard hides another: pages, pictures and addresses go by the uid."""
    uids = [document["uid"] for document in documents]
    for uid in uids:
        if uids.count(uid) > 1:
            raise UserMistake(f"Two of the dashboards have the uid {uid}", "Give one of them alone")


def _check_variables(documents: Sequence[Json], given: Mapping[str, str]) -> None:
    """See that each value is for one of the dashboards; the others do without."""
    listed = [
        each["name"]
        for document in documents
        for each in document.get("templating", {}).get("list", [])
    ]
    names = dict.fromkeys(listed)
    # --channel is harmless where a dashboard shows all channels.
    if strange := given.keys() - names.keys() - {"channel"}:
        raise UserMistake(
            f"{', '.join(document['uid'] for document in documents)} has no variable"
            f" {', '.join(sorted(strange))}",
            f"It has {', '.join(names) or 'none'}",
        )


def _check_outputs(
    html: Path | None, png: Path | None, width: int | None, *, as_json: bool
) -> None:
    """See that options fit each other, and that files can be made, before anybody waits."""
    if as_json and (html or png):
        raise UserMistake(
            "--json goes with neither --html nor --png", "It prints values; ask for it by itself"
        )
    if width and not png:
        raise UserMistake("--width is a picture's, and there is none", "Add --png FILE")
    for option, file, suffixes in (("html", html, _HTML_SUFFIXES), ("png", png, _PNG_SUFFIXES)):
        if file is None:
            continue
        _check_place(file)
        if file.suffix.lower() not in suffixes:
            raise UserMistake(
                f"--{option} {file} is named as something else", f"Name it {file.stem}{suffixes[0]}"
            )


def _check_place(file: Path) -> None:
    if not file.name or file.is_dir():
        raise UserMistake(f"{file} can't be written: Is a directory", "Name another file")
    if not file.parent.is_dir():
        raise UserMistake(f"{file} can't be written: No such file or directory", _NO_DIRECTORY)


def _print_values(
    documents: Sequence[Json], source: PrometheusApi, view: View, *, as_json: bool
) -> None:
    chosen, failures = view.range, []
    everything: list[Json] = []
    intervals = name_intervals(chosen, view.scrape_s, view.scrape_s)
    for document in documents:
        found = resolve_variables(
            document,
            view.given or {},
            lambda metric, label: source.label_values(metric, label, chosen.start_s, chosen.end_s),
        )
        values = {each.name: each.value for each in found}
        channel = values.get("channel", "")
        panels = read_dashboard(
            document, lambda expr: source.query(expr, chosen.end_s), channel, values | intervals
        )
        failures += [
            f"{document['uid']}: {each.title}: {each.error}" for each in panels if each.error
        ]
        if as_json:
            everything += [{"dashboard": document["uid"], **_describe(panel)} for panel in panels]
        else:
            shown = [document.get("title", document["uid"]), *([channel] if channel else [])]
            console = Console()
            hint = find_hint(source, chosen.end_s)
            title = " · ".join(map(str, shown))
            console.print(draw_dashboard(title, panels, console.width, hint))
    if as_json:
        typer.echo(json.dumps(everything, indent=2))
    _tell(failures)


def _describe(panel: PanelReading) -> Json:
    """Give a panel for machines: JSON has no numbers that are none."""
    described = asdict(panel)
    for reading in described["readings"]:
        if not math.isfinite(reading["value"]):
            reading["value"] = None
    return described


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
                page = render_page([frame], theme, still=True)
                write_file(place, camera(page, width, theme))


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
                page = render_page([frame], still=True)
                picture = camera(page, _SAVED_WIDTH, Theme.LIGHT)
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


def _tell(failures: Sequence[str]) -> None:
    for line in failures:
        sys.stderr.write(f"outbound-slo: {' '.join(line.split())}\n")
    if failures:
        raise typer.Exit(FAILED)
