"""The alerts' pages as a live preview shows them, so that its links lead somewhere.

A static page has no server to ask: there the links lead to where `--var runbooks=` says, else they
name the command that prints the page.
"""

from functools import cache

from markdown_it import MarkdownIt

from alerts.explanation import list_alerts
from alerts.pages import read_page
from dashboards.preview.fields import SERVED_RUNBOOKS
from dashboards.preview.page import render_text
from outbound_slo.vocabulary.alerts import AlertName

_SUFFIX = ".md"


def render_runbook(file: str) -> str | None:
    """Render a page as HTML.

    Args:
        file: Its name as links between the pages have it (`OutboundOutage.md`); empty for the list.

    Returns:
        None: There is no such page.

    """
    if not file:
        return _render_list()
    name = file.removesuffix(_SUFFIX)
    if not file.endswith(_SUFFIX) or name not in set(AlertName):
        return None
    return render_text(name, _markdown().render(read_page(AlertName(name))))


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("js-default")


def _render_list() -> str:
    # Every alert's name is a word, so nothing of it is markup.
    names = [tiers[0].name for tiers in list_alerts()]
    items = "".join(f'<li><a href="{SERVED_RUNBOOKS}/{each}.md">{each}</a></li>' for each in names)
    return render_text("Runbooks", f"<h1>Runbooks</h1><ul>{items}</ul>")
