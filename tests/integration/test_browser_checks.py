"""Each check of `tests.browser_checks` on a page that is good and on one that is broken."""

import pytest
from playwright.sync_api import Browser

from tests.browser_checks import judge_page, watch_page

_STYLE = """
body { margin: 0; background: #fff; color: #111; font: 14px/1.4 sans-serif }
[data-panel] { width: 180px; height: 80px; float: left; margin: 4px }
h2 { font-size: 14px; margin: 0 }
"""
_PANELS = """
<div data-panel id="one"><h2>One</h2><p>12 messages</p></div>
<div data-panel id="two"><h2>Two</h2><canvas width="60" height="30"></canvas></div>
<script>
const pen = document.querySelector("canvas").getContext("2d");
pen.font = "12px sans-serif";
pen.fillText("10 s", 2, 12);
</script>
"""


def judge(browser: Browser, style: str = "", body: str = "", panels: str = _PANELS) -> list[str]:
    """Judge a good page with something added: rules of style, or elements."""
    html = (
        '<!DOCTYPE html><html lang="en"><head><title>Page</title>'
        f"<style>{_STYLE}{style}</style></head><body><h1>Page</h1>{panels}{body}</body></html>"
    )
    return judge_document(browser, html)


def judge_document(browser: Browser, html: str) -> list[str]:
    context = browser.new_context(viewport={"width": 400, "height": 300})
    page = context.new_page()
    watch_page(page)
    page.goto("about:blank")
    page.set_content(html)
    found = judge_page(page)
    context.close()
    return found


def test_a_good_page_has_no_complaint(browser: Browser) -> None:
    assert judge(browser) == []


@pytest.mark.parametrize(
    ("style", "body", "complaint"),
    [
        ("#two { margin-left: -60px }", "", "panels intersect"),
        ("#one { position: relative; left: -30px }", "", "panel beside the page"),
        ("", '<div style="width: 900px; clear: both">wide</div>', "the page scrolls sideways"),
        ("p { width: 40px; overflow: hidden; white-space: nowrap }", "", "clipped text"),
        ("p { height: 8px; overflow: clip }", "", "clipped text"),
        (
            "p { width: 60px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }",
            "",
            "clipped text",
        ),
        ("p { white-space: nowrap; margin-left: 150px }", "", "text sticks out"),
        ("p { margin-top: 70px }", "", "text sticks out"),
        ("p { margin-top: -14px }", "", "text on text"),
        ("p { font-size: 11px }", "", "letters of 11 px"),
        ("p { color: #999 }", "", "contrast of 2.85"),
        ("body { background: #888 } p { color: #111; background: rgb(0 0 0 / 50%) }", "",
         "contrast of"),
        ("p { display: none }", "", "empty panel: <div#one>"),
        ("", '<div data-panel style="clear:both"><p>words</p></div>', "panel without heading"),
        ("", "<h1>Another</h1>", "not exactly one h1"),
        (
            "",
            '<script>pen.font = "9px sans-serif"; pen.fillText("tiny", 2, 24)</script>',
            "painted letters of 9 px",
        ),
        ("", '<script>pen.fillText("long words", 40, 24)</script>', "painted letters are cut"),
        (
            "",
            "<script>pen.clearRect(0, 0, 60, 30)</script>",
            "nothing painted: <div#two>",
        ),
        ("canvas { margin-left: 150px }", "", "canvas sticks out"),
    ],
)  # fmt: skip
def test_each_fault_is_complained_of(
    browser: Browser, style: str, body: str, complaint: str
) -> None:
    found = judge(browser, style, body)
    assert any(line.startswith(complaint) for line in found), found


def test_a_page_without_title_or_language_is_complained_of(browser: Browser) -> None:
    found = judge_document(browser, "<!DOCTYPE html><html><body><h1>Page</h1></body></html>")
    assert found == ["no title", "no language"]


def test_text_that_scrolls_in_its_own_box_is_no_fault(browser: Browser) -> None:
    style = "#one p { width: 60px; overflow-x: auto; white-space: nowrap }"
    assert judge(browser, style) == []


def test_light_letters_on_a_dark_ground_are_measured_against_it(browser: Browser) -> None:
    assert judge(browser, "body { background: #111; color: #eee }") == []


def test_what_a_page_asks_for_and_says_on_the_console_is_witnessed(browser: Browser) -> None:
    page = browser.new_page()
    witness = watch_page(page)
    page.goto("about:blank")
    page.set_content(
        '<img src="http://127.0.0.1:9/picture.png">'
        '<script>console.error("oh"); setTimeout(() => { throw new Error("no") })</script>'
    )
    page.wait_for_timeout(200)
    complaints = witness.complaints()
    assert "request: http://127.0.0.1:9/picture.png" in complaints
    assert "error on the console: oh" in complaints
    assert any("error on the console: no" in line for line in complaints)
    page.close()
