"""How soon a preview is there with a day of data: `make bench-preview`.

One Prometheus holds a day of the modelled outbox with an outage in it. The SLA dashboard and the
largest one are collected over an hour and over a day, rendered, and opened in headless Chromium
from a file, in turns; medians are told. Its last line of output is one JSON object.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import typer
from playwright.sync_api import Browser, sync_playwright

from benchmarks.preview_stand import STEP_S, Stand, stand_up
from benchmarks.report import Goal, Report
from dashboards.catalogue import all_dashboards
from dashboards.preview.frames import View, collect_dashboard
from dashboards.preview.moments import TimeRange
from dashboards.preview.page import render_page
from dashboards.preview.picture import find_browser
from outbound_slo.vocabulary.alerts import Dashboard

_HOUR_S: Final = 3600.0
_SPANS: Final = {"hour": _HOUR_S, "day": 24 * _HOUR_S}

GOALS: Final = (
    Goal("sla_load_ms", "from navigation to the last panel drawn, SLA dashboard, a day"),
    Goal("sla_load_vs_hour", "times that of an hour of data", at_most=2.0),
    Goal("sla_collect_ms", "to ask Prometheus for it and compute it"),
    Goal("sla_collect_vs_hour", "times that of an hour of data"),
    Goal("sla_kib", "size of the page"),
    Goal("sla_kib_vs_hour", "times that of an hour of data"),
    Goal("largest_load_ms", "the same of the dashboard with the most panels"),
    Goal("largest_load_vs_hour", "times that of an hour of data", at_most=2.0),
    Goal("largest_collect_ms", "to ask Prometheus for it and compute it"),
    Goal("largest_collect_vs_hour", "times that of an hour of data"),
    Goal("largest_kib", "size of the page"),
    Goal("largest_kib_vs_hour", "times that of an hour of data"),
    Goal("largest_panels", "panels of that dashboard"),
    Goal("empty_load_ms", "the same of a page without a panel: what the browser itself takes"),
)

Json = Mapping[str, Any]


def run_benchmark(
    rounds: Annotated[int, typer.Option(min=3, help="Times that each page is opened.")] = 9,
) -> None:
    """Measure collection, size and loading of previews."""
    report = Report(GOALS)
    documents = {uid: dict(each) for uid, each in all_dashboards().items()}
    largest = max(documents.values(), key=count_panels)
    subjects = {"sla": documents[Dashboard.SLA], "largest": largest}
    report.tell("filling a Prometheus with a day")
    with tempfile.TemporaryDirectory() as name, stand_up() as stand:
        pages = {
            (kind, span): _make_page(report, stand, Path(name), kind, span, document)
            for kind, document in subjects.items()
            for span in _SPANS
        }
        empty = {"uid": "empty", "title": "Empty", "panels": []}
        pages["empty", "day"] = _make_page(report, stand, Path(name), "empty", "day", empty)
        loads = _open_pages(report, {key: made[0] for key, made in pages.items()}, rounds)
    for kind in subjects:
        (_, long_s, long_kib), (_, short_s, short_kib) = pages[kind, "day"], pages[kind, "hour"]
        report.note(f"{kind}_load_ms", loads[kind, "day"])
        report.note(f"{kind}_load_vs_hour", loads[kind, "day"] / loads[kind, "hour"])
        report.note(f"{kind}_collect_ms", 1000 * long_s)
        report.note(f"{kind}_collect_vs_hour", long_s / short_s)
        report.note(f"{kind}_kib", long_kib)
        report.note(f"{kind}_kib_vs_hour", long_kib / short_kib)
    report.note("largest_panels", count_panels(largest))
    report.note("empty_load_ms", loads["empty", "day"])
    report.finish()


def count_panels(document: Json) -> int:
    """Count the panels that hold something."""
    return sum(panel["type"] != "row" for panel in document["panels"])


def _make_page(
    report: Report, stand: Stand, directory: Path, kind: str, span: str, document: Json
) -> tuple[Path, float, float]:
    """Collect and write a page; gives its place, the median seconds of three collections, KiB."""
    view = View(TimeRange(stand.end_s - _SPANS[span], stand.end_s), scrape_s=STEP_S)
    times = []
    for _ in range(3):
        began = time.perf_counter()
        frame = collect_dashboard(document, stand.api, view)
        times.append(time.perf_counter() - began)
    if frame.failures:
        raise RuntimeError("; ".join(frame.failures))
    place = directory / f"{kind}-{span}.html"
    place.write_text(render_page([frame]), encoding="utf-8")
    report.tell(f"{kind}, {span}: collected in {median(times):.2f} s")
    return place, median(times), place.stat().st_size / 1024


def _open_pages(
    report: Report, places: Mapping[tuple[str, str], Path], rounds: int
) -> dict[tuple[str, str], float]:
    """Open every page in turns; gives the median milliseconds to the last panel."""
    tools = find_browser(fetch=True)
    seen: dict[tuple[str, str], list[float]] = {key: [] for key in places}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=tools["chromium"],
            args=["--no-sandbox"],
            env=dict(tools.environment()),
        )
        # The first round warms the browser up and is not counted.
        for number in range(rounds + 1):
            for key, place in places.items():
                took = _load(browser, place)
                if number:
                    seen[key].append(took)
        browser.close()
    report.show_rows(
        "Milliseconds to the last panel",
        [
            {"page": " ".join(key), "median": median(each), "least": min(each), "most": max(each)}
            for key, each in seen.items()
        ],
    )
    return {key: median(each) for key, each in seen.items()}


def _load(browser: Browser, place: Path) -> float:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(place.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    took = float(json.loads(page.evaluate("document.documentElement.dataset.ready")))
    page.close()
    return took


if __name__ == "__main__":
    typer.run(run_benchmark)
