"""Counters that never fall, whatever their source does."""

from operator import add, lt
from types import MappingProxyType

from exporter.pack import LabelValues, Parts, Series


class HeightGuard:
    """Keeps a counter from falling (T5, T12).

    Where a source falls, because somebody counts rows that were purged or the database was
    restored, what is served stays at its height and goes on from there by the source's increments.
    Prometheus would otherwise take the fall for a restart and count everything twice. The memory
    ends with the process: a fall across a restart of the exporter is seen as a reset.

    Args:
        capacity: Series that are gone are forgotten when more than this many are remembered.

    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._last: dict[LabelValues, Parts] = {}
        self._offset: dict[LabelValues, Parts] = {}
        self.rebases = 0

    def lift(self, series: Series) -> Series:
        """Give what to serve for what the source says now."""
        lifted = {key: self._lift(key, parts) for key, parts in series.items()}
        if len(self._last) > self._capacity:
            self._last = {key: self._last[key] for key in series}
            self._offset = {key: self._offset[key] for key in series if key in self._offset}
        return MappingProxyType(lifted)

    def _lift(self, key: LabelValues, parts: Parts) -> Parts:
        last = self._last.get(key)
        if last is not None and True in map(lt, parts, last):
            lost = tuple(max(then - now, 0.0) for now, then in zip(parts, last, strict=True))
            self._offset[key] = _add(self._offset.get(key), lost)
            self.rebases += 1
        self._last[key] = parts
        return _add(self._offset.get(key), parts)


def _add(offset: Parts | None, parts: Parts) -> Parts:
    return parts if offset is None else tuple(map(add, offset, parts))
