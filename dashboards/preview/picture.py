"""A page as a PNG, through headless Chromium."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


Camera = Callable[[str, int, Theme], bytes]
"""Draws a page (its HTML) at a width in pixels and a theme, as high as it is; gives a PNG.

`auto` gives light colours. Raises `UserMistake` where the browser does not draw.
"""


@contextmanager
def open_browser(tools: Tools | None = None) -> Iterator[Camera]:
    """Start a browser that takes pictures while the context lasts.

    Raises:
        UserMistake: There is no browser, or it can't be started.

    """
    tools = tools or find_browser()
    with (
        tempfile.TemporaryDirectory(prefix="outbound-slo-page-") as name,
        Browser(tools) as browser,
    ):

        def take_picture(page: str, width: int, theme: Theme) -> bytes:
            place = Path(name) / "page.html"
            place.write_text(page, encoding="utf-8")
            preferred = Theme.DARK if theme is Theme.DARK else Theme.LIGHT
            return browser.photograph(place.as_uri(), width, preferred, _READY)

        yield take_picture
