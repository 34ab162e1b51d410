"""The `errors` command: what the runbook says of a code, what Meta says, and which one counts."""

import difflib
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from outbound_slo.vocabulary.errors import (
    CATALOGUES,
    Agreement,
    Catalogue,
    Category,
    ErrorMeaning,
    ErrorPolicy,
    agreement,
    classify,
    meanings,
)
from outbound_slo.vocabulary.mistakes import UserMistake

_AGREEMENT_STYLES: Final = {
    Agreement.DIFFERENT: "bold red",
    Agreement.PARTIAL: "yellow",
    Agreement.RETRY_DIFFERS: "yellow",
}

_DIFFERING: Final = frozenset(_AGREEMENT_STYLES)

_DETAILS: Final = (
    ("meaning", "title"),
    ("category", "category"),
    ("retry", "retryable"),
    ("rate limit", "rate_limit"),
    ("limits", "limits"),
    ("wait, seconds", "wait_s"),
    ("action", "action"),
    ("source", "source"),
)

_BY_STATUS: Final = re.compile(r"http_([1-5]\d\d)")
_EXAMPLE_STATUSES: Final = (400, 429, 500)
_UNKNOWN_CODE: Final = 1


def print_errors(
    code: Annotated[
        str | None, typer.Argument(help="Only this code, for example 131031 or session_expired.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Only codes of this category, for example 'Rate Limit'.")
    ] = None,
    policy: Annotated[
        ErrorPolicy,
        typer.Option(envvar="WHATSAPP_ERROR_POLICY", help="Whose word on a code counts."),
    ] = ErrorPolicy.RUNBOOK,
    differs: Annotated[
        bool, typer.Option("--differs", help="Only codes on which runbook and Meta disagree.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for machines.")] = False,
) -> None:
    """Print the error codes with the runbook's and Meta's meanings side by side.

    A code that no catalogue has is shown with the fate that its HTTP status gives it, exit code 1.
    """
    if code is not None:
        if category is not None or differs:
            raise UserMistake(
                "A code and a filter can't be asked for together",
                "Give CODE alone, or --category and --differs without it",
            )
        _print_one(code, policy, as_json=as_json)
        return
    chosen = [each for each in _listed_codes() if _fits(each, category, policy, differs=differs)]
    if as_json:
        typer.echo(json.dumps([_record(each, policy) for each in chosen], indent=2))
    else:
        Console().print(_overview(chosen, policy))


def _print_one(code: str, policy: ErrorPolicy, *, as_json: bool) -> None:
    known = bool(_meanings(code)) or _BY_STATUS.fullmatch(code) is not None
    if as_json:
        typer.echo(json.dumps([_record(code, policy)], indent=2))
    else:
        Console().print(_details(code, policy) if _meanings(code) else _unexplained(code, policy))
    if not known:
        near = _find_near(code)
        hint = f"; the nearest: {', '.join(near)}" if near else ""
        typer.echo(f"outbound-slo: No catalogue has the error code {code!r}{hint}", err=True)
        raise typer.Exit(_UNKNOWN_CODE)


def _find_near(code: str) -> list[str]:
    """Name up to three codes that may be meant: those that go on as this one ends come first."""
    codes = _listed_codes()
    longer = [each for each in codes if len(code) > 1 and each.lower().startswith(code.lower())]
    alike = difflib.get_close_matches(code, codes, n=3, cutoff=0.5)
    return list(dict.fromkeys([*longer, *alike]))[:3]


def _fits(code: str, category: str | None, policy: ErrorPolicy, *, differs: bool) -> bool:
    if differs and agreement(code) not in _DIFFERING:
        return False
    if category is None:
        return True
    wanted = _find_category(category)
    told = {meaning.category for meaning in _meanings(code).values()}
    return wanted in told or _in_force(code, policy).category is wanted


def _find_category(text: str) -> Category:
    spelled = {_fold(category): category for category in Category}
    found = spelled.get(_fold(text))
    if found is None:
        near = difflib.get_close_matches(_fold(text), spelled, n=1, cutoff=0.5)
        hint = f"Did you mean '{spelled[near[0]]}'?" if near else ""
        names = ", ".join(Category)
        raise UserMistake(f"--category {text!r} is no category", f"{hint} One of: {names}".strip())
    return found


