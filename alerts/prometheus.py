"""Prometheus's own configuration: what it scrapes, which rules it runs, whom it tells."""

from collections.abc import Mapping, Sequence
from typing import Final

from alerts.generator import write_yaml
from alerts.timing import Timing, format_duration
from outbound_slo.vocabulary.alerts import EXPORTER_JOB, PAGE_LABEL, SENDER_JOB

PROMETHEUS_JOB: Final = "prometheus"
ALERTMANAGER_JOB: Final = "alertmanager"

COMPOSE_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    EXPORTER_JOB: ("exporter:9109",),
    SENDER_JOB: ("sender:8080",),
    PROMETHEUS_JOB: ("localhost:9090",),
    ALERTMANAGER_JOB: ("alertmanager:9093",),
}
"""Jobs and `host:port` of docker-compose.yml's services."""

COMPOSE_ALERTMANAGER: Final = "alertmanager:9093"
"""Alertmanager's `host:port` there."""

# An alert that says which page it belongs to keeps that; every other one is its own page. So one
# silence, page="…", covers a page and what is said of it when it lasts.
_NAME_PAGE: Final = {
    "source_labels": [PAGE_LABEL, "alertname"],
    "separator": ";",
    "regex": ";(.+)",
    "target_label": PAGE_LABEL,
    "replacement": "$1",
}

_HEADER: Final = """\
# Written by `outbound-slo generate` from alerts/prometheus.py; changes made here do not last.
"""


def render_prometheus(
    timing: Timing,
    *,
    targets: Mapping[str, Sequence[str]],
    rule_files: Sequence[str],
    alertmanager: str,
) -> str:
    """Write Prometheus's configuration.

    Args:
        timing: The clock: decides how often it scrapes and evaluates.
        targets: Job name to addresses as `host:port`.
        rule_files: Paths or patterns, absolute or relative to the configuration.
        alertmanager: Its address as `host:port`.

    """
    interval = format_duration(timing.scrape_interval_s)
    document = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": format_duration(min(timing.scrape_interval_s, 10)),
            "evaluation_interval": interval,
        },
        "rule_files": list(rule_files),
        "alerting": {
            "alert_relabel_configs": [_NAME_PAGE],
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}],
        },
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in targets.items()
        ],
    }
    return write_yaml(document, _HEADER)
