"""Changing quotas: raised, lowered, begun anew (001, outage procedure 3 and issue 3; 002)."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from operations.change import Applied, Group, Survey
from operations.output import show_age, show_cell
from operations.quotas import name_organisations
from operations.undo import MOVED_ON
from outbound_slo.database import load_queries
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.thresholds import SLA_QUOTA
from sender.audit import Operation, Relation, keep_rows

_QUERIES = load_queries("operations", "sql/quota.sql")

AGAIN_S = 3600.0
"""Seconds after a lowering in which a share of a quota is not taken once more."""


class Step(StrEnum):
    """What becomes of a quota."""

    RAISE = "raise"
    LOWER = "lower"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class _Held:
    used: int
    limit: int
    reset_at: datetime
    throttle_until: datetime | None
    throttled: bool | None
    over: bool
    lowered_s: float | None
    updated_by: str | None


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """The change of one organisation's quota.

    Attributes:
        step: What becomes of it.
        org_id: Whose.
        limit: The new limit, where one is given.
        factor: Share of the present limit that becomes the new one, where that is given.
        undoes: Nothing: it is no undo.

    """

    step: Step
    org_id: str
    limit: int | None = None
    factor: float | None = None
    undoes: int | None = None

    @property
    def command(self) -> str:
        """See `Change`."""
        return f"quota {self.step}"

    @property
    def parameters(self) -> Mapping[str, object]:
        """See `Change`."""
        return {"org_id": self.org_id, "limit": self.limit, "factor": self.factor}

    def survey(self, connection: psycopg.Connection) -> Survey:
        """See `Change`.

        Raises:
            UserMistake: There is no such quota, or the change would be the other way round.

        """
        held = self._read(connection)
        if self.step is Step.RESET:
            return self._survey_reset(held)
        limit = self._find_limit(held)
        if limit == held.limit:
            return Survey([], "quotas", "to stay as they are")
        return Survey(
            [{"org_id": self.org_id, "limit": held.limit, "then": limit}],
            "quotas",
            _EFFECTS[self.step],
            ("Org", "Used", "Limit", "Then"),
            (Group((self.org_id, held.used, held.limit, limit), 1),),
            tuple(_warn_of_limit(self.step, held, limit)),
        )

    def apply(
        self, connection: psycopg.Connection, operation: Operation, keys: Sequence[Any]
    ) -> Applied:
        """See `Change`."""
        changed, left = 0, 0
        for key in keys:
            if not self._is_as_chosen(connection, key):
                left += 1
                continue
            name = "reset_quota" if self.step is Step.RESET else "set_limit"
            with keep_rows(connection, operation, Relation.RATE_LIMIT, [self.org_id]):
                connection.execute(
                    _QUERIES[name].encode(),
                    {"org_id": self.org_id, "limit": key.get("then"), "stamp": operation.stamp},
                )
            changed += 1
        return Applied(changed, {MOVED_ON: left} if left else {})

    def _is_as_chosen(self, connection: psycopg.Connection, key: Mapping[str, Any]) -> bool:
        """Hold the row and see whether somebody was quicker."""
        with connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(_QUERIES["lock_quota"].encode(), {"org_id": self.org_id})
            row = cursor.fetchone()
        if row is None or self.step is not Step.RESET:
            return row is not None and row["limit"] == key["limit"]
        return row["used"] > 0 or row["throttle_until"] is not None or row["over"]

    def _read(self, connection: psycopg.Connection) -> _Held:
        with connection.cursor(row_factory=class_row(_Held)) as cursor:
            cursor.execute(
                _QUERIES["read_quota"].encode(), {"org_id": self.org_id, "lower": "quota lower"}
            )
            held = cursor.fetchone()
        if held is None:
            raise explain_absence(connection, self.org_id)
        return held

    def _find_limit(self, held: _Held) -> int:
        """Give the new limit.

        Raises:
            UserMistake: It lies on the wrong side, or a share was taken shortly before.

        """
        limit = self.limit
        if limit is None:
            if held.lowered_s is not None and held.lowered_s < AGAIN_S:
                raise UserMistake(
                    f"The quota of {self.org_id} was lowered to {held.limit:,} "
                    f"{show_age(held.lowered_s)} ago ({held.updated_by})",
                    "To lower it further, give the limit itself",
                )
            limit = take_share(held.limit, self.factor or 0.0)
        if self.step is Step.RAISE and limit < held.limit:
            raise UserMistake(
                f"{limit:,} is less than the quota of {self.org_id}, {held.limit:,}",
                f"Use 'outbound-slo ops quota lower {self.org_id} {limit}' if you mean it",
            )
        if self.step is Step.LOWER and limit > held.limit:
            raise UserMistake(
                f"{limit:,} is more than the quota of {self.org_id}, {held.limit:,}",
                f"Use 'outbound-slo ops quota raise {self.org_id} {limit}' if you mean it",
            )
        return limit

    def _survey_reset(self, held: _Held) -> Survey:
        if held.used == 0 and held.throttle_until is None and not held.over:
            return Survey([], "quotas", "to stay as they are")
        return Survey(
            [{"org_id": self.org_id, "used": held.used}],
            "quotas",
            "to begin a new window of 24 hours with nothing used and no throttle",
            ("Org", "Used", "Limit", "Throttled until"),
            (Group((self.org_id, held.used, held.limit, held.throttle_until), 1),),
            ("Meta's own limit is not reset by it: what Meta still refuses throttles again",),
            "the count, once a message has been sent",
        )


_EFFECTS: Mapping[Step, str] = {
    Step.RAISE: "to get the higher limit; what waited for it goes at once",
    Step.LOWER: "to get the lower limit; what goes beyond it waits for the next window",
}


def take_share(limit: int, factor: float) -> int:
    """Take a share of a limit, rounded as PostgreSQL rounds `quota_limit * 0.5` (002)."""
    exact = limit * Fraction(str(factor))
    return int(exact + Fraction(1, 2))


def _warn_of_limit(step: Step, held: _Held, limit: int) -> list[str]:
    warnings: list[str] = []
    if step is Step.RAISE:
        warnings.append("001 asks for the approval of the product or engineering lead")
        percent = 100 * held.used / limit
        if not SLA_QUOTA.holds(percent):
            warnings.append(f"{percent:.0f} % of the new limit is used already")
    elif held.used >= limit and not held.over:
        until = show_cell(held.reset_at)
        warnings.append(f"nothing more goes, urgent or not, until {until}: {held.used:,} are sent")
    if held.throttled:
        until = show_cell(held.throttle_until)
        warnings.append(f"still throttled until {until}; 'ops quota reset' ends that")
    return warnings


def explain_absence(connection: psycopg.Connection, org_id: str) -> UserMistake:
    """Make the mistake of naming an organisation that has no quota."""
    near = difflib.get_close_matches(org_id, name_organisations(connection), n=1)
    return UserMistake(
        f"The organisation {org_id} has no row in whatsapp_rate_limit, so nothing limits it",
        f"Did you mean {near[0]}?"
        if near
        else "'outbound-slo ops quota show --above 0' lists them",
    )
