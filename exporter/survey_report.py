"""How `exporter check` shows what it found: a table for people, JSON for machines."""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exporter.pack import Pack
from exporter.survey import Finding, Report


def show_packs(packs: Sequence[Pack], console: Console) -> None:
    """Say what each pack has."""
    for pack in packs:
        console.print(
            f"[bold]{pack.name}[/bold]: {len(pack.metrics)} metrics from "
            f"{len(pack.queries)} queries, well formed"
        )


def show_report(report: Report, console: Console) -> None:
    """Show the state of one database: a row per query, with a mend or a line about its cost."""
    name = f"{report.database}: " if report.database else ""
    console.print(f"{name}{report.server}", markup=False, highlight=False)
    table = Table()
    for heading in ("Query", "Cost", "Rows", "Trouble", "Advice"):
        # A name that is cut short can neither be searched for nor mended.
        table.add_column(heading, overflow="fold")
    for found in report.findings:
        table.add_row(
            f"{found.pack}/{found.query}",
            f"{found.plan.cost:.0f}" if found.plan else "-",
            str(found.plan.rows) if found.plan else "-",
            escape("; ".join(trouble.what for trouble in found.troubles)) or "none",
            escape(_advice(found)),
        )
    console.print(table)


def _advice(found: Finding) -> str:
    mends = dict.fromkeys(trouble.mend for trouble in found.troubles)
    return "; ".join(mends) or found.advice


def write_json(packs: Sequence[Pack], reports: Sequence[Report]) -> str:
    """Write everything that was found."""
    return json.dumps(
        {
            "packs": [
                {"pack": p.name, "metrics": len(p.metrics), "queries": len(p.queries)}
                for p in packs
            ],
            "databases": [
                {
                    "database": report.database,
                    "server": report.server,
                    "queries": [
                        {
                            "pack": found.pack,
                            "query": found.query,
                            "cost": found.plan.cost if found.plan else None,
                            "rows": found.plan.rows if found.plan else None,
                            "troubles": [
                                {"what": trouble.what, "mend": trouble.mend}
                                for trouble in found.troubles
                            ],
                            "advice": found.advice,
                        }
                        for found in report.findings
                    ],
                }
                for report in reports
            ],
        },
        indent=2,
    )
