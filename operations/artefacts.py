"""docs/operations.md: what to do at night, written from the catalogue of procedures."""

from collections.abc import Iterator, Mapping

from operations.procedures import PROCEDURES, Procedure

PATH = "docs/operations.md"

_HEAD = """# Operations

What the runbooks do with SQL and scripts, `outbound-slo ops` does with one command each. This page
has every procedure of runbooks 000 to 002, the command, and the SQL for those who must. It is
written from `operations/procedures.py`: `make generate`. Places are `runbook:line`.

## At night

1. `outbound-slo ops status`: what is wrong, what line is crossed, whom to call, what to do next.
   [A recording](ops-status.txt) of the demo's incident shows it.
2. Run the command that it names with `--dry-run`, then without.
3. `outbound-slo ops verify RECOVERY` says line by line whether it is over; exit code 0 if it is.
4. A mistake? `outbound-slo ops log`, then `outbound-slo ops undo ID`.

`DATABASE_URL` says where the outbox is, as for the sender; `OUTBOUND_RECOVERY_WINDOW_SECONDS` and
`OUTBOUND_WEBHOOK_SILENCE_SECONDS` have to be the senders' own, since they decide what might arrive
twice. No sender has to be stopped for any of it. Where data is corrupt, change nothing and call
level 2 (001).

## What holds for every command that changes something

- `--dry-run` shows the rows by kind, what would become of them, and what would be left alone.
- It asks, with the count; `--yes` where nobody can be asked.
- `--operator` and `--ticket` go into the audit and into `updated_by`, as `ops-12-retry-ana-INC-7`.
  Without them it is `OUTBOUND_OPERATOR` and `OUTBOUND_TICKET`, or the login's name.
- It works in batches with a progress bar and a rate: `--batch` rows in one transaction and
  `--per-second` rows at most, where a command that may change many rows has these options.
- Ctrl-C ends it after the batch under way; a second one ends it at once and undoes that batch.
- Killed, its whole batches stand and are counted; the same command again does the rest.
- Rows are chosen by the state that the command ends, so a repeat finds nothing to do.
- `ops undo ID` brings back rows that are still as the command left them, for seven days. What a
  sender has sent stays. An undo can be undone.
- `ops log` says who did what, when, to how many rows; `killed` where a session died.
- `--json` is for machines, together with `--yes` or `--dry-run`.
- Exit codes: 0 done, or nothing to do; 1 declined, or not as it should be; 2 a mistake in what was
  typed or set; 3 paused, but something is still in flight; 130 interrupted.

Nothing that may have reached the provider is queued again before the recovery window is over, nor
while webhooks are silent or refused, since one might tell (D12). `--force` takes the risk, and the
attempt is marked as a possible duplicate.

## Procedures

"""

_RESTORE = """## Restoring a backup

As a superuser, into an empty database while no sender runs; `ops backup check FILE` before it says
whether the file is whole. Its manifest names the newest migration, which the new database needs.

```bash
outbound-slo db migrate
psql --dbname=NAME --command='TRUNCATE outbound_switch'
pg_restore --data-only --disable-triggers --single-transaction --exit-on-error --dbname=NAME FILE
outbound-slo exporter rollup verify --repair
```

The first and the last command use `DATABASE_URL`. Channels that were paused are paused again, and
what was in flight at the backup waits in SENDING: see `ops stuck list` before senders start.
"""


def build_operations_page() -> Mapping[str, str]:
    """Build the page by its path from the project's root."""
    return {PATH: _HEAD + "\n".join(_write_page()) + "\n"}


def _write_page() -> Iterator[str]:
    yield "| Procedure | Place | Command | Test |"
    yield "|---|---|---|---|"
    for each in PROCEDURES:
        commands = "<br>".join(f"`{command}`" for command in each.commands)
        yield f"| {each.title} | {each.place} | {commands} | `test_{each.test}` |"
    yield ""
    yield "Tests are modules of `tests/integration`. Commands follow `outbound-slo`."
    noted = [each for each in PROCEDURES if each.note]
    yield ""
    yield "### What is different, or remains to be done by hand"
    yield ""
    yield from (f"- {each.title} ({each.place}): {each.note}" for each in noted)
    yield ""
    yield _RESTORE
    yield "## The SQL that a command replaces"
    yield ""
    yield "Where no command can be run. These have no dry run, no undo and no caution."
    for each in _with_own_sql():
        yield ""
        yield f"### {each.title}"
        yield ""
        yield f"Better: `outbound-slo {each.commands[0]}`."
        yield ""
        yield f"```sql\n{each.sql}\n```"


def _with_own_sql() -> Iterator[Procedure]:
    seen: set[str] = set()
    for each in PROCEDURES:
        if each.sql and each.sql not in seen:
            seen.add(each.sql)
            yield each
