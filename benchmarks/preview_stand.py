"""A Prometheus that holds a day of the modelled outbox, with an outage in it, for previews."""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from alerts.generator import render_rules
from alerts.incidents.conditions import HEALTHY, WHATSAPP, Conditions, Provider
from alerts.incidents.traffic import record
from alerts.replay.evaluation import evaluate_rules, store_samples
from alerts.replay.tape import Series, Tape, write_samples
from alerts.rule_files import find_rule_files, read_rules
from outbound_slo.embedded.binaries import PROMETHEUS, find_tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi

STEP_S: Final = 30
"""Seconds between samples."""

HISTORY_S: Final = 25 * 3600
_OUTAGE_AGO_S: Final = (2.6 * 3600, 2.0 * 3600)
_PER_STEP: Final = 40
_IN_SIGHT: Final = "1h"


@dataclass(frozen=True, slots=True)
class Stand:
    """A running Prometheus and the last instant of its data in Unix seconds."""

    api: PrometheusApi
    end_s: int


@contextmanager
def stand_up(history_s: int = HISTORY_S) -> Iterator[Stand]:
    """Fill and start a Prometheus with what all rules made of the day; gone with the context."""
    tools = find_tools(PROMETHEUS)
    end_s = int(time.time()) // STEP_S * STEP_S
    with tempfile.TemporaryDirectory() as name, Supervisor(Path(name) / "logs") as supervisor:
        directory = Path(name)
        rules = directory / "rules"
        rules.mkdir()
        for file_name, rule in render_rules().items():
            (rules / file_name).write_text(rule, encoding="utf-8")
        tape = model_day(end_s, history_s)
        made: list[Series] = []
        evaluate_rules(tools, read_rules(find_rule_files(rules)), tape, keep=made.extend)
        text = directory / "samples.txt"
        with text.open("w", encoding="utf-8") as file:
            file.writelines(write_samples(tape, (*tape.series, *made)))
            file.write("# EOF\n")
        store_samples(tools, text, directory / "prometheus" / "data")
        configuration = compose_configuration([], interval=f"{STEP_S}s")
        api = start_prometheus(
            supervisor,
            directory / "prometheus",
            configuration,
            tools=tools,
            # Nothing is scraped here: what was shown last stays in sight.
            flags=[f"--query.lookback-delta={_IN_SIGHT}"],
        )
        yield Stand(api, end_s)


def model_day(end_s: int, history_s: int) -> Tape:
    """Let the model run with an outage of WhatsApp, some busy organisations and no silent night."""
    start_s = end_s - history_s

    def weather(elapsed_s: float) -> Conditions:
        ago_s = history_s - elapsed_s
        wave = 1 + 0.5 * math.sin(elapsed_s / 5000) + 0.2 * math.sin(elapsed_s / 700)
        quota: Mapping[str, float] = MappingProxyType(
            {"acme": 0.35 + 0.5 * elapsed_s / history_s, "globex": 0.62, "initech": 0.18}
        )
        usual = replace(HEALTHY, quota_used=quota, trickle=round(_PER_STEP * wave))
        usual = usual.with_provider(Provider(failing=0.012, code="131026", final=True), WHATSAPP)
        begins, ends = _OUTAGE_AGO_S
        if ends < ago_s <= begins:
            return usual.with_provider(Provider(failing=0.97, code="131016"), WHATSAPP)
        return usual

    return record(weather, start_s=start_s, duration_s=history_s, seed=3, step_s=STEP_S)
