"""A real Prometheus on a loopback port: its configuration, and its start under a supervisor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from outbound_slo.embedded.binaries import PROMETHEUS, Tools, find_tools
from outbound_slo.embedded.processes import LOOPBACK, Supervisor, claim_port
from outbound_slo.embedded.prometheus_api import PrometheusApi


@dataclass(frozen=True)
class ScrapeJob:
    """Something to scrape.

    Attributes:
        name: Becomes the label `job`.
        targets: Addresses as `host:port`.
        path: Path of the metrics.

    """

    name: str
    targets: Sequence[str]
    path: str = "/metrics"


def compose_configuration(
    jobs: Sequence[ScrapeJob],
    *,
    rule_files: Sequence[Path] = (),
    alertmanagers: Sequence[str] = (),
    interval: str = "1s",
    external_labels: Mapping[str, str] | None = None,
) -> str:
    """Compose a configuration file as YAML text.

    Args:
        jobs: What to scrape.
        rule_files: Rule files, absolute or relative to the configuration file.
        alertmanagers: Addresses of Alertmanagers as `host:port`.
        interval: Time between scrapes, and between evaluations of the rules.
        external_labels: Labels put on every alert that leaves.

    """
    configuration = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
            "external_labels": dict(external_labels or {}),
        },
        "rule_files": [str(path) for path in rule_files],
        "scrape_configs": [
            {
                "job_name": job.name,
                "metrics_path": job.path,
                "static_configs": [{"targets": list(job.targets)}],
            }
            for job in jobs
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}],
        },
    }
    return yaml.safe_dump(configuration, sort_keys=False)


def start_prometheus(
    supervisor: Supervisor,
    directory: Path,
    configuration: str,
    *,
    port: int | None = None,
    tools: Tools | None = None,
    flags: Sequence[str] = (),
) -> PrometheusApi:
    """Start Prometheus and wait until it is ready.

    Exemplars are stored, and `reload` works.

    Args:
        supervisor: Takes charge of the process.
        directory: For its configuration (`prometheus.yml`, written here) and its data.
        configuration: YAML text; relative rule files are looked for in `directory`.
        port: Loopback port; a free one if None.
        tools: Its programs; found by `find_tools` if None.
        flags: Further command-line flags.

    Raises:
        UserMistake: The port is in use, or Prometheus refuses the configuration or a rule file.

    """
    tools = tools or find_tools(PROMETHEUS)
    port = claim_port(port, "Prometheus")
    directory.mkdir(parents=True, exist_ok=True)
    configuration_file = directory / "prometheus.yml"
    configuration_file.write_text(configuration, encoding="utf-8")
    api = PrometheusApi(f"http://{LOOPBACK}:{port}")
    supervisor.start(
        "prometheus",
        [
            tools["prometheus"],
            f"--config.file={configuration_file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={LOOPBACK}:{port}",
            f"--web.external-url={api.url}/",
            "--web.enable-lifecycle",
            "--enable-feature=exemplar-storage",
            *_web_assets(tools),
            *flags,
        ],
        ready=api.is_ready,
        environment=tools.environment(),
    )
    return api


def _web_assets(tools: Tools) -> list[str]:
    """Point an unpacked Debian build, the only one with this flag, to its unpacked web pages."""
    if tools.root is None:
        return []
    return [f"--web.local-assets={tools.root / 'usr/share/prometheus/web'}"]
