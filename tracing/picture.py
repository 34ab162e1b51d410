"""The map of spans as a picture: docs/spans.svg, drawn from the vocabulary's table of spans."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from outbound_slo.vocabulary.spans import PROVIDER_SPANS, SPANS, SpanKind, SpanName

PATH = "docs/spans.svg"

_ROW, _INDENT, _BOX, _WIDTH, _MARGIN = 46, 34, 30, 1000, 20
_NAME_WIDTH, _TAGS_FROM = 300, 470
_LETTERS = 66
_COLOURS: Mapping[SpanKind, str] = {
    SpanKind.SERVER: "#1f6feb",
    SpanKind.CONSUMER: "#8250df",
    SpanKind.CLIENT: "#bf5b04",
    SpanKind.INTERNAL: "#57606a",
}
_SHORT = {
    SpanName.HTTP_IN: "the API request; a trace of its own, which every attempt links to",
    SpanName.OUTBOUND_MESSAGE_PROCESS: "an attempt: the root of a trace, linked to the one before",
    SpanName.WEBHOOK_IN: "minutes or hours later, any process: by the stored traceparent",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """A span at its depth; `under` is the row of its parent, None for a root."""

    name: SpanName
    depth: int
    under: int | None


def build_picture() -> Mapping[str, str]:
    """Draw the tree of spans, each with its kind and the first of its tags."""
    lines = list(_list_lines())
    height = 2 * _MARGIN + _ROW * (len(lines) + 1)
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            f' width="{_WIDTH}" height="{height}" role="img"'
            ' font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">'
        ),
        "<title>The spans of a message: request, attempts, webhooks</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for row, line in enumerate(lines):
        drawn += _draw_line(row, line)
    drawn += _draw_key(len(lines))
    return {PATH: "\n".join([*drawn, "</svg>"]) + "\n"}


def _list_lines() -> Iterator[_Line]:
    rows = 0

    def walk(name: SpanName, depth: int, under: int | None) -> Iterator[_Line]:
        nonlocal rows
        own, rows = rows, rows + 1
        yield _Line(name, depth, under)
        for child in _children(name):
            yield from walk(child, depth + 1, own)

    yield from walk(SpanName.HTTP_IN, 0, None)
    yield from walk(SpanName.OUTBOUND_MESSAGE_PROCESS, 0, None)


def _children(name: SpanName) -> list[SpanName]:
    """Name the spans that stand under one; the providers' are drawn once, as WhatsApp's."""
    return [
        child
        for child, row in SPANS.items()
        if child != name
        and child not in PROVIDER_SPANS - {SpanName.WHATSAPP_SEND}
        and (name in row.parents or name in row.remote_parents)
        and not (name in PROVIDER_SPANS and child is SpanName.WEBHOOK_IN)
    ]


def _place(row: int, depth: int) -> tuple[int, int]:
    return _MARGIN + depth * _INDENT, _MARGIN + row * _ROW


def _draw_line(row: int, line: _Line) -> Iterator[str]:
    span = SPANS[line.name]
    left, top = _place(row, line.depth)
    if line.under is not None:
        dash = ' stroke-dasharray="5 4"' if span.remote_parents else ""
        above_left, above_top = _place(line.under, line.depth - 1)
        x, middle = above_left + 14, top + _BOX // 2
        yield (
            f'<path d="M{x} {above_top + _BOX} V{middle} H{left}" fill="none"'
            f' stroke="#8c959f" stroke-width="1.5"{dash}/>'
        )
    colour = _COLOURS[span.kind]
    yield (
        f'<rect x="{left}" y="{top}" width="{_NAME_WIDTH}" height="{_BOX}" rx="5" fill="{colour}"/>'
    )
    yield (
        f'<text x="{left + 12}" y="{top + 20}" fill="#ffffff" font-weight="600">'
        f"{escape(_title(line.name))}</text>"
    )
    told = _SHORT.get(line.name) or _list_tags(line.name)
    yield _write(_TAGS_FROM, top + 20, told)


def _title(name: SpanName) -> str:
    return f"{name.value} *" if name in PROVIDER_SPANS else name.value


def _list_tags(name: SpanName) -> str:
    told = ""
    for tag in SPANS[name].carries:
        longer = f"{told}, {tag.value}" if told else tag.value
        if len(longer) > _LETTERS:
            return f"{told}, …"
        told = longer
    return told


def _draw_key(row: int) -> Iterator[str]:
    left, top = _place(row, 0)
    for number, (kind, colour) in enumerate(_COLOURS.items()):
        x = left + number * 105
        yield f'<rect x="{x}" y="{top + 8}" width="14" height="14" rx="3" fill="{colour}"/>'
        yield _write(x + 20, top + 20, kind.value)
    others = " or ".join(sorted(PROVIDER_SPANS - {SpanName.WHATSAPP_SEND}))
    yield _write(_TAGS_FROM, top + 20, f"dashed: across processes   * or {others}")


def _write(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" fill="#24292f" font-size="12">{escape(text)}</text>'
