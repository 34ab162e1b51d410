"""Every recording and alert, one module per subject."""

from alerts.catalogue import (
    account,
    backlog,
    calls,
    corruption,
    database,
    exporter,
    growth,
    limits,
    messages,
    objectives,
    observation,
    paging,
    provider,
    webhooks,
    worker,
)
from alerts.rule import RuleGroup

GROUPS: tuple[RuleGroup, ...] = (
    provider.GROUP,
    messages.GROUP,
    backlog.GROUP,
    growth.GROUP,
    calls.GROUP,
    limits.GROUP,
    webhooks.GROUP,
    account.GROUP,
    worker.GROUP,
    observation.GROUP,
    exporter.GROUP,
    database.GROUP,
    corruption.GROUP,
    paging.GROUP,
    *objectives.GROUPS,
)
"""All rule groups."""
