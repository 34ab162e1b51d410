"""Runs a plan on real processes, waits until nothing moves any more, and has it judged."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path

from outbound_slo.database import migrate
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.schema import all_migrations
from tests.faults.arena import Arena
from tests.faults.evidence import collect, count_unfinished, look_for_damage
from tests.faults.feeder import Feeder
from tests.faults.judge import Verdict, judge
from tests.faults.plan import NO_FAULTS, Plan
from tests.faults.sinkhole import Sinkhole
from tests.faults.strikes import strike

CALM = {"paused": False, "silent_rate": 0.0, "bad_signature_rate": 0.0, "late_rate": 0.0}
SETTLING_PATIENCE_S = 90.0
"""Only bounds a failure: what waits so long without any progress is lost."""

_TEMPLATE = "faults_template"
_CLOSING_MESSAGES = 20
_ROUND_S = 10.0
_LOOK_S = 0.2
_numbers = count(1)


@contextmanager
def running_server() -> Iterator[EmbeddedPostgres]:
    """Run a PostgreSQL whose commits survive a crash, with a migrated template database."""
    with EmbeddedPostgres(fsync=True, settings={"max_connections": "100"}) as server:
        migrate(server.create_database(_TEMPLATE), all_migrations())
        yield server


def run(plan: Plan, server: EmbeddedPostgres, directory: Path) -> Verdict:
    """Run a plan in a database of its own and judge it; logs go to `directory`."""
    name = f"faults_{next(_numbers)}"
    database = server.create_database(name, template=_TEMPLATE)
    with Sinkhole() as sinkhole, Supervisor(directory) as supervisor:
        arena = Arena(supervisor, server, sinkhole, database, plan)
        arena.start_simulator()
        for number in range(len(plan.senders)):
            arena.start_sender(number)
        contradictions: set[str] = set()
        feeder = Feeder(database, plan.load, plan.seed)
        with feeder:
            for step in plan.steps:
                time.sleep(step.after_s)
                strike(arena, step.blow)
                contradictions |= look_for_damage(database)
        _settle(arena, feeder)
        arena.end_senders()
        evidence = collect(
            database,
            arena.simulator_url,
            confirmed=feeder.confirmed,
            lost_processes=arena.lost_processes,
            logs=arena.logs(),
            endings=tuple(arena.endings),
            contradictions=contradictions,
        )
    server.drop_database(name)
    (directory / "evidence.json").write_text(json.dumps(asdict(evidence), default=sorted))
    return judge(evidence, plan.allowance, resends=plan.resends)


def _settle(arena: Arena, feeder: Feeder) -> None:
    """Heal everything and wait for the end; what does not come to one, the judge will find."""
    arena.set_faults(NO_FAULTS)
    arena.set_behaviour(CALM)
    fewest, deadline = math.inf, time.monotonic() + SETTLING_PATIENCE_S
    while time.monotonic() < deadline:
        # A business goes on: re-sends of unknown outcomes are held until good webhooks come again,
        # and these messages bring some.
        feeder.feed_more(_CLOSING_MESSAGES)
        left = _wait_a_round(arena)
        if left == 0:
            arena.flush_webhooks()
            # Receipts that came late may have brought further work.
            left = _wait_a_round(arena)
            if left == 0:
                return
        if left < fewest - _CLOSING_MESSAGES:
            # A backlog that shrinks on a slow machine is not lost.
            fewest, deadline = left, time.monotonic() + SETTLING_PATIENCE_S


def _wait_a_round(arena: Arena) -> int:
    """Wait until nothing is left to do, for some seconds at most; give what is left."""
    deadline = time.monotonic() + _ROUND_S
    left = count_unfinished(arena.database)
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        left = count_unfinished(arena.database)
    return left
