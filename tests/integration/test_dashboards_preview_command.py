"""The command `dashboards preview` against real servers: with data, without, and no Prometheus."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner, Result

from benchmarks.preview_stand import STEP_S, Stand, stand_up
from dashboards.catalogue import all_dashboards
from dashboards.commands import app
from dashboards.preview.page import Theme, render_page
from dashboards.preview.picture import open_browser
from dashboards.preview.server import Offer, served
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.browser_checks import judge_page, watch_page
from tests.preview_parts import (
    SHOWCASE,
    TableOfAnswers,
    busy_source,
    collect,
    make_dashboard,
    make_panel,
    make_target,
    place,
)

UIDS = [str(uid) for uid in all_dashboards()]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """Start a Prometheus with an hour and a half of the modelled outbox."""
    with stand_up(5400) as found:
        yield found


@pytest.fixture(scope="module")
def empty_url(tmp_path_factory: pytest.TempPathFactory, prometheus_tools: Tools) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("empty")
    with Supervisor(directory) as supervisor:
        configuration = compose_configuration([])
        yield start_prometheus(supervisor, directory, configuration, tools=prometheus_tools).url


def preview(*arguments: str, url: str) -> Result:
    scrape = f"{STEP_S}s"
    return CliRunner().invoke(
        app, ["preview", *arguments, "--prometheus", url, "--scrape-interval", scrape]
    )


def read_page(path: Path) -> list[dict[str, object]]:
    text = path.read_text("utf-8")
    data = text.partition('id="data">')[2].partition("</script>")[0]
    found: list[dict[str, object]] = json.loads(data)["dashboards"]
    return found


def test_all_dashboards_become_one_page_with_data(
    stand: Stand, tmp_path: Path, browser: Browser
) -> None:
    place = tmp_path / "all.html"
    result = preview(*UIDS, "--from", "now-1h", "--html", str(place), url=stand.api.url)
    assert result.exit_code == 0, result.output
    frames = read_page(place)
    assert [frame["uid"] for frame in frames] == UIDS
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    witness = watch_page(page)
    for uid in UIDS:
        page.goto(f"{place.as_uri()}#{uid}")
        page.wait_for_selector("html[data-ready]", state="attached")
        assert judge_page(page) == []
    assert witness.complaints() == []
    page.close()


def test_an_empty_prometheus_is_no_error(empty_url: str, tmp_path: Path) -> None:
    place = tmp_path / "empty.html"
    result = preview("whatsapp-sla", "--html", str(place), url=empty_url)
    assert result.exit_code == 0, result.output
    assert "No traffic" in place.read_text("utf-8")


def test_a_failing_query_is_in_its_panel_and_in_the_exit_code(
    empty_url: str, tmp_path: Path
) -> None:
    document = make_dashboard(make_panel("stat", make_target("sum(("), title="Broken"))
    file, place = tmp_path / "mine.json", tmp_path / "mine.html"
    file.write_text(json.dumps(document))
    result = preview(str(file), "--html", str(place), url=empty_url)
    assert result.exit_code == 1
    assert "showcase: Broken: Prometheus can't evaluate 'sum(('" in result.stderr
    [frame] = read_page(place)
    assert "parse error" in json.dumps(frame)


def test_a_failing_query_is_told_in_the_terminal_too(empty_url: str, tmp_path: Path) -> None:
    document = make_dashboard(
        make_panel("stat", make_target("sum(("), title="Broken"),
        make_panel("heatmap", make_target("up"), title="Heat", id=2, place=place(0, 8, 6, 4)),
        make_panel("stat", make_target("vector(7)"), title="Whole", id=3),
    )
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(document))
    result = preview(str(file), url=empty_url)
    assert result.exit_code == 1
    assert "showcase: Broken: Prometheus can't evaluate 'sum(('" in result.stderr
    assert "showcase: Heat: The preview draws no panel of type heatmap" in result.stderr
    assert "Prometheus can't evaluate" in result.stdout
    assert "7" in result.stdout.partition("Whole")[2]


def test_the_terminal_shows_the_range_that_was_asked_for(empty_url: str, tmp_path: Path) -> None:
    document = make_dashboard(
        make_panel("stat", make_target("vector($__range_s)"), defaults={"unit": "none"}),
        make_panel("stat", make_target("vector(time())"), id=2, defaults={"unit": "none"}),
        make_panel("stat", make_target("vector($__interval_ms)"), id=3, defaults={"unit": "none"}),
    )
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(document))
    asked = ("--from", "1700000000", "--to", "1700007200", "--json")
    found = json.loads(preview(str(file), *asked, url=empty_url).stdout)
    values = [reading["value"] for panel in found for reading in panel["readings"]]
    assert values == [7200, 1_700_007_200, STEP_S * 1000]


def test_what_is_no_number_is_null_for_machines(empty_url: str, tmp_path: Path) -> None:
    targets = [make_target("vector(NaN)"), make_target("vector(-Inf)", "B")]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(make_dashboard(make_panel("stat", *targets))))
    result = preview(str(file), "--json", url=empty_url)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    [panel] = json.loads(result.stdout, parse_constant=refuse)
    assert [(each["value"], each["text"]) for each in panel["readings"]] == [
        (None, "NaN"), (None, "-∞"),
    ]  # fmt: skip


def test_two_dashboards_of_one_uid_do_not_hide_each_other(empty_url: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.json", "b.json")]
    for file in files:
        file.write_text(json.dumps(make_dashboard()))
    result = preview(*map(str, files), url=empty_url)
    assert "Two of the dashboards have the uid showcase" in str(result.exception)
    assert preview(str(files[0]), str(files[0]), "--json", url=empty_url).exit_code == 0


def test_a_file_may_be_what_grafanas_api_gives_and_have_no_uid(
    empty_url: str, tmp_path: Path
) -> None:
    document = make_dashboard(make_panel("stat", make_target("vector(1)")), uid=None)
    file = tmp_path / "my own board.json"
    file.write_text(json.dumps({"meta": {}, "dashboard": document}))
    [panel] = json.loads(preview(str(file), "--json", url=empty_url).stdout)
    assert panel["dashboard"] == "my-own-board"


def test_a_variable_may_be_one_of_several_dashboards(empty_url: str) -> None:
    names = ("whatsapp-sla", "outbound-organisation")
    result = preview(*names, "--var", "org_id=acme", "--json", url=empty_url)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--html", "x.html")])
def test_what_is_no_prometheus_is_blamed_itself(arguments: tuple[str, ...]) -> None:
    """Another of our own servers stands for the exporter that was named by mistake."""
    with served(Offer((), TableOfAnswers(), {}, "now-1h", 15.0)) as url:
        result = preview("whatsapp-sla", *arguments, url=url)
    assert isinstance(result.exception, UserMistake)
    assert f"What answers at {url.rstrip('/')} is no Prometheus" in str(result.exception)
    assert "Check the address of Prometheus" in str(result.exception)


def test_a_picture_is_as_wide_as_asked_and_as_high_as_its_page(
    stand: Stand, tmp_path: Path, chromium_tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = str(Path(chromium_tools["chromium"]).parent)
    if chromium_tools.root is None:
        monkeypatch.setenv("OUTBOUND_SLO_CHROMIUM_BIN", directory)
    place = tmp_path / "a.png"
    result = preview("--png", str(place), "--width", "400", url=stand.api.url)
    assert result.exit_code == 0, result.output
    width, height = _measure(place.read_bytes())
    assert width == 400
    assert height > 1500


def test_pictures_of_several_dashboards_have_their_uids_in_the_names(
    empty_url: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**SHOWCASE, "uid": "other"}))
    place = tmp_path / "all.png"
    preview("whatsapp-sla", str(other), "--png", str(place), url=empty_url)
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["all-other.png", "all-whatsapp-sla.png"]


def test_themes_are_different_pictures(chromium_tools: Tools) -> None:
    page = render_page([collect(SHOWCASE, busy_source())])
    with open_browser(chromium_tools) as camera:
        light, dark = (camera(page, 800, theme) for theme in (Theme.LIGHT, Theme.DARK))
    assert _measure(light) == _measure(dark)
    assert light != dark


def _measure(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(PNG)
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def test_without_a_browser_a_picture_is_a_clear_mistake(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTBOUND_SLO_CACHE", str(tmp_path))
    monkeypatch.setenv("OUTBOUND_SLO_IGNORE_INSTALLED", "1")
    result = preview("--png", str(tmp_path / "a.png"), url=empty_url)
    assert str(result.exception) == (
        "A picture needs Chromium, and there is none here. Run apt-get install chromium, or name "
        "its directory in OUTBOUND_SLO_CHROMIUM_BIN"
    )


def test_a_browser_that_is_none_is_a_clear_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_url: str
) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'ERROR: no sandbox for you' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("OUTBOUND_SLO_CHROMIUM_BIN", str(tmp_path))
    result = preview("--png", str(tmp_path / "a.png"), url=empty_url)
    assert isinstance(result.exception, UserMistake)
    assert f"{program} ended by itself: ERROR: no sandbox for you" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nothing",), "nothing is no dashboard. Use whatsapp-sla"),
        (("absent.json",), "absent.json can't be read: No such file"),
        (("--var", "channel"), "--var 'channel' is no NAME=VALUE"),
        (("--var", "planet=mars"), "whatsapp-sla has no variable planet. It has datasource"),
        (("--channel", "fax"), "--channel 'fax' is no channel"),
        (("--var", "channel=fax"), "'fax' is no channel"),
        (("--from", "yesterday"), "'yesterday' is no moment"),
        (("--from", "now", "--to", "now-1h"), "is empty"),
        (("--serve", "door"), "--serve 'door' has no port"),
        (("--html", "/nowhere/a.html"), "/nowhere/a.html can't be written: No such file"),
        (("--png", "a.jpg"), "--png a.jpg is named as something else. Name it a.png"),
        (("--html", "a"), "--html a is named as something else. Name it a.html"),
        (("--html", "a.html", "--json"), "--json goes with neither --html nor --png"),
        (("--theme", "dark"), "--theme dark is for pages and pictures"),
        (("--var", "channel=sms", "--var", "channel=sms"), "--var channel is given twice"),
        (("--channel", "sms", "--var", "channel=email"), "--channel sms and --var channel=email"),
        (("--scrape-interval", "2h"), "--scrape-interval 2h is longer than an hour"),
        (("--prometheus", "http://prom:99999"), "http://prom:99999 is no address: Port out of"),
        (("--serve", "70000"), "--serve 70000: no port is above 65535"),
        (("--width", "400"), "--width is a picture's, and there is none"),
        (("--serve", "0", "--width", "400"), "--serve goes with none of --html, --png, --width"),
        (("--html", "/etc"), "/etc can't be written: Is a directory"),
        (("whatsapp-sla", "outbound-slo", "--png", ""), ". can't be written: Is a directory"),
        pytest.param(("--var", "runbooks=\udcff"), "holds what can't be shown", id="var-bytes"),
        (("--from", "0001-01-01", "--to", "0001-01-02"), "leaves the years 1970 to 2999"),
        (("--serve", "0", "--html", "a.html"), "--serve goes with none of --html"),
        (("--serve", "0", "--to", "now-1h"), "--serve goes with none of --html"),
        pytest.param(("--serve", "\udcff:0"), "no such host", id="host-bytes"),
        (("--serve", "0", "--var", "planet=mars"), "has no variable planet"),
        (("--prometheus", "http://a..b"), "the host's name is none"),
        (("--prometheus", "localhost:9090"), "Write it as http://localhost:9090"),
        (("--prometheus", "me:secret@prom:9090"), "Write it as http://prom:9090"),
        (("--prometheus", "ftp://prom"), "'ftp://prom' is not http:// or https:// and a host"),
        (("--prometheus", ""), "Write it as http://host:port"),
        (("--prometheus", "http://me:secret@127.0.0.1:9"), "does not answer at http://127.0.0.1:9"),
    ],
)
def test_bad_input_is_one_clear_line(
    empty_url: str, arguments: tuple[str, ...], complaint: str
) -> None:
    given = ("--prometheus", empty_url, *arguments)
    result = CliRunner().invoke(app, ["preview", *given])
    assert isinstance(result.exception, UserMistake)
    assert complaint in str(result.exception)
    assert "secret" not in str(result.exception)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON in line 1"),
        ("[]", "has no list 'panels'"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"panels": [1]}', "panels[0] is 1. Expected: an object"),
        ('{"panels": [{}]}', "panels[0] lacks gridPos, id, type. Add gridPos"),
        ('{"panels": [{"gridPos": {"x":0,"y":0,"w":1,"h":1}}]}', "panels[0] lacks id, type"),
        (
            '{"panels": [{"gridPos": {"x": 0}, "type": "a", "id": 1}]}',
            "panels[0].gridPos lacks y, w, h",
        ),
        (
            '{"panels": [{"gridPos": {"x":0,"y":0,"w":0,"h":1},"type":"a","id":1}]}',
            "panels[0].gridPos.w is 0. Expected: a whole number from 1 to 24",
        ),
        (
            '{"panels": [{"gridPos": {"x":0,"y":0,"w":1,"h":1},"type":"a","id":1,"targets":[{}]}]}',
            "panels[0].targets[0] lacks expr, refId",
        ),
        ('{"panels": [], "title": "\\ud800"}', "title holds half a character"),
        ('{"panels": [], "title": 1}', "title is 1. Expected: a text"),
        ('{"uid": "../x", "panels": []}', 'uid is "../x". Expected: up to 80 letters'),
    ],
)
def test_a_file_that_is_no_dashboard_is_one_clear_line(
    empty_url: str, tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    result = preview(str(file), url=empty_url)
    assert isinstance(result.exception, UserMistake)
    assert complaint in str(result.exception)
    assert str(file) in str(result.exception)


def test_values_of_several_dashboards_are_printed_with_their_uids(
    empty_url: str, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**SHOWCASE, "uid": "other"}))
    result = preview("whatsapp-sla", str(other), "--json", "--channel", "sms", url=empty_url)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {each["dashboard"] for each in found} == {"whatsapp-sla", "other"}
    # Headings have no values.
    assert "Or one customer?" not in {each["title"] for each in found}
