"""The real amtool: is Alertmanager's configuration sound, and where does an alert go.

It knows routes only: time intervals and inhibition it ignores (T11), so those are tested on a real
Alertmanager.
"""

from collections.abc import Mapping
from pathlib import Path

from alerts.finding import Finding
from outbound_slo.embedded.binaries import Tools

_PROGRAM = "amtool"


def check_alertmanager(tools: Tools, path: Path) -> list[Finding]:
    """Have amtool check a configuration."""
    told = tools.run(_PROGRAM, "check-config", str(path))
    if not told.returncode:
        return []
    # "Checking 'FILE'  FAILED: REASON"; standard error only says that something failed.
    _, _, reason = told.stdout.partition("FAILED:")
    said = reason.strip() or told.stderr.strip()
    return [Finding(path.name, _PROGRAM, line.strip()) for line in said.splitlines()]


def find_receivers(tools: Tools, path: Path, labels: Mapping[str, str]) -> list[str]:
    """Ask to which receivers an alert with these labels is routed."""
    told = tools.run(
        _PROGRAM,
        "config",
        "routes",
        "test",
        f"--config.file={path}",
        *(f"{label}={value}" for label, value in labels.items()),
    )
    return [name for name in told.stdout.strip().split(",") if name]
