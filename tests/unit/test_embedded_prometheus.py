"""The configuration that is composed for Prometheus."""

from pathlib import Path

import yaml

from outbound_slo.embedded.prometheus import ScrapeJob, compose_configuration


def test_a_configuration_names_targets_rules_alertmanagers_and_one_interval_for_all() -> None:
    text = compose_configuration(
        [ScrapeJob("sender", ["127.0.0.1:1"], "/actuator/prometheus")],
        rule_files=[Path("rules/a.yml")],
        alertmanagers=["127.0.0.1:2"],
        interval="2s",
        external_labels={"stack": "demo"},
    )
    assert yaml.safe_load(text) == {
        "global": {
            "scrape_interval": "2s",
            "scrape_timeout": "2s",
            "evaluation_interval": "2s",
            "external_labels": {"stack": "demo"},
        },
        "rule_files": ["rules/a.yml"],
        "scrape_configs": [
            {
                "job_name": "sender",
                "metrics_path": "/actuator/prometheus",
                "static_configs": [{"targets": ["127.0.0.1:1"]}],
            }
        ],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:2"]}]}]},
    }
