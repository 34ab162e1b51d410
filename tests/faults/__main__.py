"""Run one scenario by hand: `python -m tests.faults kill --seed 7 --whole`."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.plan import Scale
from tests.faults.runner import run, running_server
from tests.faults.scenarios import CATALOGUE
from tests.faults.table import describe, render

SHOWN_VIOLATIONS = 40


def main() -> int:
    """Run the named scenarios, print their table and what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("scenario", nargs="+", choices=sorted(CATALOGUE), metavar="SCENARIO")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", action="store_true", help="the whole of it, not a small part")
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this directory")
    options = parser.parse_args()
    scale = Scale.WHOLE if options.whole else Scale.SMALL
    lines, found = [], []
    with tempfile.TemporaryDirectory() as temporary, running_server() as server:
        for name in options.scenario:
            plan = CATALOGUE[name].plan(options.seed, scale)
            directory = (options.logs or Path(temporary)) / name
            verdict = run(plan, server, directory)
            lines.append(describe(name, plan.done, verdict))
            sys.stderr.write(f"{lines[-1]}\n")
            found += [f"{name}: {one.fault.value}: {one.where}" for one in verdict.violations]
    sys.stdout.write(render(lines))
    for line in found[:SHOWN_VIOLATIONS]:
        sys.stdout.write(f"{line}\n")
    if len(found) > SHOWN_VIOLATIONS:
        sys.stdout.write(f"… and {len(found) - SHOWN_VIOLATIONS} more\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
