"""Alertmanager's configuration for a replay: its waits divided, its receivers led to one address.

Routes, grouping and inhibition stay as they are. Time intervals follow the wall clock, which a
replay does not keep to, so they are left out; so are templates, since a replay shows no messages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import yaml

from alerts.replay.evaluation import read_duration
from alerts.timing import HOUR, MINUTE, SECOND, format_duration
from outbound_slo.vocabulary.mistakes import UserMistake

# What Alertmanager takes where the root route says nothing.
_DEFAULTS: Final = {
    "group_wait": 30 * SECOND,
    "group_interval": 5 * MINUTE,
    "repeat_interval": 4 * HOUR,
}
_SHORTEST_S: Final = 0.001
_BY_WALL_CLOCK: Final = ("mute_time_intervals", "active_time_intervals", "time_intervals")


@dataclass(frozen=True, slots=True)
class Accelerated:
    """A configuration for a replay.

    Attributes:
        text: YAML for Alertmanager.
        longest_wait_s: The longest `group_wait` or `group_interval` in it, divided already: after
            this time without a change Alertmanager has nothing new to tell.
        left_out: Keys of the original that a replay cannot follow.

    """

    text: str
    longest_wait_s: float
    left_out: tuple[str, ...]


def accelerate(configuration: Mapping[str, Any], where: str, speed: float, url: str) -> Accelerated:
    """Divide the waits and lead every receiver to a path of its own below an address.

    Args:
        configuration: Alertmanager's configuration as read from YAML.
        where: Its name in errors.
        speed: What waits are divided by.
        url: Base address of who receives; a receiver's name, quoted, is its path.

    Raises:
        UserMistake: It has no route or no receivers, or a wait is no duration.

    """
    route, receivers = configuration.get("route"), configuration.get("receivers")
    if not isinstance(route, dict) or not isinstance(receivers, list):
        raise UserMistake(f"{where} has no route or no receivers", "Name Alertmanager's own file")
    root = {name: format_duration(seconds) for name, seconds in _DEFAULTS.items()} | route
    left_out = {key for key in _BY_WALL_CLOCK if configuration.get(key)}
    left_out |= {key for each in _walk(root) for key in _BY_WALL_CLOCK if each.get(key)}
    divided = _divide(root, where, speed)
    document = {
        "route": divided,
        "inhibit_rules": configuration.get("inhibit_rules") or [],
        "receivers": [_redirect(receiver, url) for receiver in receivers],
    }
    waits = [
        read_duration(each[name])
        for each in _walk(divided)
        for name in ("group_wait", "group_interval")
        if name in each
    ]
    return Accelerated(
        yaml.safe_dump(document, sort_keys=False), max(waits), tuple(sorted(left_out))
    )


def _walk(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for child in route.get("routes") or ():
        yield from _walk(child)


def _divide(route: Mapping[str, Any], where: str, speed: float) -> dict[str, Any]:
    divided = {key: value for key, value in route.items() if key not in _BY_WALL_CLOCK}
    for name in _DEFAULTS:
        if name in divided:
            seconds = _read_wait(divided[name], f"{where}: {name}") / speed
            # Zero means "at once" for group_wait and nothing for the other two.
            divided[name] = format_duration(max(seconds, _SHORTEST_S) if seconds else 0)
    if divided.get("routes"):
        divided["routes"] = [_divide(child, where, speed) for child in divided["routes"]]
    return divided


def _read_wait(text: object, where: str) -> float:
    try:
        return read_duration(str(text))
    except UserMistake as mistake:
        raise UserMistake(f"{where}: {mistake.what}", mistake.mend) from None


def _redirect(receiver: Mapping[str, Any], url: str) -> dict[str, Any]:
    name = str(receiver.get("name"))
    if not any(key.endswith("_configs") and value for key, value in receiver.items()):
        # Nobody listens there, and a replay does not pretend that somebody does.
        return {"name": name}
    return {
        "name": name,
        "webhook_configs": [{"url": f"{url}/{quote(name, safe='')}", "send_resolved": True}],
    }
