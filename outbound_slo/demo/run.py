"""One demo from start to report."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import requests
from psycopg.rows import scalar_row
from rich.console import Console

from exporter.rollup.organisations import watch
from outbound_slo.database import connect, load_queries
from outbound_slo.demo.background import write_background
from outbound_slo.demo.conductor import Orchestra, Record, conduct
from outbound_slo.demo.content import ORGANISATIONS
from outbound_slo.demo.fates import OutboxRow, Reckoning, reckon
from outbound_slo.demo.judge import Evidence, date_by_pages, judge_run
from outbound_slo.demo.night import STATUS_FILE, NightWatch
from outbound_slo.demo.pace import Pace
from outbound_slo.demo.picture import Camera, save_picture
from outbound_slo.demo.previews import keep_previews
from outbound_slo.demo.report import REPORT_FILE, Report, Story, write_json
from outbound_slo.demo.scenario import OUTAGE_ALERTS, OUTAGE_CODE, STANDING_FAULTS, Scenario
from outbound_slo.demo.sheet import draw_opening
from outbound_slo.demo.sla import read_sla
from outbound_slo.demo.stack import Stack, find_runbooks
from outbound_slo.demo.timeline import Timeline
from outbound_slo.demo.view import open_view
from outbound_slo.demo.watch import Watch
from outbound_slo.demo.workload import Workload
from outbound_slo.vocabulary.errors import ErrorPolicy, classify
from outbound_slo.vocabulary.statuses import MessageStatus
from tracing.jaeger import JaegerClient

_QUERIES = load_queries("outbound_slo.demo", "sql/watch.sql")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Attributes:
        rate: Messages per second.
        seed: Decides people, messages, delays and duplicates.
        plain: Lines instead of the live view.
        directory: For data, logs and report; exists and is empty.
        picture: SVG file for the screen at the height of the incident; None for no picture.

    """

    timeline: Timeline
    pace: Pace
    scenario: Scenario
    rate: float
    seed: int
    plain: bool
    directory: Path
    picture: Path | None = None


def run_demo(plan: Plan, console: Console) -> Report:
    """Start everything, play the timeline, stop everything; the report is written as JSON too.

    Raises:
        UserMistake: Something can't be started, ended by itself, or does not answer.

    """
    started_at = datetime.now(UTC)
    console.print(draw_opening(plan.pace, plan.timeline, plan.scenario.story))
    console.print(f"Data, logs and report: {plan.directory}", soft_wrap=True, highlight=False)

    console.print("Setting up:", highlight=False)

    def announce(what: str) -> None:
        console.print(f"  {what} …", style="dim", highlight=False)

    with (
        Stack(plan.directory, plan.pace, plan.seed, announce) as stack,
        connect(stack.addresses.database, autocommit=True) as connection,
    ):
        console.print("Look around while it runs:", highlight=False)
        for name, link in stack.links.items():
            console.print(f"  {name}: {link}", soft_wrap=True, highlight=False)
        report = _perform(plan, console, stack, connection, started_at)
    text = json.dumps(write_json(report), indent=2, ensure_ascii=False)
    (plan.directory / REPORT_FILE).write_text(text + "\n", encoding="utf-8")
    return report


def _perform(
    plan: Plan,
    console: Console,
    stack: Stack,
    connection: psycopg.Connection,
    started_at: datetime,
) -> Report:
    began_at = datetime.now(UTC)
    workload = Workload(plan.seed)
    with connection.transaction():
        write_background(connection, workload.people)
    watch(stack.addresses.database, [each.org_id for each in ORGANISATIONS])
    stack.provider.set_faults(STANDING_FAULTS)
    eyes = Watch(connection, stack.prometheus, stack.alertmanager, stack.pager)
    night = NightWatch(stack.addresses.database, plan.directory / STATUS_FILE)
    with Camera(open_view(console, plan.timeline, stack.links, plain=plan.plain)) as camera:
        orchestra = Orchestra(
            connection, stack.provider, workload, eyes, camera, night, stack.require_running
        )
        record = conduct(orchestra, plan.timeline, plan.scenario, plan.rate)
    if plan.picture is not None and camera.best is not None:
        save_picture(plan.picture, camera.best, plan.timeline)
    evidence = _collect_evidence(connection, stack, eyes, record)
    reckoning = _reckon(connection, stack, record)
    lasted_s = (datetime.now(UTC) - started_at).total_seconds()
    # Without the set-up, in which Prometheus rightly says that it has no data.
    worked_s = (datetime.now(UTC) - began_at).total_seconds()
    return Report(
        started_at=started_at,
        seed=plan.seed,
        rate=plan.rate,
        scenario=plan.scenario.name,
        pace=plan.pace,
        timeline=plan.timeline,
        directory=plan.directory,
        sla=read_sla(stack.prometheus, lasted_s),
        evidence=evidence,
        verdict=judge_run(evidence, reckoning),
        reckoning=reckoning,
        webhooks=stack.provider.count_webhooks(),
        failed=_tell_story(connection, stack, "A message that failed", "pick_failed"),
        delivered=_tell_story(connection, stack, "A message that was delivered", "pick_delivered"),
        status=night.file if night.file.exists() else None,
        dashboards=keep_previews(
            stack.prometheus, stack.timing, find_runbooks(), worked_s, plan.directory
        ),
    )


def _collect_evidence(
    connection: psycopg.Connection, stack: Stack, watch: Watch, record: Record
) -> Evidence:
    with connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(_QUERIES["first_failure"].encode(), {"code": OUTAGE_CODE})
        first_failure_at = cursor.fetchone()
    pages = stack.pager.pages
    return Evidence(
        expected=frozenset(name.value for name in OUTAGE_ALERTS),
        broke_at=record.broke_at,
        healed_at=record.healed_at,
        first_failure_at=first_failure_at,
        fired=date_by_pages(watch.fired, pages, lambda page: page.started_at),
        reached=date_by_pages(watch.reached, pages, lambda page: page.received_at),
        pages=pages,
    )


def _reckon(connection: psycopg.Connection, stack: Stack, record: Record) -> Reckoning:
    found = connection.execute(_QUERIES["read_outbox"].encode()).fetchall()
    rows = [OutboxRow(row[0], MessageStatus(row[1]), row[2], row[3]) for row in found]
    codes = {row.error_code for row in rows if row.error_code}
    return reckon(
        record.queued,
        {row.id: row for row in rows},
        stack.provider.count_acceptances(),
        {code for code in codes if classify(code, None, ErrorPolicy.RUNBOOK).retryable.automatic},
    )


def _tell_story(connection: psycopg.Connection, stack: Stack, title: str, query: str) -> Story:
    with connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute(_QUERIES[query].encode(), {"code": OUTAGE_CODE})
        message = cursor.fetchone()
    if message is None:
        return Story(title, None, ())
    session = requests.Session()
    # A proxy of the environment does not lead back to loopback.
    session.trust_env = False
    client = JaegerClient(stack.addresses.traces, session=session)
    return Story(title, message, client.traces_of_message(message))
