"""The error catalogue as a table: what the runbook says of a code beside what Meta says."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from outbound_slo.vocabulary.errors import (
    CATALOGUES,
    Agreement,
    Catalogue,
    ErrorMeaning,
    agreement,
    meanings,
)
from outbound_slo.vocabulary.mistakes import UserMistake

_AGREEMENT_STYLES = {
    Agreement.DIFFERENT: "bold red",
    Agreement.PARTIAL: "yellow",
    Agreement.RETRY_DIFFERS: "yellow",
}

_DETAILS = (
    ("meaning", "title"),
    ("category", "category"),
    ("retry", "retryable"),
    ("rate limit", "rate_limit"),
    ("action", "action"),
    ("source", "source"),
)


def print_errors(
    code: Annotated[
        str | None, typer.Option("--code", help="Only this code, for example 131031.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
) -> None:
    """Print the error codes with the runbook's and Meta's meanings side by side."""
    codes = _listed_codes() if code is None else [code]
    if code is not None and not meanings(code):
        raise UserMistake(
            f"No catalogue has the error code {code!r}",
            "Run `outbound-slo errors` without --code for the list.",
        )
    if as_json:
        typer.echo(json.dumps([_record(each) for each in codes], indent=2))
    else:
        Console().print(_overview(codes) if code is None else _details(code))


def _listed_codes() -> list[str]:
    """List every code once: the numbers in order, then the names."""
    codes = {meaning.code for rows in CATALOGUES.values() for meaning in rows}
    return sorted(codes, key=lambda code: (not code[0].isdigit(), _number(code), code))


def _number(code: str) -> int:
    first = code.partition("-")[0]
    return int(first) if first.isdigit() else 0


def _meanings(code: str) -> dict[Catalogue, ErrorMeaning]:
    """Find a code's meanings; a range such as 201-299 is asked for as the catalogue writes it."""
    as_written = {
        catalogue: meaning
        for catalogue, rows in CATALOGUES.items()
        for meaning in rows
        if meaning.code == code
    }
    return as_written or dict(meanings(code))


def _record(code: str) -> dict[str, object]:
    verdict = agreement(code)
    return {
        "code": code,
        "agreement": verdict and verdict.value,
        **{
            catalogue.value: {
                "title": meaning.title,
                "category": meaning.category.value,
                "retryable": meaning.retryable.value,
                "rate_limit": meaning.rate_limit,
                "action": meaning.action,
                "source": meaning.source,
            }
            for catalogue, meaning in _meanings(code).items()
        },
    }


def _overview(codes: list[str]) -> Table:
    """One line per code: what it is called and what becomes of the message, twice."""
    table = Table(
        title="Error codes",
        caption="red: the two mean different things; yellow: partly, or the retry differs",
    )
    for heading in ("Code", "Runbook or house", "Retry", "Meta", "Retry"):
        table.add_column(heading, no_wrap=heading in {"Code", "Retry"}, overflow="fold")
    for code in codes:
        known = _meanings(code)
        ours = known.get(Catalogue.RUNBOOK) or known.get(Catalogue.HOUSE)
        cells = (*_brief(ours), *_brief(known.get(Catalogue.META)))
        table.add_row(code, *cells, style=_style(agreement(code)))
    return table


def _details(code: str) -> Table:
    """One column per catalogue that has the code, with its category and action."""
    verdict = agreement(code)
    table = Table(
        title=f"Error code {code}",
        caption=f"runbook and Meta: {_spaced(verdict)}" if verdict else None,
    )
    known = _meanings(code)
    table.add_column("")
    for catalogue in known:
        table.add_column(catalogue.value, style=_style(verdict))
    for label, field in _DETAILS:
        table.add_row(label, *(_spaced(getattr(each, field)) for each in known.values()))
    return table


def _brief(meaning: ErrorMeaning | None) -> tuple[str, str]:
    return (meaning.title, _spaced(meaning.retryable)) if meaning else ("", "")


def _style(verdict: Agreement | None) -> str:
    return _AGREEMENT_STYLES.get(verdict, "") if verdict else ""


def _spaced(value: str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.replace("_", " ") if isinstance(value, StrEnum) else value
