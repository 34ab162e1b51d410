"""What Prometheus says: instant queries, alerts, rules and scrape targets, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outbound_slo.embedded.json_api import JsonApi, Refused
from outbound_slo.vocabulary.mistakes import UserMistake

_LONGEST_REASON = 120
_NOT_ITS_ANSWER = "its answer is not one of Prometheus's"
_UNREADABLE = (KeyError, TypeError, ValueError)


class AlertState(StrEnum):
    """States of an alert in Prometheus; one that is inactive is not listed."""

    PENDING = "pending"
    FIRING = "firing"


class RuleKind(StrEnum):
    """What a rule makes: a series, or alerts."""

    RECORDING = "recording"
    ALERTING = "alerting"


@dataclass(frozen=True)
class Sample:
    """One value of one series; `at` in Unix seconds."""

    labels: Mapping[str, str]
    value: float
    at: float


@dataclass(frozen=True)
class Series:
    """The values of one series over a range: pairs of Unix seconds and value."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Alert:
    """An alert that is pending or firing."""

    name: str
    state: AlertState
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    active_at: datetime
    value: float


@dataclass(frozen=True)
class Rule:
    """A loaded rule; `error` is what its last evaluation failed with, empty if it did not."""

    group: str
    name: str
    kind: RuleKind
    expression: str
    health: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    """A group's last evaluation: when it began (ISO 8601), and how many seconds it took."""

    group: str
    rules: int
    at: str
    duration_s: float


@dataclass(frozen=True)
class Target:
    """A scrape target; `error` is what its last scrape failed with, empty if it did not."""

    job: str
    url: str
    is_up: bool
    error: str


class PrometheusApi:
    """A running Prometheus at a base URL.

    Every method raises `UserMistake` where the server can't be reached or refuses.
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._api = JsonApi("Prometheus", url, timeout)

    @property
    def url(self) -> str:
        """Base URL without a slash at its end."""
        return self._api.url

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """Evaluate an expression at one instant (Unix seconds; now if None).

        A scalar comes back as one sample without labels.
        """
        moment = {} if at is None else {"time": repr(at)}
        path = "/api/v1/query"
        data = self._evaluate(path, expression, moment)
        try:
            if data["resultType"] in {"scalar", "string"}:
                return [_read_sample({}, data["result"])]
            return [_read_sample(found["metric"], found["value"]) for found in data["result"]]
        except _UNREADABLE:
            raise self._stranger(path, _NOT_ITS_ANSWER) from None

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate an expression from `start` to `end` (Unix seconds) every `step` seconds."""
        window = {"start": repr(start), "end": repr(end), "step": repr(step)}
        path = "/api/v1/query_range"
        data = self._evaluate(path, expression, window)
        try:
            return [
                Series(found["metric"], tuple((at, float(value)) for at, value in found["values"]))
                for found in data["result"]
            ]
        except _UNREADABLE:
            raise self._stranger(path, _NOT_ITS_ANSWER) from None

    def label_values(self, metric: str, label: str, start: float, end: float) -> list[str]:
        """List the values that a label had between two instants (Unix seconds).

        Args:
            metric: A selector; empty for every metric.
            label: The label's name.
            start: When to begin.
            end: When to stop.

        """
        window = {"start": repr(start), "end": repr(end)} | ({"match[]": metric} if metric else {})
        found = self._ask(f"/api/v1/label/{label}/values", metric or label, window)
        if not isinstance(found, list):
            raise self._stranger(f"/api/v1/label/{label}/values", _NOT_ITS_ANSWER)
        return [str(value) for value in found]

    def alerts(self) -> list[Alert]:
        """Alerts that are pending or firing now."""
        return [
            Alert(
                name=found["labels"]["alertname"],
                state=AlertState(found["state"]),
                labels=found["labels"],
                annotations=found["annotations"],
                active_at=datetime.fromisoformat(found["activeAt"]),
                value=float(found["value"]),
            )
            for found in self._api.get("/api/v1/alerts")["data"]["alerts"]
        ]

    def rules(self) -> list[Rule]:
        """All loaded rules, in the order of their files."""
        return [
            Rule(
                group=group["name"],
                name=rule["name"],
                kind=RuleKind(rule["type"]),
                expression=rule["query"],
                health=rule["health"],
                error=rule.get("lastError", ""),
            )
            for group in self._api.get("/api/v1/rules")["data"]["groups"]
            for rule in group["rules"]
        ]

    def evaluations(self) -> list[Evaluation]:
        """Tell of each group's last evaluation, in the order of their files."""
        return [
            Evaluation(
                group=group["name"],
                rules=len(group["rules"]),
                at=group["lastEvaluation"],
                duration_s=float(group["evaluationTime"]),
            )
            for group in self._api.get("/api/v1/rules")["data"]["groups"]
        ]

    def targets(self) -> list[Target]:
        """Active scrape targets and how their last scrape went."""
        return [
            Target(
                job=found["labels"]["job"],
                url=found["scrapeUrl"],
                is_up=found["health"] == "up",
                error=found["lastError"],
            )
            for found in self._api.get("/api/v1/targets", state="active")["data"]["activeTargets"]
        ]

    def exemplars(self, expression: str, start: float, end: float) -> list[Sample]:
        """Exemplars of the series in an expression between two instants (Unix seconds).

        Each sample carries the exemplar's own labels (such as `trace_id`), value and time.
        """
        window = {"query": expression, "start": repr(start), "end": repr(end)}
        found = self._api.get("/api/v1/query_exemplars", **window)["data"]
        return [
            Sample(exemplar["labels"], float(exemplar["value"]), exemplar["timestamp"])
            for series in found
            for exemplar in series["exemplars"]
        ]

    def reload(self) -> None:
        """Make it read its configuration and rules again."""
        self._api.post("/-/reload")

    def is_ready(self) -> bool:
        """Tell whether it serves queries."""
        return self._api.answers("/-/ready")

    def _evaluate(
        self, path: str, expression: str, parameters: Mapping[str, str]
    ) -> Mapping[str, Any]:
        data = self._ask(path, expression, {"query": expression, **parameters})
        if not isinstance(data, dict) or "resultType" not in data:
            raise self._stranger(path, _NOT_ITS_ANSWER)
        return data

    def _ask(self, path: str, expression: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON is anything
        try:
            answer = self._api.get(path, **parameters)
        except Refused as refusal:
            if not refusal.kind:
                raise self._stranger(path, f"{refusal.status} {refusal.reason}") from None
            raise UserMistake(
                f"Prometheus can't evaluate {expression!r}: {refusal.reason}",
                "Correct the expression",
            ) from None
        if not isinstance(answer, dict) or answer.get("data") is None:
            raise self._stranger(path, _NOT_ITS_ANSWER)
        return answer["data"]

    def _stranger(self, path: str, said: str) -> UserMistake:
        """Blame the address, not the expression: no Prometheus words its refusals like this."""
        told = " ".join(said.split())[:_LONGEST_REASON]
        return UserMistake(
            f"What answers at {self.url} is no Prometheus ({path}: {told})",
            "Check the address of Prometheus",
        )


def _read_sample(labels: Mapping[str, str], pair: tuple[float, str]) -> Sample:
    at, value = pair
    return Sample(labels, float(value), at)
