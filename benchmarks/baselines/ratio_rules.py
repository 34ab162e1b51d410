"""Burn-rate rules in the shape that sloth documents, written by us, to compare ours with.

Eight windows of ratios of rates; the longest is an average of the shortest's ratios. Two pairs of
windows page (14.4 times the budget over 5 m and 1 h, 6 times over 30 m and 6 h), two make tickets
(3 times over 2 h and 1 d, once over 6 h and 3 d). There is no minimum of events.
"""

from typing import Any, Final

PAGE: Final = "BaselinePage"
TICKET: Final = "BaselineTicket"

_WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
_PERIOD: Final = "30d"
_PAGE_PAIRS: Final = (("5m", "1h", 14.4), ("30m", "6h", 6.0))
_TICKET_PAIRS: Final = (("2h", "1d", 3.0), ("6h", "3d", 1.0))


def write_rules(bad: str, total: str, objective: float, by: str = "channel") -> dict[str, Any]:
    """Write one objective's rules as a rule file's document.

    Args:
        bad: Selector of the counters of bad events.
        total: Selector of the counters of all events.
        objective: Share of good events that is promised, 0 to 1.
        by: Label that tells the objective's series apart.

    """
    recordings = [
        {
            "record": _ratio(window),
            "expr": f"sum by ({by}) (rate({bad}[{window}])) "
            f"/ (sum by ({by}) (rate({total}[{window}])) > 0)",
        }
        for window in _WINDOWS
    ]
    shortest = _ratio(_WINDOWS[0])
    period = {
        "record": _ratio(_PERIOD),
        "expr": f"sum_over_time({shortest}[{_PERIOD}]) / count_over_time({shortest}[{_PERIOD}])",
    }
    budget = 1 - objective
    alerts = [
        {"alert": name, "expr": "\nor\n".join(_burn(*pair, budget) for pair in pairs)}
        for name, pairs in ((PAGE, _PAGE_PAIRS), (TICKET, _TICKET_PAIRS))
    ]
    return {"groups": [{"name": "baseline", "rules": [*recordings, period, *alerts]}]}


def _ratio(window: str) -> str:
    return f"baseline:sli_error:ratio_rate{window}"


def _burn(short: str, long: str, factor: float, budget: float) -> str:
    line = f"{factor * budget:.6g}"
    return f"({_ratio(short)} > {line} and {_ratio(long)} > {line})"
