"""Every line that is drawn through a number, once: what it is for and which runbook drew it (D21).

Panels, the SLA table and alerts draw different lines through the same number on purpose. Panels,
rules, pages and reports all read this table; nothing restates a value.

Percentages are kept as the runbooks write them (95 is 95 %); `Threshold.ratio` gives 0.95.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Subject(StrEnum):
    """What is measured."""

    SEND_LATENCY = "send_latency"
    DELIVERY_LATENCY = "delivery_latency"
    SUCCESS_RATE = "success_rate"
    FAILURE_RATE = "failure_rate"
    ATTEMPTS = "attempts"
    QUEUE_DEPTH = "queue_depth"
    DUE_AGE = "due_age"
    OUTAGE = "outage"
    STUCK = "stuck"
    RETRY_COUNT = "retry_count"
    DEAD_LETTERS = "dead_letters"
    QUOTA = "quota"
    SESSION_WINDOW = "session_window"
    BREAKER = "breaker"
    SIGNATURES = "signatures"
    ACCEPTED = "accepted"
    TEMPORARY_ERRORS = "temporary_errors"
    RATE_LIMIT_ERRORS = "rate_limit_errors"
    THROTTLE = "throttle"
    QUEUE_GROWTH = "queue_growth"
    DEAD_GROWTH = "dead_growth"
    PROVIDER_CALL = "provider_call"
    RECEIPT_SILENCE = "receipt_silence"
    UNPROCESSED = "unprocessed"
    WINDOW_REFUSALS = "window_refusals"
    TEMPLATE = "template"
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - what is measured
    API_VERSION = "api_version"
    PAUSE = "pause"
    WORKER = "worker"
    INBOUND = "inbound"
    SNAPSHOT_AGE = "snapshot_age"
    ROLLUP_DELTAS = "rollup_deltas"
    DROPPED_SPANS = "dropped_spans"
    DEAD_ROWS = "dead_rows"
    FROZEN_AGE = "frozen_age"
    TRANSACTION_AGE = "transaction_age"
    PREPARED_AGE = "prepared_age"
    EXPORTERS = "exporters"
    RULES = "rules"
    REPLICA_LAG = "replica_lag"
    SLOT = "slot"
    VACUUM_AGE = "vacuum_age"
    INTEGRITY = "integrity"
    UNREADABLE = "unreadable"
    NOTIFICATIONS = "notifications"
    ALERTMANAGERS = "alertmanagers"
    ALERTMANAGER_RELOAD = "alertmanager_reload"
    EXPORTER = "exporter"
    BUDGET_BURN = "budget_burn"
    ERROR_BUDGET = "error_budget"
    REFRESH = "refresh"
    ORGANISATION_SHARE = "organisation_share"
    PAGES = "pages"
    TICKETS = "tickets"


class Use(StrEnum):
    """Who reads the line.

    SLA: what is promised (000's table). PANEL: a colour change or a drawn line on a dashboard.
    ALERT: a tier of an alert. MINIMUM: how much must be there before an alert may judge at all.
    RECOVERY: when a repair has worked (`ops verify`). UPKEEP: when a table wants its maintenance.
    ESCALATION: what calls the next level of 001's decision tree by time instead of by size.
    OBJECTIVE: what an objective asks for where 000 promises nothing.
    """

    SLA = "sla"
    PANEL = "panel"
    ALERT = "alert"
    MINIMUM = "minimum"
    RECOVERY = "recovery"
    UPKEEP = "upkeep"
    ESCALATION = "escalation"
    OBJECTIVE = "objective"


class Unit(StrEnum):
    """Units as they are shown after a value."""

    SECONDS = "s"
    PERCENT = "%"
    MESSAGES = "messages"
    ATTEMPTS = "attempts"
    WEBHOOKS = "webhooks"
    STATE = "state"
    ROWS = "rows"
    SPANS = "spans"
    ERRORS = "errors"
    ORGANISATIONS = "organisations"
    WINDOWS = "windows"
    SENDERS = "senders"
    EXPORTERS = "exporters"
    EVALUATIONS = "evaluations"
    GIGABYTES = "GB"
    VIOLATIONS = "violations"
    CLOSINGS = "closings"
    TEMPLATES = "templates"
    NOTICES = "notices"
    DAYS = "days"
    NOTIFICATIONS = "notifications"
    ALERTMANAGERS = "Alertmanagers"
    BUDGETS = "x budget"
    FAILURES = "failures"


class Comparison(StrEnum):
    """How a measured value is compared with the line; spelled as in PromQL."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "=="


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line.

    Attributes:
        key: Its name, `<use>.<subject>.<what>`; unique.
        subject: What is measured.
        use: Who reads it.
        comparison: For an SLA or a recovery, what holds while all is well; otherwise, what holds
            when the line is crossed.
        value: The line itself, in `unit`.
        unit: Its unit.
        source: The runbook, the decision, or "house" where none draws it.
        statistic: The quantile that is compared, such as "p95"; empty for plain numbers.
        hold_s: For an alert: seconds for which the line must stay crossed. For a recovery: the
            last seconds that are looked at; 0 where only the present counts.
        colour: For a panel: the colour from this line on.

    """

    key: str
    subject: Subject
    use: Use
    comparison: Comparison
    value: float
    unit: Unit
    source: str
    statistic: str = ""
    hold_s: float = 0.0
    colour: str = ""

    @property
    def ratio(self) -> float:
        """A percentage as a share from 0 to 1.

        Raises:
            ValueError: The unit is not percent.

        """
        if self.unit is not Unit.PERCENT:
            raise ValueError(f"{self.key} is in {self.unit}, not in percent")
        return self.value / 100

    @property
    def text(self) -> str:
        """The line for people: `p95 < 30 s`, `> 95 %`, `>= 10 attempts`."""
        return f"{self.statistic} {self.comparison} {self.value:g} {self.unit}".strip()

    def holds(self, measured: float) -> bool:
        """Compare a measured value (same unit) with the line."""
        return {
            Comparison.ABOVE: measured > self.value,
            Comparison.AT_LEAST: measured >= self.value,
            Comparison.BELOW: measured < self.value,
            Comparison.AT_MOST: measured <= self.value,
            Comparison.EQUAL: measured == self.value,
        }[self.comparison]


_S, _A, _L = Subject, Comparison.ABOVE, Comparison.BELOW
_SEC, _PCT, _MSG = Unit.SECONDS, Unit.PERCENT, Unit.MESSAGES
_MINUTE = 60.0


def _sla(
    subject: Subject,
    comparison: Comparison,
    value: float,
    unit: Unit,
    statistic: str = "",
) -> Threshold:
    key = f"sla.{subject}"
    return Threshold(key, subject, Use.SLA, comparison, value, unit, "000", statistic)


def _panel(
    subject: Subject,
    comparison: Comparison,
    value: float,
    unit: Unit,
    colour: str,
    source: str = "000",
) -> Threshold:
    key = f"panel.{subject}.{colour}"
    return Threshold(key, subject, Use.PANEL, comparison, value, unit, source, colour=colour)


def _alert(
    what: str,
    subject: Subject,
    comparison: Comparison,
    value: float,
    unit: Unit,
    source: str,
    minutes: float,
    statistic: str = "",
) -> Threshold:
    key = f"alert.{subject}.{what}"
    hold = minutes * _MINUTE
    return Threshold(key, subject, Use.ALERT, comparison, value, unit, source, statistic, hold)


def _minimum(what: str, subject: Subject, value: float, unit: Unit, source: str) -> Threshold:
    key = f"minimum.{subject}.{what}"
    return Threshold(key, subject, Use.MINIMUM, Comparison.AT_LEAST, value, unit, source)


def _recovery(
    what: str,
    subject: Subject,
    comparison: Comparison,
    value: float,
    unit: Unit,
    source: str,
    minutes: float = 0,
    statistic: str = "",
) -> Threshold:
    key = f"recovery.{subject}.{what}"
    hold = minutes * _MINUTE
    return Threshold(key, subject, Use.RECOVERY, comparison, value, unit, source, statistic, hold)


def _upkeep(
    what: str, subject: Subject, comparison: Comparison, value: float, unit: Unit
) -> Threshold:
    key = f"upkeep.{subject}.{what}"
    return Threshold(key, subject, Use.UPKEEP, comparison, value, unit, "house")


# --- what is promised: 000, "Key Dashboard Metrics" ---------------------------------------------
SLA_SEND_LATENCY = _sla(_S.SEND_LATENCY, _L, 30, _SEC, "p95")
SLA_DELIVERY_LATENCY = _sla(_S.DELIVERY_LATENCY, _L, 120, _SEC, "p99")
SLA_SUCCESS_RATE = _sla(_S.SUCCESS_RATE, _A, 95, _PCT)
SLA_QUEUE_DEPTH = _sla(_S.QUEUE_DEPTH, _L, 100, _MSG)
SLA_STUCK = _sla(_S.STUCK, Comparison.EQUAL, 0, _MSG)
SLA_QUOTA = _sla(_S.QUOTA, _L, 80, _PCT)

OBJECTIVE_EXPORTER = Threshold(
    "objective.exporter", _S.EXPORTER, Use.OBJECTIVE, _A, 99, _PCT, "house"
)

# --- the panels of 000's dashboard --------------------------------------------------------------
PANEL_SEND_LATENCY = _panel(_S.SEND_LATENCY, _A, 30, _SEC, "red")
PANEL_DELIVERY_LATENCY = _panel(_S.DELIVERY_LATENCY, _A, 60, _SEC, "red")
PANEL_SUCCESS_YELLOW = _panel(_S.SUCCESS_RATE, Comparison.AT_LEAST, 90, _PCT, "yellow")
PANEL_SUCCESS_GREEN = _panel(_S.SUCCESS_RATE, Comparison.AT_LEAST, 95, _PCT, "green")
PANEL_QUEUE_YELLOW = _panel(_S.QUEUE_DEPTH, Comparison.AT_LEAST, 100, _MSG, "yellow")
PANEL_QUEUE_RED = _panel(_S.QUEUE_DEPTH, Comparison.AT_LEAST, 500, _MSG, "red")
PANEL_STUCK_YELLOW = _panel(_S.STUCK, Comparison.AT_LEAST, 1, _MSG, "yellow")
PANEL_STUCK_RED = _panel(_S.STUCK, Comparison.AT_LEAST, 10, _MSG, "red")
PANEL_QUOTA_YELLOW = _panel(_S.QUOTA, Comparison.AT_LEAST, 80, _PCT, "yellow")
PANEL_QUOTA_RED = _panel(_S.QUOTA, Comparison.AT_LEAST, 95, _PCT, "red")
PANEL_SESSION_WINDOW = _panel(_S.SESSION_WINDOW, _L, 3600, _SEC, "red")
PANEL_RETRY_YELLOW = _panel(_S.RETRY_COUNT, Comparison.AT_LEAST, 50, _MSG, "yellow")
PANEL_RETRY_RED = _panel(_S.RETRY_COUNT, Comparison.AT_LEAST, 100, _MSG, "red")
PANEL_DEAD_LETTERS_YELLOW = _panel(_S.DEAD_LETTERS, Comparison.AT_LEAST, 100, _MSG, "yellow")
PANEL_DEAD_LETTERS_RED = _panel(_S.DEAD_LETTERS, Comparison.AT_LEAST, 500, _MSG, "red")

# --- the panels of the house --------------------------------------------------------------------
# A refresh begins every ten seconds, and a query may take two.
PANEL_REFRESH_YELLOW = _panel(_S.REFRESH, Comparison.AT_LEAST, 2, _SEC, "yellow", "house")
PANEL_REFRESH_RED = _panel(_S.REFRESH, Comparison.AT_LEAST, 5, _SEC, "red", "house")
PANEL_SHARE_YELLOW = _panel(_S.ORGANISATION_SHARE, Comparison.AT_LEAST, 50, _PCT, "yellow", "house")
PANEL_SHARE_RED = _panel(_S.ORGANISATION_SHARE, Comparison.AT_LEAST, 80, _PCT, "red", "house")
PANEL_PAGES_RED = _panel(_S.PAGES, Comparison.AT_LEAST, 1, Unit.NOTIFICATIONS, "red", "house")
PANEL_TICKETS_YELLOW = _panel(
    _S.TICKETS, Comparison.AT_LEAST, 1, Unit.NOTIFICATIONS, "yellow", "house"
)

# --- alert tiers --------------------------------------------------------------------------------
ALERT_FAILURE_ELEVATED = _alert("elevated", _S.FAILURE_RATE, _A, 5, _PCT, "002 (95 %), D3", 15)
ALERT_FAILURE_HIGH = _alert("high", _S.FAILURE_RATE, _A, 30, _PCT, "001, D3", 5)
ALERT_SUCCESS_LOW = _alert("low", _S.SUCCESS_RATE, _L, 90, _PCT, "000", 5)
ALERT_SEND_LATENCY = _alert("p95", _S.SEND_LATENCY, _A, 30, _SEC, "000", 5, "p95")
ALERT_DELIVERY_P95 = _alert("p95", _S.DELIVERY_LATENCY, _A, 30, _SEC, "002, D5", 5, "p95")
ALERT_DELIVERY_P99 = _alert("p99", _S.DELIVERY_LATENCY, _A, 60, _SEC, "002, D5", 5, "p99")
ALERT_DELIVERY_SLA = _alert("sla", _S.DELIVERY_LATENCY, _A, 120, _SEC, "000, D5", 5, "p99")
ALERT_QUEUE_500 = _alert("500", _S.QUEUE_DEPTH, _A, 500, _MSG, "000, D22", 3)
ALERT_QUEUE_1000 = _alert("1000", _S.QUEUE_DEPTH, _A, 1000, _MSG, "001, 002, D22", 5)
ALERT_QUEUE_2000 = _alert("2000", _S.QUEUE_DEPTH, _A, 2000, _MSG, "001, D22", 15)
ALERT_QUEUE_5000 = _alert("5000", _S.QUEUE_DEPTH, _A, 5000, _MSG, "001 (to L2), D22", 5)
ALERT_QUEUE_10000 = _alert("10000", _S.QUEUE_DEPTH, _A, 10000, _MSG, "001 (to L3), D22", 5)
ALERT_STUCK_SENDING = _alert("sending", _S.STUCK, _A, 0, _MSG, "000", 5)
ALERT_STUCK_QUEUED = _alert("queued", _S.STUCK, _A, 0, _MSG, "000, 002, D23", 5)
ALERT_DEAD_100 = _alert("100", _S.DEAD_LETTERS, _A, 100, _MSG, "001, 002", 5)
ALERT_DEAD_500 = _alert("500", _S.DEAD_LETTERS, _A, 500, _MSG, "001", 15)
ALERT_DEAD_1000 = _alert("1000", _S.DEAD_LETTERS, _A, 1000, _MSG, "001 (to L2)", 5)
ALERT_DEAD_2000 = _alert("2000", _S.DEAD_LETTERS, _A, 2000, _MSG, "001 (to L3)", 5)
ALERT_QUOTA_70 = _alert("70", _S.QUOTA, _A, 70, _PCT, "002, D21", 2)
ALERT_QUOTA_85 = _alert("85", _S.QUOTA, _A, 85, _PCT, "002, D21", 2)
ALERT_QUOTA_95 = _alert("95", _S.QUOTA, _A, 95, _PCT, "000, 002, D21", 2)
ALERT_SIGNATURES = _alert("count", _S.SIGNATURES, _A, 10, Unit.WEBHOOKS, "001, D25", 1)
ALERT_SIGNATURE_SHARE = _alert("share", _S.SIGNATURES, _A, 0.1, _PCT, "001 (99.9 %), D25", 1)
ALERT_ALL_REFUSED = _alert(
    "all_refused", _S.ATTEMPTS, Comparison.AT_LEAST, 20, Unit.ATTEMPTS, "house, T3", 1
)
ALERT_NONE_ACCEPTED = _alert(
    "none_accepted", _S.ATTEMPTS, Comparison.AT_LEAST, 10, Unit.ATTEMPTS, "house, T3", 1
)
ALERT_NO_TRAFFIC = _alert("none", _S.ATTEMPTS, Comparison.EQUAL, 0, Unit.ATTEMPTS, "house", 30)
ALERT_BREAKER = _alert("not_closed", _S.BREAKER, _A, 0, Unit.STATE, "000", 1)
ALERT_DUE_AGE = _alert("stopped", _S.DUE_AGE, _A, 5 * _MINUTE, _SEC, "house", 1)
ALERT_SNAPSHOT_AGE = _alert("stale", _S.SNAPSHOT_AGE, _A, _MINUTE, _SEC, "house", 1)
# Reading them takes about 50 ms, and they no longer get fewer.
ALERT_DELTAS = _alert("deltas", _S.ROLLUP_DELTAS, _A, 200_000, Unit.ROWS, "house", 10)
# One is enough: a story with a hole misleads whoever reads it.
ALERT_DROPPED_SPANS = _alert("any", _S.DROPPED_SPANS, _A, 0, Unit.SPANS, "house", 5)
# Alertmanager counts a notification as failed once it has given up trying: each is one that nobody
# got.
ALERT_RELOAD_REFUSED = _alert(
    "refused", _S.ALERTMANAGER_RELOAD, Comparison.EQUAL, 0, Unit.STATE, "house", 5
)
ALERT_NOTIFICATIONS_LOST = _alert("lost", _S.NOTIFICATIONS, _A, 0, Unit.NOTIFICATIONS, "house", 0)
ALERT_NOTIFICATIONS_FAILING = _alert("share", _S.NOTIFICATIONS, _A, 50, _PCT, "house", 5)
ALERT_ALERTS_DROPPED = _alert("dropped", _S.NOTIFICATIONS, _A, 0, Unit.NOTIFICATIONS, "house", 5)
ALERT_NO_ALERTMANAGER = _alert(
    "none", _S.ALERTMANAGERS, Comparison.EQUAL, 0, Unit.ALERTMANAGERS, "house", 2
)

ALERT_QUEUE_GROWTH = _alert("100", _S.QUEUE_GROWTH, _A, 100, _MSG, "002; house", 10)
ALERT_QUEUE_SURGE = _alert("1000", _S.QUEUE_GROWTH, _A, 1000, _MSG, "002; house", 10)
ALERT_DEAD_GROWTH = _alert("20", _S.DEAD_GROWTH, _A, 20, _MSG, "001, 002; house", 5)
ALERT_DEAD_SURGE = _alert("100", _S.DEAD_GROWTH, _A, 100, _MSG, "001, 002; house", 5)
# A large sender has wrong numbers every hour; twenty of them are no trouble of its.
ALERT_DEAD_GROWTH_SHARE = _alert("share", _S.DEAD_GROWTH, _A, 1, _PCT, "house", 5)
ALERT_RETRIES_100 = _alert("100", _S.RETRY_COUNT, _A, 100, _MSG, "000 (red on the panel)", 10)
ALERT_RETRIES_1000 = _alert("1000", _S.RETRY_COUNT, _A, 1000, _MSG, "house", 10)
# Above 1 s is slow (000); five times that is most of what a call may take.
ALERT_CALL_SLOW = _alert("slow", _S.PROVIDER_CALL, _A, 1, _SEC, "000, 002", 10, "p95")
ALERT_CALL_CRAWLS = _alert("crawls", _S.PROVIDER_CALL, _A, 5, _SEC, "house", 10, "p95")
ALERT_THROTTLED = _alert("any", _S.THROTTLE, _A, 0, Unit.ORGANISATIONS, "001, 002", 15)
# That many at once is no campaign of one customer's: the app or the number is held back.
ALERT_THROTTLED_MANY = _alert("many", _S.THROTTLE, _A, 3, Unit.ORGANISATIONS, "house", 15)
# An open breaker tries again after 60 s (000); what closes then needs nobody.
ALERT_BREAKER_OPEN = _alert("open", _S.BREAKER, _A, 0, Unit.SENDERS, "000", 3)
ALERT_BREAKER_BY_HAND = _alert(
    "half", _S.FAILURE_RATE, _A, 50, _PCT, "002 (success below 50 %), D3", 10
)
ALERT_BREAKER_FLAPS = _alert("flaps", _S.BREAKER, _A, 3, Unit.CLOSINGS, "house", 2)
ALERT_RECEIPTS_SILENT = _alert("10m", _S.RECEIPT_SILENCE, _A, 10 * _MINUTE, _SEC, "001; house", 5)
ALERT_RECEIPTS_GONE = _alert("1h", _S.RECEIPT_SILENCE, _A, 60 * _MINUTE, _SEC, "001; house", 5)
ALERT_GIVEN_UP = _alert("given_up", _S.UNPROCESSED, _A, 0, Unit.WEBHOOKS, "001; house", 2)
ALERT_UNPROCESSED = _alert("waiting", _S.UNPROCESSED, _A, 5 * _MINUTE, _SEC, "001; house", 2)
ALERT_WINDOW_10 = _alert("10", _S.WINDOW_REFUSALS, _A, 10, _MSG, "000; house", 2)
ALERT_WINDOW_100 = _alert("100", _S.WINDOW_REFUSALS, _A, 100, _MSG, "000; house", 2)
ALERT_TEMPLATE_QUALITY = _alert("quality", _S.TEMPLATE, _A, 0, Unit.NOTICES, "000; house", 2)
ALERT_TEMPLATE_STOPPED = _alert("stopped", _S.TEMPLATE, _A, 0, Unit.TEMPLATES, "000", 2)
ALERT_ACCOUNT_WARNED = _alert("warned", _S.ACCOUNT, _A, 0, Unit.NOTICES, "002; house", 2)
ALERT_ACCOUNT_RESTRICTED = _alert("restricted", _S.ACCOUNT, _A, 0, Unit.NOTICES, "002", 2)
ALERT_TOKEN_14 = _alert("14", _S.TOKEN, _L, 14, Unit.DAYS, "001, 002; house", 15)
ALERT_TOKEN_3 = _alert("3", _S.TOKEN, _L, 3, Unit.DAYS, "001, 002; house", 15)
ALERT_TOKEN_1 = _alert("1", _S.TOKEN, _L, 1, Unit.DAYS, "001, 002; house", 15)
ALERT_API_VERSION_60 = _alert("60", _S.API_VERSION, _L, 60, Unit.DAYS, "D13; house", 15)
ALERT_API_VERSION_14 = _alert("14", _S.API_VERSION, _L, 14, Unit.DAYS, "D13; house", 15)
ALERT_PAUSE_4H = _alert("4h", _S.PAUSE, _A, 240 * _MINUTE, _SEC, "002; house", 2)
ALERT_PAUSE_24H = _alert("24h", _S.PAUSE, _A, 1440 * _MINUTE, _SEC, "002; house", 2)
ALERT_UNSERVED = _alert("unserved", _S.DUE_AGE, _A, _MINUTE, _SEC, "002; house", 2)
# A sender gives a sign of life every five seconds, and takes its name off when it stops in order.
ALERT_WORKER_SILENT = _alert("silent", _S.WORKER, _A, 2 * _MINUTE, _SEC, "002; house", 2)

# How many times faster than the budget allows, over 30 days (the windows of the SRE workbook).
_SRE = "SRE workbook, DESIGN 7"
ALERT_BURN_1 = _alert("1", _S.BUDGET_BURN, _A, 1, Unit.BUDGETS, _SRE, 15)
ALERT_BURN_3 = _alert("3", _S.BUDGET_BURN, _A, 3, Unit.BUDGETS, _SRE, 10)
ALERT_BURN_6 = _alert("6", _S.BUDGET_BURN, _A, 6, Unit.BUDGETS, _SRE, 5)
ALERT_BURN_14 = _alert("14.4", _S.BUDGET_BURN, _A, 14.4, Unit.BUDGETS, _SRE, 1)
ALERT_BUDGET_SPENT = _alert("spent", _S.ERROR_BUDGET, Comparison.AT_MOST, 0, _PCT, "house", 5)
# So many may fail before a share of few messages says anything; from here on they are a ticket.
ALERT_FEW_FAIL = _alert(
    "failures", _S.ERROR_BUDGET, Comparison.AT_LEAST, 5, Unit.FAILURES, "house, T3", 1
)

# --- how much there must be before a share means anything (T3) ----------------------------------
MINIMUM_ATTEMPTS = _minimum("ratio", _S.ATTEMPTS, 20, Unit.ATTEMPTS, "T3; the breaker's minimum")
MINIMUM_FINISHED = _minimum("finished", _S.SUCCESS_RATE, 20, _MSG, "T3")
MINIMUM_TIMED = _minimum("timed", _S.SEND_LATENCY, 20, _MSG, "T3")
MINIMUM_CALLS = _minimum("calls", _S.PROVIDER_CALL, 20, Unit.ATTEMPTS, "T3")
MINIMUM_RECEIPTED = _minimum("receipted", _S.RECEIPT_SILENCE, 5, _MSG, "T3; house")
MINIMUM_LATE = _minimum("late", _S.DUE_AGE, _MINUTE, _SEC, "house")

# --- when a repair has worked -------------------------------------------------------------------
_E, _NONE, _WEB = Comparison.EQUAL, 0, Unit.WEBHOOKS
RECOVERY_RETRIED = _recovery("retried", _S.SUCCESS_RATE, _A, 80, _PCT, "001", 30)
RECOVERY_FAILURES = _recovery("failures", _S.FAILURE_RATE, _L, 10, _PCT, "001", 10)
RECOVERY_TREND = _recovery(
    "trend", _S.QUEUE_DEPTH, Comparison.AT_MOST, _NONE, _MSG, "001 (window: house)", 10
)
RECOVERY_TEMPORARY = _recovery("none", _S.TEMPORARY_ERRORS, _E, _NONE, Unit.ERRORS, "001", 10)
RECOVERY_RATE_LIMITED = _recovery("none", _S.RATE_LIMIT_ERRORS, _E, _NONE, Unit.ERRORS, "001", 15)
RECOVERY_ACCEPTED = _recovery(
    "some", _S.ACCEPTED, _A, _NONE, Unit.ATTEMPTS, "001 (window: house)", 15
)
RECOVERY_QUOTA = _recovery("usage", _S.QUOTA, _L, 80, _PCT, "001")
RECOVERY_THROTTLE = _recovery("none", _S.THROTTLE, _E, _NONE, Unit.ORGANISATIONS, "001")
RECOVERY_SIGNATURES = _recovery("share", _S.SIGNATURES, _A, 99.9, _PCT, "001", 30)
RECOVERY_REFUSED = _recovery("refused", _S.SIGNATURES, _E, _NONE, _WEB, "001")
RECOVERY_QUIET = _recovery("quiet", _S.SIGNATURES, Comparison.AT_LEAST, 30 * _MINUTE, _SEC, "001")
RECOVERY_INBOUND = _recovery("messages", _S.INBOUND, _A, _NONE, _MSG, "001", 30)
RECOVERY_UNPROCESSED = _recovery("unprocessed", _S.INBOUND, _L, _MINUTE, _SEC, "001 (line: house)")
RECOVERY_WINDOWS = _recovery("updated", _S.SESSION_WINDOW, _A, _NONE, Unit.WINDOWS, "001", 30)
RECOVERY_STUCK = _recovery("none", _S.STUCK, _E, SLA_STUCK.value, _MSG, "000, 002, D23")
RECOVERY_QUEUE = _recovery("depth", _S.QUEUE_DEPTH, _L, ALERT_QUEUE_500.value, _MSG, "000, D22")
RECOVERY_DEAD = _recovery("size", _S.DEAD_LETTERS, _L, ALERT_DEAD_100.value, _MSG, "001, 002")
RECOVERY_DEAD_NEW = _recovery(
    "growth", _S.DEAD_LETTERS, _E, _NONE, _MSG, "001, 002 (window: house)", 30
)
RECOVERY_SUCCESS = _recovery(
    "rate", _S.SUCCESS_RATE, Comparison.AT_LEAST, SLA_SUCCESS_RATE.value, _PCT, "002", 15
)
RECOVERY_SEND_P95 = _recovery(
    "p95", _S.SEND_LATENCY, _L, SLA_SEND_LATENCY.value, _SEC, "000", 15, "p95"
)
RECOVERY_DELIVERY_P95 = _recovery(
    "p95", _S.DELIVERY_LATENCY, _L, ALERT_DELIVERY_P95.value, _SEC, "002, D5", 15, "p95"
)
RECOVERY_DELIVERY_P99 = _recovery(
    "p99", _S.DELIVERY_LATENCY, _L, ALERT_DELIVERY_P99.value, _SEC, "002, D5", 15, "p99"
)
RECOVERY_BREAKER = _recovery("closed", _S.BREAKER, _E, _NONE, Unit.SENDERS, "000")

# --- when a table wants its maintenance ---------------------------------------------------------
UPKEEP_DEAD_SHARE = _upkeep("share", _S.DEAD_ROWS, Comparison.AT_LEAST, 20, _PCT)
# Small tables are mostly dead rows between two visits of autovacuum; nobody notices.
UPKEEP_DEAD_ROWS = _upkeep("rows", _S.DEAD_ROWS, Comparison.AT_LEAST, 10_000, Unit.ROWS)
# Of autovacuum_freeze_max_age, at which autovacuum stops being optional.
UPKEEP_FROZEN_AGE = _upkeep("age", _S.FROZEN_AGE, Comparison.AT_LEAST, 100, _PCT)
UPKEEP_TRANSACTION = _upkeep("age", _S.TRANSACTION_AGE, _A, 5 * _MINUTE, _SEC)
UPKEEP_PREPARED = _upkeep("age", _S.PREPARED_AGE, _A, 5 * _MINUTE, _SEC)

# --- the database and the observers themselves --------------------------------------------------
ALERT_EXPORTER_GONE = _alert("some", _S.EXPORTERS, _A, 0, Unit.EXPORTERS, "house", 10)
# Before missing data is told, which it explains.
ALERT_EXPORTERS_GONE = _alert("none", _S.EXPORTERS, _E, 0, Unit.EXPORTERS, "house", 1)
# One is missed now and then where the machine is busy; more, and alerts come late.
ALERT_RULES_MISSED = _alert("missed", _S.RULES, _A, 3, Unit.EVALUATIONS, "house", 5)
ALERT_RULES_FAILED = _alert("failed", _S.RULES, _A, 0, Unit.EVALUATIONS, "house", 2)
ALERT_REPLICA_LAG = _alert("lag", _S.REPLICA_LAG, _A, _MINUTE, _SEC, "house", 5)
ALERT_REPLICA_BEHIND = _alert("behind", _S.REPLICA_LAG, _A, 10 * _MINUTE, _SEC, "house", 5)
ALERT_SLOT = _alert("retained", _S.SLOT, _A, 10, Unit.GIGABYTES, "house", 5)
# A backup of a large database reads for an hour; nothing of ours takes longer than minutes.
ALERT_SNAPSHOT = _alert("old", _S.TRANSACTION_AGE, _A, 30 * _MINUTE, _SEC, "house", 5)
ALERT_SNAPSHOT_OLDER = _alert("older", _S.TRANSACTION_AGE, _A, 120 * _MINUTE, _SEC, "house", 5)
ALERT_DEAD_SHARE = _alert("share", _S.DEAD_ROWS, _A, UPKEEP_DEAD_SHARE.value, _PCT, "house", 30)
MINIMUM_DEAD_ROWS = _minimum("rows", _S.DEAD_ROWS, UPKEEP_DEAD_ROWS.value, Unit.ROWS, "house")
ALERT_VACUUM_AGE = _alert("late", _S.VACUUM_AGE, _A, 60 * _MINUTE, _SEC, "house", 30)
# At 100 % autovacuum is forced; a quarter beyond, it does not get through.
ALERT_FROZEN_AGE = _alert("wraparound", _S.FROZEN_AGE, _A, 125, _PCT, "house", 30)
ALERT_INTEGRITY = _alert("any", _S.INTEGRITY, _A, 0, Unit.VIOLATIONS, "001 (data corruption)", 1)
ALERT_UNREADABLE = _alert("any", _S.UNREADABLE, _A, 0, Unit.ERRORS, "001 (data corruption)", 1)

# --- who else is called (001, "Escalation Decision Tree") ---------------------------------------
ESCALATE_OUTAGE_L2 = Threshold(
    "escalation.outage.l2", _S.OUTAGE, Use.ESCALATION, _A, 30 * _MINUTE, _SEC, "001 (to L2)"
)
ESCALATE_OUTAGE_L3 = Threshold(
    "escalation.outage.l3", _S.OUTAGE, Use.ESCALATION, _A, 120 * _MINUTE, _SEC, "001 (to L3)"
)


def _index(candidates: Iterable[object]) -> Mapping[str, Threshold]:
    found = [each for each in candidates if isinstance(each, Threshold)]
    return MappingProxyType({each.key: each for each in found})


THRESHOLDS: Mapping[str, Threshold] = _index(list(globals().values()))
"""Every line above by its key."""

SLA_TABLE: tuple[Threshold, ...] = tuple(
    each for each in THRESHOLDS.values() if each.use is Use.SLA
)
"""The six promises, in the order of 000's table."""


def panel_steps(subject: Subject) -> tuple[tuple[float | None, str], ...]:
    """Give a panel's colour steps: the base colour (value None), then each line upwards.

    For a line that must not be undercut (session window) the base is its colour and green follows.
    """
    lines = sorted(
        (each for each in THRESHOLDS.values() if each.use is Use.PANEL and each.subject is subject),
        key=lambda each: each.value,
    )
    if lines and lines[0].comparison is Comparison.BELOW:
        return ((None, lines[0].colour), (lines[0].value, "green"))
    base = "red" if subject is Subject.SUCCESS_RATE else "green"
    return ((None, base), *((each.value, each.colour) for each in lines))
