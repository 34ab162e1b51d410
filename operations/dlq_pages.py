"""The report on dead letters as people read it."""

from datetime import datetime

from rich.console import Console
from rich.markup import escape

from operations.dead_letters import Report, describe_code
from operations.output import build_table


def print_report(console: Console, report: Report) -> None:
    """Print the report: size, codes, categories, ages, organisations, growth, next steps."""
    console.print(escape(_head(report)))
    if not report.total:
        return
    _print_codes(console, report)
    _print_categories(console, report)
    rows = [(age, messages) for age, messages in report.ages]
    console.print(build_table("By age", ("Made", "Messages"), rows, right="Messages"))
    console.print(
        build_table("By organisation", ("Organisation", "Messages"), report.orgs, right="Messages")
    )
    days = [(day.date().isoformat(), messages, orgs) for day, messages, orgs in report.days]
    console.print(
        build_table(
            "Growth over seven days", ("Day", "Messages", "Orgs"), days, right="Messages, Orgs"
        )
    )
    if report.latest:
        _print_latest(console, report)
    console.print("Next:")
    for number, step in enumerate(report.suggest(), 1):
        console.print(escape(f"{number}. {step.why}:"))
        console.print(escape(f"   {step.command}"), soft_wrap=True)


def _head(report: Report) -> str:
    where = f" in {report.channel.label}" if report.channel else ""
    whose = f" of {report.org}" if report.org else ""
    above = f", above the alert line of {report.line}" if report.line else ""
    return f"Dead letters{where}{whose}: {report.total:,}{above}."


def _print_codes(console: Console, report: Report) -> None:
    headings = ("Channel", "Code", "Retry", "Messages", "%", "Orgs")
    rows = [
        (
            each.channel.lower(),
            each.code or "none",
            report.retryable(each.code).value.replace("_", " "),
            each.messages,
            100 * each.messages / report.total,
            each.orgs,
        )
        for each in report.codes
    ]
    title = "By channel and code"
    console.print(build_table(title, headings, rows, right="Messages, %, Orgs"))
    # Two tables: codes and numbers would be folded to make room for the meanings.
    last: dict[str | None, datetime] = {}
    for each in report.codes:
        last[each.code] = max(last.get(each.code, each.last_touched), each.last_touched)
    meant = [
        (code or "none", moment.date().isoformat(), describe_code(code))
        for code, moment in last.items()
    ]
    console.print(build_table("What they mean", ("Code", "Last", "Meaning"), meant))


def _print_categories(console: Console, report: Report) -> None:
    headings = ("Category (001)", "Recommended", "Messages", "Orgs")
    rows = [
        (each.triage.category, each.triage.action, each.messages, each.orgs)
        for each in report.categories
    ]
    title = "By 001's categories"
    console.print(build_table(title, headings, rows, right="Messages, Orgs"))


def _print_latest(console: Console, report: Report) -> None:
    headings = ("Message", "Code", "Error", "Recipient", "Template")
    rows = [
        (str(each["id"]), each["code"], each["error"], each["recipient"], each["template"])
        for each in report.latest
    ]
    console.print(build_table("Failed last", headings, rows, right="Message"))
