"""Printing an explanation for people, in lines of 80 columns."""

import textwrap

import typer

from tracing.explanation import Explanation
from tracing.tree import show_moment

_WIDTH = 80


def tell_explanation(explanation: Explanation) -> None:
    """Print an explanation."""
    typer.echo("\n".join(write_lines(explanation)))


def write_lines(explanation: Explanation) -> list[str]:
    """Give the lines of an explanation; a trace id, a command or an address is never broken."""
    lines = _wrap(f"message {explanation.message_id}. {explanation.summary}.")
    for story in explanation.attempts:
        number = "?" if story.attempt is None else story.attempt
        moment = show_moment(story.start_us)
        lines += ["", f"attempt {number}  {moment}  trace {story.trace_id}"]
        for sentence in story.sentences:
            lines += _wrap(sentence, "  ", "  ")
        if story.section is not None:
            lines += _wrap(f"Runbook 000: {story.section}", "  ", "    ")
    for heading, items in (
        ("Still missing:", explanation.missing),
        ("Runbook 000:", explanation.sections),
        ("What to do next:", explanation.steps),
    ):
        if items:
            lines += ["", heading]
            for item in items:
                lines += _wrap(item, "  - ", "    ")
    return lines


def _wrap(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
