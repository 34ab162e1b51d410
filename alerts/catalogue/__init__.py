"""Every recording and alert, one module per subject."""

from alerts.catalogue import backlog, exporter, limits, messages, objectives, observation, provider
from alerts.rule import RuleGroup

GROUPS: tuple[RuleGroup, ...] = (
    provider.GROUP,
    messages.GROUP,
    backlog.GROUP,
    limits.GROUP,
    observation.GROUP,
    exporter.GROUP,
    *objectives.GROUPS,
)
"""All rule groups."""
