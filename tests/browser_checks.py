"""Judges any page in a real browser by what a reader would complain of.

`watch_page` goes before the page is loaded, `judge_page` after it is drawn; each gives complaints,
none of which is good. A panel is what has the attribute `data-panel`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Request

_PROBE = Path(__file__).with_name("browser_checks.js").read_text(encoding="utf-8")

# Letters on a canvas have no style and no box to ask for, so they are noted down when painted:
# their size in pixels, and how far they reach over the canvas's edges, left or right.
_NOTE_FONTS = """
window.paintedTexts = new Map();
const paint = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
  const size = /([\\d.]+)px/.exec(this.font);
  const box = this.measureText(text);
  const place = this.getTransform();
  const ends = [-box.actualBoundingBoxLeft, box.actualBoundingBoxRight]
    .map((side) => place.transformPoint(new DOMPoint(x + side, y)).x);
  const over = Math.max(-Math.min(...ends), Math.max(...ends) - this.canvas.width);
  const painted = window.paintedTexts.get(this.canvas) || [];
  const pixels = size ? Number(size[1]) / devicePixelRatio : 0;
  painted.push([pixels, over / devicePixelRatio, String(text)]);
  window.paintedTexts.set(this.canvas, painted);
  return paint.call(this, text, x, y, ...rest);
};
const clear = CanvasRenderingContext2D.prototype.clearRect;
CanvasRenderingContext2D.prototype.clearRect = function (...box) {
  window.paintedTexts.delete(this.canvas);
  return clear.apply(this, box);
};
"""


@dataclass
class Witness:
    """What a page did while it was watched: its errors, and every request but its own."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """List errors on the console and requests."""
        return [
            *(f"error on the console: {text}" for text in self.errors),
            *(f"request: {url}" for url in self.requests),
        ]


def watch_page(page: Page) -> Witness:
    """Watch a page from before it is loaded."""
    witness = Witness()

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            witness.errors.append(message.text)

    def see(request: Request) -> None:
        if not request.is_navigation_request() and not request.url.startswith("data:"):
            witness.requests.append(request.url)

    page.on("console", hear)
    page.on("pageerror", lambda error: witness.errors.append(str(error)))
    page.on("request", see)
    page.add_init_script(_NOTE_FONTS)
    return witness


def judge_page(page: Page) -> list[str]:
    """Give every complaint about a page as it is drawn now, one line each.

    Boxes that intersect, a page that scrolls sideways, clipped or overlapping text, letters under
    12 px, empty panels, contrast below WCAG's AA, no title, language or headings.
    """
    found: list[str] = page.evaluate(_PROBE)
    return found
