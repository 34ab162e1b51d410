"""Every recording and alert, one module per subject."""

from alerts.catalogue import (
    backlog,
    corruption,
    database,
    exporter,
    limits,
    messages,
    observation,
    provider,
)
from alerts.rule import RuleGroup

GROUPS: tuple[RuleGroup, ...] = (
    provider.GROUP,
    messages.GROUP,
    backlog.GROUP,
    limits.GROUP,
    observation.GROUP,
    exporter.GROUP,
    database.GROUP,
    corruption.GROUP,
)
"""All rule groups."""
