"""Stage one: which alerts fire when, had Prometheus scraped these series.

A real Prometheus on loopback evaluates the rules' expressions over the whole tape at once: its
clock cannot be hurried, but a range query asks it for every instant. What a rule records becomes a
series that the rules after it read, so rules go by layers, and Prometheus is started anew with what
the layer before has recorded. `for` and `keep_firing_for` are applied by `pending`. That this gives
what promtool's simulated clock gives, at every instant and label, is a test; promtool evaluates
each instant by itself and takes about twenty times as long.

A recording that reads what it recorded before can't be asked for all instants at once; those few go
step by step (`recurrence`).

A series that is absent at an instant is absent at once, as Prometheus sees a target whose scrape
failed: the look-back is kept below one step.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alerts.expressions import read_expression
from alerts.replay.pending import Firing, Stage, find_spans, stage_alert
from alerts.replay.recurrence import RECEIVE_FLAG, evaluate_stepwise
from alerts.replay.tape import Labels, Series, Tape, Values, sort_labels, write_samples
from alerts.replay.template import fill_template
from alerts.rule_files import WrittenRule
from alerts.timing import parse_duration
from outbound_slo.embedded.binaries import Tools
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.metrics import ALERTS
from outbound_slo.vocabulary.mistakes import UserMistake

FOREVER: Final = "100y"
# Prometheus answers a range query of at most 11,000 instants.
_MOST_INSTANTS: Final = 10_000
# Wide enough for one block: promtool reads its input once per block.
_BLOCK: Final = "400000h"
_PATIENCE_S: Final = 300.0


def read_duration(text: str) -> float:
    """Read a duration that somebody wrote as Prometheus does, in seconds; an empty one is 0.

    Raises:
        UserMistake: It is none.

    """
    try:
        return parse_duration(text or "0")
    except ValueError as error:
        raise UserMistake(str(error), "Write it as 5m or 1m30s") from None


def metrics_read(rules: Sequence[WrittenRule]) -> frozenset[str]:
    """Names of the series that the rules need from outside: read, and recorded by none of them."""
    made = {rule.record for rule in rules if rule.record} | {ALERTS.name}
    read = frozenset[str]().union(*(_reads(rule) for rule in rules))
    return read - made


def evaluate_rules(
    tools: Tools,
    rules: Sequence[WrittenRule],
    tape: Tape,
    keep: Callable[[Sequence[Series]], None] | None = None,
) -> Sequence[Firing]:
    """Find what fires, in the order in which it does.

    Args:
        tools: Prometheus and promtool.
        rules: Recordings and alerts.
        tape: What was scraped.
        keep: Takes the series that each layer of rules has made, for who wants more than alerts.

    Raises:
        UserMistake: A rule depends on itself, or Prometheus refuses an expression.

    """
    firings: list[Firing] = []
    layers = list(layer_rules(rules))
    # What recordings that read themselves read besides is handed to them step by step.
    handed = frozenset[str]().union(*(_reads(rule) for rule in rules if _recurs(rule)))
    kept = [each for each in tape.series if each.name in handed]
    with tempfile.TemporaryDirectory(prefix="outbound-slo-replay-") as workshop:
        directory = Path(workshop)
        made: Sequence[Series] = tape.series
        for number, layer in enumerate(layers):
            read = frozenset[str]().union(
                *(_reads(rule) for later in layers[number:] for rule in later)
            )
            _store(tools, directory, tape, [each for each in made if each.name in read])
            with _open_prometheus(tools, directory, tape) as api:
                plain = [rule for rule in layer if not _recurs(rule)]
                made = _evaluate_layer(api, plain, tape, firings)
            if recurrent := [rule for rule in layer if _recurs(rule)]:
                with _open_prometheus(tools, directory / f"steps-{number}", tape) as api:
                    made = [*made, *_evaluate_recurrent(api, recurrent, tape, kept)]
            kept += [each for each in made if each.name in handed]
            if keep is not None:
                keep(made)
    return sorted(firings, key=_by_time)


def layer_rules(rules: Sequence[WrittenRule]) -> Iterator[Sequence[WrittenRule]]:
    """Order rules into layers, each of which reads only what layers before it have made.

    A recording may read what it recorded itself, but no other that does so by way of it.

    Raises:
        UserMistake: A rule needs what it makes itself by way of another.

    """
    waiting = list(rules)
    makers = defaultdict(list)
    for rule in rules:
        makers[rule.record or ALERTS.name].append(rule)
    # Alerts on alerts see those alerts that do not look at alerts themselves.
    makers[ALERTS.name] = [rule for rule in makers[ALERTS.name] if not _sees_alerts(rule, makers)]
    while waiting:
        left = {id(rule) for rule in waiting}
        blocked = {name for name, made_by in makers.items() if any(id(r) in left for r in made_by)}
        ready = [rule for rule in waiting if not ((_reads(rule) - _own(rule, makers)) & blocked)]
        if not ready:
            name = waiting[0].record or waiting[0].alert
            raise UserMistake(
                f"{waiting[0].file}: {name} depends on itself",
                "A replay can't evaluate such a rule; leave its file out",
            )
        yield ready
        done = {id(rule) for rule in ready}
        waiting = [rule for rule in waiting if id(rule) not in done]


def _reads(rule: WrittenRule) -> frozenset[str]:
    return read_expression(rule.expression).metrics


def _recurs(rule: WrittenRule) -> bool:
    return rule.record is not None and rule.record in _reads(rule)


def _own(rule: WrittenRule, makers: Mapping[str, Sequence[WrittenRule]]) -> frozenset[str]:
    """Name what a rule may read of its own: what no other rule records."""
    alone = _recurs(rule) and len(makers[str(rule.record)]) == 1
    return frozenset({str(rule.record)}) if alone else frozenset()


def _evaluate_recurrent(
    api: PrometheusApi, rules: Sequence[WrittenRule], tape: Tape, kept: Sequence[Series]
) -> Sequence[Series]:
    made = {rule.record for rule in rules}
    read = frozenset[str]().union(*(_reads(rule) for rule in rules)) - made
    return evaluate_stepwise(api, rules, tape, [each for each in kept if each.name in read])


def _sees_alerts(rule: WrittenRule, makers: Mapping[str, Sequence[WrittenRule]]) -> bool:
    seen: set[str] = set()
    names = set(_reads(rule))
    while names:
        name = names.pop()
        if name == ALERTS.name:
            return True
        if name not in seen:
            seen.add(name)
            names.update(*(_reads(maker) for maker in makers.get(name, ())))
    return False


def _evaluate_layer(
    api: PrometheusApi, layer: Sequence[WrittenRule], tape: Tape, firings: list[Firing]
) -> Sequence[Series]:
    made: list[Series] = []
    for rule in layer:
        found = _query(api, rule.expression, tape)
        if rule.record:
            made += [
                Series(rule.record, _join(labels, rule.labels), values)
                for labels, values in found.items()
            ]
        else:
            made += _raise_alerts(rule, found, tape, firings)
    return made


def _raise_alerts(
    rule: WrittenRule, found: Mapping[Labels, Values], tape: Tape, firings: list[Firing]
) -> Iterator[Series]:
    hold_s = read_duration(str(rule.document.get("for", "0s")))
    keep_s = read_duration(str(rule.document.get("keep_firing_for", "0s")))
    name = str(rule.alert)
    for source, values in found.items():
        stages = stage_alert(values, tape.step_s, hold_s, keep_s)
        own = {
            key: fill_template(text, dict(source), _first(values))
            for key, text in rule.labels.items()
        }
        labels = _join(source, own)
        for began, ended in find_spans(stages, Stage.FIRING):
            value = values[began]
            firings.append(
                Firing(
                    alert=name,
                    labels=labels,
                    start_s=tape.instant(began),
                    end_s=None if ended is None else tape.instant(ended),
                    value=value if value is not None else float("nan"),
                    summary=fill_template(
                        rule.annotations.get("summary", ""), dict(labels), value or 0.0
                    ),
                )
            )
        for stage in (Stage.PENDING, Stage.FIRING):
            if stage in stages:
                identity = {"alertname": name, "alertstate": stage.name.lower()}
                yield Series(
                    ALERTS.name,
                    _join(labels, identity),
                    [1.0 if each is stage else None for each in stages],
                )


def _first(values: Values) -> float:
    return next((value for value in values if value is not None), 0.0)


def _join(labels: Labels, added: Mapping[str, str]) -> Labels:
    return sort_labels(dict(labels) | dict(added))


def _by_time(firing: Firing) -> tuple[int, str, Labels]:
    return firing.start_s, firing.alert, firing.labels


def _query(api: PrometheusApi, expression: str, tape: Tape) -> Mapping[Labels, Values]:
    """Evaluate an expression at every instant of a tape."""
    found: dict[Labels, list[float | None]] = {}
    for first in range(0, tape.steps, _MOST_INSTANTS):
        last = min(first + _MOST_INSTANTS, tape.steps) - 1
        answer = api.query_range(
            expression, tape.instant(first), tape.instant(last), float(tape.step_s)
        )
        for series in answer:
            values = found.setdefault(sort_labels(series.labels), [None] * tape.steps)
            for at, value in series.points:
                values[round((at - tape.start_s) / tape.step_s)] = value
    return found


@contextmanager
def _open_prometheus(tools: Tools, directory: Path, tape: Tape) -> Iterator[PrometheusApi]:
    """Run Prometheus over what is stored; nothing is scraped and no rule runs."""
    with Supervisor(directory / "logs") as supervisor:
        started = start_prometheus(
            supervisor,
            directory,
            compose_configuration([], interval="1m"),
            tools=tools,
            flags=[
                f"--query.lookback-delta={tape.step_s * 1000 - 1}ms",
                f"--storage.tsdb.retention.time={FOREVER}",
                "--query.max-samples=500000000",
                "--query.timeout=5m",
                RECEIVE_FLAG,
            ],
        )
        yield PrometheusApi(started.url, timeout=_PATIENCE_S)


def _store(tools: Tools, directory: Path, tape: Tape, series: Sequence[Series]) -> None:
    if not any(value is not None for each in series for value in each.values):
        return
    text = directory / "samples.om"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(write_samples(tape, series))
        file.write("# EOF\n")
    store_samples(tools, text, directory / "data")


def store_samples(tools: Tools, text: Path, data: Path) -> None:
    """Turn a file of OpenMetrics into a block of a Prometheus that does not run.

    Raises:
        UserMistake: promtool refuses the file.

    """
    told = tools.run(
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        f"--max-block-duration={_BLOCK}",
        "--quiet",
        str(text),
        str(data),
    )
    if told.returncode:
        reason = (told.stderr or told.stdout).strip().splitlines()[-1:]
        raise UserMistake(f"promtool can't store the samples: {''.join(reason)}", "See its words")