def _fold(text: str) -> str:
    return text.lower().replace("_", " ").replace("-", " ").strip()


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


def _in_force(code: str, policy: ErrorPolicy) -> ErrorMeaning:
    """Tell what the sender makes of a code, `http_503` and its like by their status."""
    known = _meanings(code)
    if known and not meanings(code):
        return next(iter(known.values()))
    by_status = _BY_STATUS.fullmatch(code)
    return classify(code, int(by_status[1]) if by_status else None, policy)


def _tell(meaning: ErrorMeaning) -> dict[str, object]:
    return {
        "title": meaning.title,
        "category": meaning.category.value,
        "retryable": meaning.retryable.value,
        "rate_limit": meaning.rate_limit,
        "limits": meaning.limits and meaning.limits.value,
        "wait_s": meaning.wait_s,
        "action": meaning.action,
        "source": meaning.source,
    }


def _record(code: str, policy: ErrorPolicy) -> dict[str, object]:
    verdict = agreement(code)
    known = _meanings(code)
    return {
        "code": code,
        "agreement": verdict and verdict.value,
        **{catalogue.value: _tell(meaning) for catalogue, meaning in known.items()},
        "policy": policy.value,
        "in_force": _tell(_in_force(code, policy)),
    }


def _overview(codes: Sequence[str], policy: ErrorPolicy) -> Table:
    """One line per code: what it is called and what becomes of the message, twice."""
    table = Table(
        title=f"{len(codes)} error codes",
        caption="red: the two mean different things; yellow: partly, or the retry differs. "
        f"In force: what the sender does under WHATSAPP_ERROR_POLICY={policy.value}.",
    )
    for heading in ("Code", "Runbook or house", "Retry", "Meta", "Retry", "In force"):
        fixed = heading not in {"Runbook or house", "Meta"}
        table.add_column(heading, no_wrap=fixed, overflow="fold")
    for code in codes:
        known = _meanings(code)
        ours = known.get(Catalogue.RUNBOOK) or known.get(Catalogue.HOUSE)
        cells = (*_brief(ours), *_brief(known.get(Catalogue.META)))
        fate = _spaced(_in_force(code, policy).retryable)
        table.add_row(code, *cells, fate, style=_style(agreement(code)))
    return table


def _details(code: str, policy: ErrorPolicy) -> Table:
    """One column per catalogue that has the code, and what counts of it."""
    verdict = agreement(code)
    table = Table(
        title=f"Error code {code}",
        caption=f"runbook and Meta: {_spaced(verdict)}" if verdict else None,
    )
    known = _meanings(code)
    table.add_column("")
    for catalogue in known:
        table.add_column(catalogue.value, style=_style(verdict))
    table.add_column(f"in force ({policy.value})")
    told = [*known.values(), _in_force(code, policy)]
    for label, field in _DETAILS:
        table.add_row(label, *(_spaced(getattr(each, field)) for each in told))
    return table


def _unexplained(code: str, policy: ErrorPolicy) -> Table:
    """Show the fate of a message whose code nobody explains: its HTTP status decides."""
    by_status = _BY_STATUS.fullmatch(code)
    statuses = [int(by_status[1])] if by_status else [None, *_EXAMPLE_STATUSES]
    table = Table(
        title=f"Error code {code}: in no catalogue",
        caption="The attempt keeps the code and the provider's words; the HTTP status decides.",
    )
    for heading in ("HTTP status", "Category", "Retry", "Rate limit", "Action"):
        table.add_column(heading)
    for status in statuses:
        fate = classify(code, status, policy)
        shown = "none" if status is None else str(status)
        cells = (fate.category, fate.retryable, fate.rate_limit, fate.action)
        table.add_row(shown, *(_spaced(cell) for cell in cells))
    return table


def _brief(meaning: ErrorMeaning | None) -> tuple[str, str]:
    return (meaning.title, _spaced(meaning.retryable)) if meaning else ("", "")


def _style(verdict: Agreement | None) -> str:
    return _AGREEMENT_STYLES.get(verdict, "") if verdict else ""


def _spaced(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return value.replace("_", " ") if isinstance(value, StrEnum) else value
