"""A page as a PNG, through headless Chromium."""

import tempfile
from pathlib import Path

from dashboards.preview.page import Theme
from outbound_slo.embedded.binaries import CHROMIUM, Tools, find_tools, present_tools
from outbound_slo.embedded.browser import Browser
from outbound_slo.vocabulary.mistakes import UserMistake

_READY = "document.documentElement.dataset.ready"


def find_browser(*, fetch: bool = False) -> Tools:
    """Find Chromium: installed, or unpacked before into the cache.

    Args:
        fetch: Fetch Debian's package where there is none, which takes a while.

    Raises:
        UserMistake: There is none.

    """
    if fetch:
        return find_tools(CHROMIUM)
    found = next(present_tools(CHROMIUM), None)
    if found is None:
        raise UserMistake(
            "A picture needs Chromium, and there is none here",
            f"Run apt-get install chromium, or name its directory in {CHROMIUM.variable}",
        )
    return found


def take_picture(page: str, width: int, theme: Theme, tools: Tools | None = None) -> bytes:
    """Draw a page and give its picture, as high as the page is, as PNG.

    Args:
        page: Its HTML.
        width: Of the window in pixels.
        theme: Colours; `auto` gives light ones.
        tools: The browser; found if None.

    Raises:
        UserMistake: There is no browser, or it does not draw.

    """
    tools = tools or find_browser()
    preferred = Theme.DARK if theme is Theme.DARK else Theme.LIGHT
    with tempfile.TemporaryDirectory(prefix="outbound-slo-page-") as name:
        place = Path(name) / "page.html"
        place.write_text(page, encoding="utf-8")
        with Browser(tools) as browser:
            return browser.photograph(place.as_uri(), width, preferred, _READY)
