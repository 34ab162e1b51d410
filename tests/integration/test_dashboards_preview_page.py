"""Pages of previews in a real browser: known data and none, wide and narrow, both themes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dashboards.catalogue import all_dashboards
from dashboards.preview.frames import DashboardFrame
from dashboards.preview.page import Theme, render_page
from dashboards.preview.values import format_value
from tests.browser_checks import Witness, judge_page, watch_page
from tests.preview_parts import (
    NASTY,
    SHOWCASE,
    TableOfAnswers,
    busy_source,
    collect,
    make_dashboard,
    make_panel,
    make_table_target,
    make_target,
    override,
    place,
)

WIDTHS = (1280, 400)
THEMES = ("light", "dark")


@dataclass
class Opened:
    """A page that is drawn, and what it did on the way."""

    page: Page
    witness: Witness

    def complaints(self) -> list[str]:
        return [*judge_page(self.page), *self.witness.complaints()]

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def colours(self, selector: str) -> tuple[str, str]:
        """Give colour and background of an element."""
        found: list[str] = self.page.locator(selector).first.evaluate(
            "node => [getComputedStyle(node).color, getComputedStyle(node).backgroundColor]"
        )
        return found[0], found[1]


class Opener:
    """Opens pages from files, as somebody does who was sent one."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser, self._directory = browser, directory
        self._count = 0

    def open(self, html: str, width: int = 1280, theme: str = "light") -> Opened:
        self._count += 1
        place = self._directory / f"page-{self._count}.html"
        place.write_text(html, encoding="utf-8")
        context = self._browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()
        witness = watch_page(page)
        page.goto(place.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return Opened(page, witness)


@pytest.fixture(scope="module")
def opener(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    return Opener(browser, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def busy() -> str:
    return render_page([collect(SHOWCASE, busy_source())])


@pytest.fixture(scope="module")
def empty() -> str:
    return render_page([collect(SHOWCASE, TableOfAnswers())])


@pytest.fixture
def opened(opener: Opener, busy: str) -> Iterator[Opened]:
    found = opener.open(busy)
    yield found
    found.page.context.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [*WIDTHS, 760])
def test_a_page_with_data_has_no_fault(opener: Opener, busy: str, width: int, theme: str) -> None:
    found = opener.open(busy, width, theme)
    assert found.complaints() == []
    # Open what can be opened: descriptions and events are in nobody's way.
    for button in found.page.locator(".info, summary").all():
        button.click()
    assert found.complaints() == []
    found.page.context.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_without_data_says_so_in_words_and_has_no_fault(
    opener: Opener, empty: str, width: int, theme: str
) -> None:
    found = opener.open(empty, width, theme)
    assert found.complaints() == []
    assert found.text("#panel-10 .body") == "No traffic"
    assert found.text("#panel-11 .body") == "No open window"
    assert found.page.locator("canvas").count() == 0
    found.page.context.close()


@pytest.mark.parametrize("uid", [str(uid) for uid in all_dashboards()])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_dashboard_is_without_fault_on_an_empty_prometheus(
    opener: Opener, uid: str, width: int
) -> None:
    document = {str(name): each for name, each in all_dashboards().items()}[uid]
    found = opener.open(render_page([collect(document, TableOfAnswers())]), width)
    assert found.complaints() == []
    found.page.context.close()


def test_panels_stand_in_one_column_on_a_phone_and_on_the_grid_elsewhere(
    opener: Opener, busy: str
) -> None:
    lefts = {}
    for width in WIDTHS:
        found = opener.open(busy, width)
        lefts[width] = {
            round(box["x"])
            for box in (each.bounding_box() for each in found.page.locator("[data-panel]").all())
            if box
        }
        found.page.context.close()
    assert len(lefts[400]) == 1
    # Columns 0, 8, 12 of 24 have panels.
    assert len(lefts[1280]) == 3


def test_values_mappings_and_colours_are_shown(opened: Opened) -> None:
    assert opened.text("#panel-5 .value") == "83.2"
    tiles = opened.page.locator("#panel-6 .tile")
    assert [each.inner_text().split("\n")[-1] for each in tiles.all()] == ["CLOSED", "OPEN"]
    assert opened.colours("#panel-6 .tile >> nth=0")[1] == "rgb(26, 127, 55)"
    assert opened.colours("#panel-6 .tile >> nth=1")[1] == "rgb(207, 34, 46)"
    reading = opened.text("#panel-8 .tile >> nth=0").split("\n")
    assert [line for line in reading if line] == ["97.2 %", "acme", "0 % to 100 %"]
    label = opened.page.locator("#panel-8 svg").first.get_attribute("aria-label")
    assert label == "acme: 97.2 % on a dial from 0 % to 100 %"


def test_a_table_is_sorted_coloured_linked_and_can_be_sorted_anew(opened: Opened) -> None:
    table = opened.page.locator("#panel-9 table")
    rows = [each.inner_text().split("\t") for each in table.locator("tbody tr").all()]
    assert [row[1:] for row in rows] == [["2", "50.0 %"], ["4,000", "25.0 %"], ["250", "1.3 %"]]
    assert rows[0][0].startswith("</script>")
    assert opened.colours("#panel-9 tbody tr >> nth=0 >> td >> nth=2")[1] == "rgb(207, 34, 46)"
    link = table.locator("tbody tr >> nth=1 >> a")
    assert link.get_attribute("href") == "https://x.example/acme"
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("Failed")
    table.locator("th button", has_text="Attempts").click()
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("Attempts")
    assert table.locator("tbody tr >> nth=0").inner_text().startswith("acme")


def test_a_legend_lists_its_calcs_and_hides_a_line(opened: Opened) -> None:
    legend = opened.page.locator("#panel-2 .legend")
    heads = [each.inner_text() for each in legend.locator("th").all()]
    assert heads == ["Name", "Last *", "Max", "Mean"]
    assert legend.locator("tbody tr >> nth=0").inner_text().split("\t")[2] == "520 ms"
    button = legend.locator("button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_labels_that_look_like_markup_stay_text(opened: Opened) -> None:
    assert opened.witness.errors == []
    assert NASTY.split("\u2028")[0] in opened.page.locator("#panel-9").inner_text()
    assert opened.page.locator("#panel-9 b").count() == 0


def test_pointing_at_a_chart_shows_every_series_and_the_event_there(opened: Opened) -> None:
    opened.page.locator("#panel-3 .plot").hover(position={"x": 300, "y": 100})
    tooltip = opened.page.locator(".tooltip")
    assert tooltip.is_visible()
    lines = tooltip.inner_text()
    assert re.search(r"sent\s+\d+(\.\d+)? /s", lines)
    assert re.search(r"failed\s+[\d.]+ /s", lines)
    assert re.search(r"queued\s+\d+(\.\d+)? K", lines)
    assert "Outage · sms · critical" in lines
    assert judge_page(opened.page) == []


def test_arrow_keys_read_a_chart_and_the_focus_is_seen(opened: Opened) -> None:
    plot = opened.page.locator("#panel-2 .plot")
    plot.focus()
    opened.page.keyboard.press("End")
    last = opened.text(".tooltip .when")
    opened.page.keyboard.press("ArrowLeft")
    assert opened.text(".tooltip .when") != last
    assert plot.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator(".tooltip").is_visible()


def test_every_thing_that_can_be_used_has_a_visible_focus(opened: Opened) -> None:
    seen = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        name, style, width = opened.page.evaluate(
            "() => { const node = document.activeElement, style = getComputedStyle(node);"
            " return [node.tagName + node.className, style.outlineStyle, style.outlineWidth] }"
        )
        if name.startswith("BODY"):
            break
        seen.add(name)
        assert (style, width) == ("solid", "2px"), name
    assert {"A", "BUTTON", "BUTTONinfo", "DIVplot", "DIVscroller"} <= seen


def test_the_theme_follows_the_system_until_somebody_chooses(opener: Opener, busy: str) -> None:
    found = opener.open(busy, theme="dark")
    assert found.colours("body")[1] == "rgb(15, 17, 21)"
    found.page.locator("#theme").click()
    assert found.text("#theme") == "Theme: light"
    assert found.colours("body")[1] == "rgb(243, 244, 246)"
    assert found.complaints() == []
    found.page.context.close()


@pytest.mark.parametrize("theme", [Theme.LIGHT, Theme.DARK])
def test_a_theme_of_the_page_wins_over_the_system(opener: Opener, theme: Theme) -> None:
    html = render_page([collect(SHOWCASE, busy_source())], theme)
    found = opener.open(html, theme="light" if theme is Theme.DARK else "dark")
    assert found.text("#theme") == f"Theme: {theme}"
    assert found.complaints() == []
    found.page.context.close()


def test_links_lead_outside_or_say_that_they_need_grafana(opened: Opened) -> None:
    panel = opened.page.locator("#panel-2")
    address = "https://runbooks.example.com/SendLatencyHigh.md"
    assert panel.locator("header > a").get_attribute("href") == address
    panel.locator(".info").click()
    described = panel.locator(".described").inner_text()
    assert "Promised: p95 < 30 s." in described
    assert "In Grafana: Slow traces" in described
    assert panel.locator(".info").get_attribute("aria-expanded") == "true"


def test_a_panel_whose_query_fails_shows_why(opener: Opener) -> None:
    source = busy_source()
    source.broken = frozenset({"depth"})
    found = opener.open(render_page([collect(SHOWCASE, source)]))
    assert "Query failed" in found.text("#panel-5 .error")
    assert "no such thing" in found.text("#panel-5 .error")
    assert found.complaints() == []
    found.page.context.close()


def test_several_dashboards_on_one_page_are_chosen_by_a_link(opener: Opener) -> None:
    other = {**SHOWCASE, "uid": "other", "title": "Another"}
    html = render_page([collect(each, busy_source()) for each in (SHOWCASE, other)])
    found = opener.open(html)
    found.page.locator("nav a", has_text="Another").click()
    found.page.wait_for_selector("h1:text-is('Another')")
    assert found.page.title() == "Another"
    assert found.text("h1") == "Another"
    assert found.complaints() == []
    found.page.context.close()


def test_a_panel_of_another_dashboard_is_gone_to_with_the_choices_of_the_page_only(
    opener: Opener,
) -> None:
    def link(title: str, choice: str) -> dict[str, str]:
        return {"title": title, "url": f"/d/showcase?viewPanel=panel-8&var-channel={choice}"}

    tile = make_panel(
        "stat", make_target("depth"),
        defaults={"links": [link("The same", "sms"), link("Another", "email")]},
    )  # fmt: skip
    first = {**make_dashboard(tile), "uid": "first"}
    found = opener.open(render_page([collect(each, busy_source()) for each in (first, SHOWCASE)]))
    leads = found.page.locator(".leads a")
    assert leads.all_inner_texts() == ["The same"]
    leads.click()
    found.page.wait_for_selector("h1:text-is('Showcase')")
    assert found.page.url.endswith("#showcase/panel-8")
    assert found.page.evaluate("scrollY") > 0
    assert found.complaints() == []
    found.page.context.close()


def test_a_row_about_what_the_page_shows_already_is_no_link(opener: Opener) -> None:
    links = [{"title": "Open", "url": "/d/showcase?var-channel=${__value.raw}"}]
    panel = make_panel("table", make_table_target("each"), overrides=[override("org", links=links)])
    source = TableOfAnswers({"each": [({"org": "sms"}, 1.0), ({"org": "email"}, 1.0)]})
    document = {**make_dashboard(panel), "templating": SHOWCASE["templating"]}
    found = opener.open(render_page([collect(document, source, {"channel": "sms"})]))
    assert found.page.locator("#panel-1 td").count() > 2
    assert found.page.locator("#panel-1 td a").count() == 0
    found.page.context.close()


@pytest.fixture(scope="module")
def crowd() -> DashboardFrame:
    """Give panels with more series and rows than they have room for."""
    names = [f"org-{number:02}" for number in range(45)]
    source = TableOfAnswers({"many": [({"org": name}, float(at)) for at, name in enumerate(names)]})
    graph = make_panel(
        "timeseries", make_target("many", legendFormat="{{org}}"),
        options={"legend": {"displayMode": "table", "calcs": ["max"]}},
    )  # fmt: skip
    listed = make_panel(
        "timeseries", make_target("many"), id=2, place=place(12, 0, 12, 8),
        options={"legend": {"displayMode": "list"}},
    )  # fmt: skip
    table = make_panel("table", make_table_target("many"), id=3, place=place(0, 8, 24, 8))
    return collect(make_dashboard(graph, listed, table), source)


SCROLLED = """[...document.querySelectorAll('.legend, .scroller')].filter(each =>
  each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1).length"""


@pytest.mark.parametrize("width", [1900, *WIDTHS])
def test_a_table_of_many_columns_is_seen_whole_however_narrow_it_is(
    opener: Opener, width: int
) -> None:
    labels = {
        "alertname": "OutboundErrorBudgetBurn", "channel": "whatsapp", "level": "L1",
        "kind": "page", "objective": "organisation-send-success",
    }  # fmt: skip
    source = TableOfAnswers({"firing": [(labels, 1.0), ({**labels, "kind": "ticket"}, 2.0)]})
    panel = make_panel("table", make_table_target("firing"), place=place(0, 0, 12, 8))
    found = opener.open(render_page([collect(make_dashboard(panel), source)], still=True), width)
    assert found.page.evaluate(SCROLLED) == 0
    first = found.page.locator("#panel-1 tbody tr").first
    texts = first.inner_text().split()
    assert {*labels.values()} <= set(texts)
    # Where there are no headings, each value has its name.
    named = first.locator("td").first.evaluate("node => getComputedStyle(node, '::before').content")
    assert (named == "none") is (width == 1900)
    assert found.complaints() == []
    found.page.context.close()


def test_a_number_that_is_old_says_of_when_it_is(opener: Opener) -> None:
    source = busy_source()
    ended = collect(SHOWCASE, source)
    panels = [
        replace(
            panel, tiles=tuple(replace(tile, seen_ms=1_700_001_000_000) for tile in panel.tiles)
        )
        for panel in ended.panels
    ]
    for width in WIDTHS:
        found = opener.open(render_page([replace(ended, panels=tuple(panels))]), width)
        for panel in ("#panel-5", "#panel-6", "#panel-8"):
            assert "none since 14 Nov, " in found.text(f"{panel} .tile >> nth=0")
        assert found.complaints() == []
        found.page.context.close()


@pytest.mark.parametrize(
    ("high", "axis", "top"),
    [(33, {"reaches": 101}, 105.04), (200, {"reaches": 101}, 213.36), (33, {"most": 50}, 50)],
)
def test_an_axis_ends_above_what_it_has_to_reach(
    opened: Opened, high: float, axis: dict[str, float], top: float
) -> None:
    whole = {"least": 0, "most": None, "reaches": None, **axis}
    script = "([high, axis]) => spread(high - 1 < 100 ? 0 : 33, high, axis, false)"
    assert opened.page.evaluate(script, [high, whole])[1] == pytest.approx(top)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_picture_has_whole_legends_and_tables_or_says_how_much_is_left_out(
    opener: Opener, crowd: DashboardFrame, width: int
) -> None:
    live, still = (opener.open(render_page([crowd], still=still), width) for still in (False, True))
    assert live.page.evaluate(SCROLLED) == 3
    assert "more" not in live.text("#board")
    assert still.page.evaluate(SCROLLED) == 0
    for panel in ("#panel-1 .legend", "#panel-2 .legend", "#panel-3 .scroller"):
        text = still.text(panel)
        assert "org-39" in text
        assert "org-40" not in text
        assert text.endswith("and 5 more")
    assert still.complaints() == []
    live.page.context.close()
    still.page.context.close()


def test_lines_of_one_colour_are_told_apart_by_their_dashes(
    opener: Opener, crowd: DashboardFrame
) -> None:
    found = opener.open(render_page([crowd]))
    looks = found.page.evaluate(
        "[...document.querySelectorAll('#panel-1 .swatch')].map(each => each.style.background)"
    )
    assert len(set(looks[:40])) == 40
    drawn = found.page.evaluate(
        "drawn[0].plot.series.slice(1, 41).map(each => `${each.stroke()} ${each.dash}`)"
    )
    assert len(set(drawn)) == 40
    found.page.context.close()


def test_an_event_says_each_thing_once(opened: Opened) -> None:
    write = "mark => writeMark(mark)"
    mark = {"title": "OutboundOutage", "text": "critical, channel sms", "tags": ["sms", "eu-1"]}
    assert opened.page.evaluate(write, mark) == "OutboundOutage · critical, channel sms · eu-1"
    assert opened.page.evaluate(write, {**mark, "text": "", "tags": []}) == "OutboundOutage"


def test_an_address_that_names_no_dashboard_shows_the_first(opener: Opener) -> None:
    found = opener.open(render_page([collect(SHOWCASE, busy_source())]))
    for ending in ("#%", "#nothing"):
        found.page.goto(found.page.url.partition("#")[0] + ending)
        found.page.reload()
        found.page.wait_for_selector("html[data-ready]", state="attached")
        assert found.text("h1") == "Showcase"
    assert found.complaints() == []
    found.page.context.close()


@pytest.mark.parametrize("colour", ["constructor", "#12345", "rgb(1,2,3)", "#abc", "semi-dark-red"])
def test_any_word_for_a_colour_is_drawn(opener: Opener, colour: str) -> None:
    defaults = {"color": {"mode": "fixed", "fixedColor": colour}}
    panel = make_panel("timeseries", make_target("depth"), defaults=defaults)
    found = opener.open(render_page([collect(make_dashboard(panel), busy_source())]))
    assert found.page.evaluate("name => graphicColour(name)", colour).startswith("#")
    assert found.complaints() == []
    found.page.context.close()


UNITS = (
    "none", "short", "s", "percent", "percentunit", "bytes", "cps", "reqps", "ms", "m", "ops", "",
)  # fmt: skip


def test_the_page_writes_numbers_as_the_terminal_does(opened: Opened) -> None:
    numbers = [
        0.0, 1.0, 0.5, 2.5, 0.125, 0.0421, 0.00042, 1e-7, 59.94, 59.96, 90.0, 9000.0, 200_000.0,
        99.97, 99.99999, 0.02, 100.0, 1234.5, 99_999.0, 123_456.0, 5e9, -3.25, 1024.0, 1e13,
        1e21, 3e27, 1e40,
    ]  # fmt: skip
    cases = [
        (number, unit, decimals)
        for number in numbers
        for unit in UNITS
        for decimals in (None, 0, 2)
    ]
    written = opened.page.evaluate("cases => cases.map(each => formatValue(...each))", cases)
    assert written == [format_value(*case) for case in cases]


def test_thresholds_and_events_are_painted(opened: Opened) -> None:
    red = (
        "node => { const copy = document.createElement('canvas');"
        " copy.width = node.width; copy.height = node.height; const pen = copy.getContext('2d');"
        " pen.drawImage(node, 0, 0); const data = pen.getImageData(0, 0, node.width, node.height)"
        ".data; let count = 0; for (let at = 0; at < data.length; at += 4)"
        " if (data[at] > 180 && data[at + 1] < 90 && data[at + 2] < 100 && data[at + 3] > 200)"
        " count += 1; return count }"
    )
    # A dashed line at 2 s, and the flag of the event.
    assert opened.page.locator("#panel-2 canvas").evaluate(red) > 100
    assert opened.page.locator("summary").inner_text() == "1 event in this range"


@pytest.mark.parametrize("width", WIDTHS)
def test_every_chart_has_its_hours_and_its_units(opener: Opener, busy: str, width: int) -> None:
    found = opener.open(busy, width)
    painted: list[list[str]] = found.page.evaluate(
        "[...document.querySelectorAll('canvas')]"
        ".map(each => (paintedTexts.get(each) || []).map(text => text[2]))"
    )
    latency, rates, _ = painted
    for texts in painted:
        assert len([text for text in texts if re.fullmatch(r"\d\d:\d\d", text)]) >= 2, texts
    assert {"500 ms", "2 s"} <= set(latency)
    assert {"5 /s", "100 K"} <= set(rates)
    # The axes' names need more room than a phone has.
    assert ("Seconds" in latency) is ("Messages" in rates) is (width > 700)
    found.page.context.close()
