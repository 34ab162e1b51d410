"""How large a number may be that people type: what the database can't bear is refused at once."""

import math

import typer

LARGEST_ID = 2**63 - 1
"""Largest number of a message or an operation that a column holds."""

TEN_YEARS_DAYS = 3650.0
TEN_YEARS_HOURS = 24 * TEN_YEARS_DAYS
TEN_YEARS_MINUTES = 60 * TEN_YEARS_HOURS


def refuse_nan(value: float | None) -> float | None:
    """Refuse `nan`, which lies beyond no bound; for `typer.Option(callback=...)`.

    Raises:
        typer.BadParameter: It is that.

    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number.")
    return value
