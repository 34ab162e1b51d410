"""Processor time of processes and their children, from the kernel's own accounts in /proc."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat after the command's name, counted from 0 (proc(5)).
_PARENT, _UTIME, _CUTIME, _RSS = 1, 11, 13, 21


@dataclass(frozen=True, slots=True)
class _Account:
    parent: int
    seconds: float
    resident: int


def _read_accounts() -> Mapping[int, _Account]:
    accounts: dict[int, _Account] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text("ascii", "replace")
        except OSError:
            continue  # It has just ended.
        # The command's name is in brackets and may hold anything.
        fields = text.rpartition(")")[2].split()
        ticks = sum(map(int, fields[_UTIME : _CUTIME + 2]))
        accounts[int(entry.name)] = _Account(
            int(fields[_PARENT]), ticks / _TICKS, int(fields[_RSS]) * _PAGE
        )
    return accounts


def processor_seconds(pid: int) -> float:
    """Tell the seconds of processor time that a process and all below it have used so far.

    Children that have ended count once their parent has waited for them.
    """
    accounts = _read_accounts()
    total, family = 0.0, [pid]
    while family:
        number = family.pop()
        if number in accounts:
            total += accounts[number].seconds
        family += [child for child, account in accounts.items() if account.parent == number]
    return total


def resident_bytes(pid: int) -> int:
    """Tell the resident memory of one process in bytes; 0 if it has ended."""
    account = _read_accounts().get(pid)
    return account.resident if account else 0
