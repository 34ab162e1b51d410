"""One HTML file that needs nothing else: data, scripts and styles inside, no request at all."""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

import orjson

from dashboards.preview.frames import DashboardFrame

UPLOT_VERSION = "1.6.32"
UPLOT_SHA256: Mapping[str, str] = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""The vendored files as npm's package holds them; a test compares."""

MOST_LINES = 40
"""Lines of a legend or a table on a picture; how many more there are is said below them."""

_OWN_SCRIPTS = ("values.js", "charts.js", "panels.js", "page.js")
_STYLES = ("uplot/uPlot.min.css", "page.css")

_LEAST_REFRESH_S = 1.0
_USUAL_REFRESH_S = 30.0
_RANGES = (
    ("now-15m", "last 15 min"), ("now-1h", "last hour"), ("now-6h", "last 6 h"),
    ("now-24h", "last 24 h"), ("now-2d", "last 2 days"), ("now-7d", "last 7 days"),
    ("now-30d", "last 30 days"),
)  # fmt: skip


class Theme(StrEnum):
    """Colours of a page; `auto` asks the reader's system."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard that can be gone to, and the variables that it can be given."""

    uid: str
    title: str
    variables: tuple[str, ...] = ()


def render_page(
    frames: Sequence[DashboardFrame],
    theme: Theme = Theme.AUTO,
    boards: Sequence[Board] = (),
    *,
    still: bool = False,
) -> str:
    """Render dashboards as one page.

    Args:
        frames: What it shows; the first one first.
        theme: Its colours to begin with.
        boards: Of a live page: every dashboard that is served. Such a page asks for fresh data by
            itself; one without them never asks for anything.
        still: Whether nobody can scroll in it, as on a picture: its legends and tables are as long
            as they are, up to `MOST_LINES`.

    """
    live = None
    if boards:
        refresh = max(frames[0].refresh_s or _USUAL_REFRESH_S, _LEAST_REFRESH_S)
        live = {"boards": boards, "ranges": _RANGES, "refresh_s": refresh}
    lines = MOST_LINES if still else None
    library, own = _read("uplot/uPlot.iife.min.js"), "\n".join(map(_read, _OWN_SCRIPTS))
    style = "\n".join(map(_read, _STYLES))
    data = {"dashboards": frames, "live": live, "lines": lines}
    own_server = "'self'" if live else "'none'"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(library)} {_hash(own)}",
            f"style-src {_hash(style)}",
            "img-src data:",
            f"connect-src {own_server}",
            "base-uri 'none'",
            f"form-action {own_server}",
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="{theme}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{html.escape(frames[0].title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<noscript>This page draws its panels with the scripts inside it; allow them to run.</noscript>
<div id="status" role="alert" hidden></div>
<header id="head"></header>
<main id="board"></main>
<script type="application/json" id="data">{_embed(data)}</script>
<script>{library}</script>
<script>{own}</script>
</body>
</html>
"""


def render_index(boards: Sequence[Board]) -> str:
    """Render the list of dashboards that a server offers."""
    items = "".join(
        f'<li><a href="/{html.escape(each.uid)}">{html.escape(each.title)}</a></li>'
        for each in boards
    )
    return render_text("Dashboards", f"<h1>Dashboards</h1><ul>{items}</ul>")


def render_text(title: str, body: str) -> str:
    """Render a page of text without scripts; the body is trusted HTML, the title any words."""
    style = _read("page.css")
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="auto">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body><article>{body}</article></body>
</html>
"""


def encode_frame(frame: DashboardFrame) -> bytes:
    """Encode a dashboard's data as the page reads it; what is no finite number becomes null."""
    return orjson.dumps(frame, option=orjson.OPT_NON_STR_KEYS)


def _embed(data: object) -> str:
    """Encode data so that it can stand inside a script element, whatever words it holds."""
    text = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _read(name: str) -> str:
    text = (files("dashboards.preview") / "assets" / name).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower():
        raise ValueError(f"{name} would end the element that it stands in")
    return text


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
