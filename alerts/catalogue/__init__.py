"""Every recording and alert, one module per subject."""

from alerts.catalogue import backlog, exporter, limits, messages, observation, paging, provider
from alerts.rule import RuleGroup

GROUPS: tuple[RuleGroup, ...] = (
    provider.GROUP,
    messages.GROUP,
    backlog.GROUP,
    limits.GROUP,
    observation.GROUP,
    exporter.GROUP,
    paging.GROUP,
)
"""All rule groups."""
