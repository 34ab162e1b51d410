"""The change that sends SMS in place of WhatsApp messages (001, outage procedure 2)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from operations.change import Applied, Group, Survey
from outbound_slo.vocabulary.statuses import Channel
from sender.audit import Operation
from sender.fallback import (
    Candidate,
    FallbackRules,
    Hindrance,
    choose_candidates,
    fall_back,
    judge_candidates,
)
from sender.switches import EVERYTHING, read_switches

_SLICE = 5000
_SHOWN = 60

_REASONS: Mapping[Hindrance, str] = {
    Hindrance.MOVED_ON: "their status has changed",
    Hindrance.FELL_BACK: "they have their SMS already",
    Hindrance.NO_TEXT: "they have neither subject nor text; --text gives one",
    Hindrance.TEXT_TOO_LONG: "their text is longer than an SMS may be; --text gives another",
    Hindrance.OUTCOME_UNKNOWN: "the provider may have them, and a webhook may tell",
    Hindrance.EXPIRED: "they have expired",
}


@dataclass(frozen=True, slots=True)
class Fallback:
    """The change that queues an SMS for each message."""

    rules: FallbackRules
    command: str = "fallback"
    undoes: int | None = None

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {
            "templates": list(self.rules.templates),
            "codes": list(self.rules.codes),
            "hours": round(self.rules.age_s / 3600, 3),
            "waiting": self.rules.waiting,
            "text": self.rules.text,
            "org": self.rules.org,
            "limit": self.rules.limit,
        }

    def survey(self, connection: psycopg.Connection) -> Survey:
        """Choose messages, less those that get no SMS."""
        # One more than wanted tells whether the limit cuts any off.
        limit = self.rules.limit
        found = choose_candidates(connection, replace(self.rules, limit=limit + 1))
        chosen = found[:limit]
        judged: dict[int, Candidate | Hindrance] = {}
        for start in range(0, len(chosen), _SLICE):
            judged |= judge_candidates(connection, chosen[start : start + _SLICE], self.rules)
        free = [one for number in chosen if isinstance(one := judged[number], Candidate)]
        counts = Counter(
            (one.template_code or "", one.status, one.error_code or "") for one in free
        )
        ending = "; those that wait for another attempt end" if self.rules.waiting else ""
        return Survey(
            [one.id for one in free],
            "messages",
            f"to get an SMS instead, which is due at once{ending}",
            ("Template", "Status", "Code"),
            tuple(Group(cells, rows) for cells, rows in counts.most_common()),
            (
                *_show_example(free),
                *_warn(judged),
                *_warn_of_limit(limit, reached=len(found) > limit),
                *_warn_of_pause(connection),
            ),
            "an SMS that a sender has taken meanwhile",
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        results = fall_back(connection, keys, self.rules, operation)
        skipped = Counter(one.value for one in results.values() if one is not None)
        return Applied(len(results) - skipped.total(), skipped)


def _show_example(free: Sequence[Candidate]) -> list[str]:
    text = next((one.text for one in free if one.text), None)
    if text is None:
        return []
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return [f"the SMS says, for example: {shown}"]


def _warn(judged: Mapping[int, Candidate | Hindrance]) -> list[str]:
    counts = Counter(one for one in judged.values() if isinstance(one, Hindrance))
    return [f"{rows:,} are left alone: {_REASONS[one]}" for one, rows in counts.most_common()]


def _warn_of_limit(limit: int, *, reached: bool) -> list[str]:
    if not reached:
        return []
    return [f"the limit of {limit:,} is reached: run the command again for the rest"]


def _warn_of_pause(connection: psycopg.Connection) -> list[str]:
    holding = (Channel.SMS.value, EVERYTHING)
    if not any(each.paused for each in read_switches(connection) if each.channel in holding):
        return []
    return ["sms is paused: they wait until it is resumed"]
