"""The file that a preview writes, and the uPlot that travels in it."""

import base64
import hashlib
import json
import re
from importlib.resources import files

from dashboards.preview.page import (
    UPLOT_SHA256,
    UPLOT_VERSION,
    Board,
    Theme,
    render_index,
    render_page,
)
from tests.preview_parts import NASTY, SHOWCASE, busy_source, collect

PAGE = render_page([collect(SHOWCASE, busy_source())], Theme.DARK)


def test_the_vendored_library_is_npms_own() -> None:
    place = files("dashboards.preview") / "assets" / "uplot"
    for name, digest in UPLOT_SHA256.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
    assert f"v{UPLOT_VERSION}" in (place / "uPlot.iife.min.js").read_text("utf-8")[:200]
    assert "MIT License" in (place / "LICENSE").read_text("utf-8")


def test_a_page_allows_nothing_but_what_is_in_it() -> None:
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', PAGE)[0]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["connect-src"] == rules["form-action"] == "'none'"
    assert rules["base-uri"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    scripts = re.findall(r"<script>(.*?)</script>", PAGE, re.DOTALL)
    allowed = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    assert rules["script-src"].split() == allowed
    assert not re.findall(r'(?:src|href)="(?!data:,)', PAGE)


def test_a_live_page_may_ask_its_own_server_only() -> None:
    page = render_page([collect(SHOWCASE, busy_source())], boards=[Board("showcase", "Showcase")])
    assert "connect-src 'self';" in page
    assert "form-action 'self'" in page


def test_words_of_labels_cannot_end_the_script_that_they_stand_in() -> None:
    data = re.findall(r'id="data">(.*?)</script>', PAGE, re.DOTALL)[0]
    assert not set("<>&\u2028") & set(data)
    names = [
        line["name"]
        for panel in json.loads(data)["dashboards"][0]["panels"]
        if panel["chart"]
        for line in panel["chart"]["lines"]
    ]
    assert f"p95 of {NASTY}" in names


def test_a_page_has_language_title_and_theme() -> None:
    assert '<html lang="en" data-theme="dark">' in PAGE
    assert "<title>Showcase</title>" in PAGE
    odd = render_page([collect({**SHOWCASE, "title": "<b>"}, busy_source())])
    assert "<title>&lt;b&gt;</title>" in odd


def test_a_day_of_points_weighs_little() -> None:
    library = sum(
        len((files("dashboards.preview") / "assets" / "uplot" / name).read_bytes())
        for name in UPLOT_SHA256
    )
    assert library < 60_000


def test_an_index_leads_to_every_dashboard() -> None:
    index = render_index([Board("a-b", "A & B")])
    assert '<a href="/a-b">A &amp; B</a>' in index
