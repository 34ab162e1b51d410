"""docker-compose.yml without a container engine: form, paths, commands, settings, addresses."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from outbound_slo.cli import app
from outbound_slo.settings import (
    OWN_PREFIXES,
    DatabaseSettings,
    ExporterSettings,
    ProviderSettings,
    SenderSettings,
    ToolSettings,
    TracingSettings,
    known_variables,
)
from tests.unit.compose import (
    COMPOSE_FILE,
    EXAMPLE_FILE,
    ROOT,
    fill,
    named_variables,
    read_compose,
    read_example,
    read_filled_compose,
    required_variables,
)

SERVICES = {
    "postgres", "redis", "migrate", "sender", "exporter", "simulator", "pager",
    "prometheus", "alertmanager", "grafana", "jaeger",
}  # fmt: skip
OURS = {"migrate", "sender", "exporter", "simulator", "pager"}
LISTENING = {
    ("postgres", 5432), ("sender", 8080), ("exporter", 9109), ("simulator", 8090),
    ("pager", 9095), ("prometheus", 9090), ("alertmanager", 9093), ("grafana", 3000),
    ("jaeger", 16686), ("jaeger", 4318),
}  # fmt: skip
"""Service and port, as each image documents it or our settings say."""

EVERYWHERE = "0.0.0.0"  # noqa: S104 - other containers must reach a service; see the test of ports

NEWEST_JAEGER_WITH_SEARCH = (2, 20)

RAW = read_compose()
FILLED: dict[str, Any] = read_filled_compose()["services"]


def _environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in FILLED[service].get("environment", {}).items()}


def test_the_compose_specification_accepts_the_file() -> None:
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text("utf-8"))
    faults = [
        f"{'/'.join(map(str, fault.path))}: {fault.message}"
        for fault in Draft202012Validator(schema).iter_errors(RAW)
    ]
    assert faults == []


def test_all_services_are_there() -> None:
    assert set(FILLED) == SERVICES


@pytest.mark.parametrize("service", sorted(SERVICES - OURS))
def test_an_image_of_others_is_official_and_pinned(service: str) -> None:
    name, _, tag = FILLED[service]["image"].partition(":")
    assert re.fullmatch(r"v?\d+(\.\d+)*", tag)
    # A first part with a dot or a port would name a registry.
    assert re.fullmatch(r"[a-z]+(/[a-z]+)?", name)


def test_jaeger_still_has_the_search_that_the_runbook_uses() -> None:
    tag = FILLED["jaeger"]["image"].partition(":")[2]
    major, minor, _ = (int(part) for part in tag.split("."))
    assert (2, 0) <= (major, minor) <= NEWEST_JAEGER_WITH_SEARCH


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_what_is_published_is_bound_to_loopback(service: str) -> None:
    for port in FILLED[service].get("ports", []):
        address, outside, inside = port.split(":")
        assert address == "127.0.0.1"
        assert outside == inside, "the example's ports are the usual ones"
        assert (service, int(inside)) in LISTENING


@pytest.mark.parametrize("service", sorted(SERVICES - {"migrate"}))
def test_a_service_that_stays_has_a_health_check_and_comes_back(service: str) -> None:
    assert FILLED[service]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert FILLED[service]["restart"] == "unless-stopped"


def test_services_wait_for_what_they_need_and_for_what_can_become_true() -> None:
    possible = {
        "service_started": SERVICES,
        "service_healthy": {name for name in SERVICES if "healthcheck" in FILLED[name]},
        "service_completed_successfully": {"migrate"},
    }
    waits = [
        (service, needed, wait["condition"])
        for service, given in FILLED.items()
        for needed, wait in given.get("depends_on", {}).items()
    ]
    assert [wait for wait in waits if wait[1] not in possible[wait[2]]] == []
    assert ("migrate", "postgres", "service_healthy") in waits
    for service in ("sender", "exporter"):
        assert (service, "migrate", "service_completed_successfully") in waits


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_mounted_path_is_in_the_project_and_read_only(service: str) -> None:
    for mount in FILLED[service].get("volumes", []):
        source, _, target = mount.partition(":")
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
            assert target.endswith(":ro"), f"{source} could be changed from a container"
        else:
            assert source in RAW["volumes"], source


def test_every_named_volume_is_used() -> None:
    mounted = {
        mount.partition(":")[0] for given in FILLED.values() for mount in given.get("volumes", [])
    }
    assert set(RAW["volumes"]) <= mounted


@pytest.mark.parametrize("service", sorted(OURS - {"pager"}))
def test_a_command_of_ours_exists_with_its_options(service: str) -> None:
    command = FILLED[service]["command"]
    # Options are parsed, and unknown ones refused, before --help ends the run.
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0, result.output
    words = [word for word in command if not word.startswith("-") and word != "outbound"]
    assert " ".join(words) in result.output


@pytest.mark.parametrize("service", sorted(OURS))
def test_our_services_share_one_image_and_may_do_little(service: str) -> None:
    given = FILLED[service]
    assert (given["image"], given["build"]) == ("outbound-slo:local", ".")
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in given
    assert "user" not in given, "the image's own user is not root"


@pytest.mark.parametrize("service", sorted(OURS))
def test_every_variable_that_looks_like_ours_is_a_setting(service: str) -> None:
    given = set(_environment(service))
    ours = {name for name in given if name.startswith(OWN_PREFIXES)}
    others = {"DATABASE_URL", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME"}
    assert ours | (given & others) <= known_variables()
    own = given - ours - others
    # The simulator's own are options of its command, which names their variables.
    assert all(name.startswith("SIMULATOR_") for name in own)
    if own:
        told = CliRunner().invoke(app, [service, "--help"], env={"COLUMNS": "200"}).output
        assert [name for name in own if name not in told] == []


def test_the_settings_accept_the_values_that_services_get(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("sender", "exporter"):
        for name in known_variables():
            monkeypatch.delenv(name, raising=False)
        for name, value in _environment(service).items():
            monkeypatch.setenv(name, value)
        for group in (DatabaseSettings, TracingSettings, ProviderSettings, ToolSettings):
            group.read()
        if service == "sender":
            sender = SenderSettings.read()
            assert (sender.http_host, sender.http_port) == (EVERYWHERE, 8080)
        else:
            exporter = ExporterSettings.read()
            assert (exporter.host, exporter.port) == (EVERYWHERE, 9109)


def test_every_address_names_a_service_and_a_port_that_it_listens_on() -> None:
    texts = [
        json.dumps(FILLED),
        *(path.read_text("utf-8") for path in (ROOT / "dashboards/provisioning").rglob("*.yml")),
        (ROOT / "alerts/generated/alertmanager.yml").read_text("utf-8"),
    ]
    prometheus = yaml.safe_load((ROOT / "alerts/generated/prometheus.yml").read_text("utf-8"))
    addresses = {
        (address.hostname, address.port)
        for text in texts
        for address in map(urlsplit, re.findall(r"(?:https?|postgresql)://[^\s\"',]+", text))
        if address.hostname not in {"127.0.0.1", "localhost", None}
    } | {
        (target.rpartition(":")[0], int(target.rpartition(":")[2]))
        for job in prometheus["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
        if not target.startswith("localhost:")
    }
    assert {host for host, _ in addresses} >= {"sender", "exporter", "jaeger", "pager", "postgres"}
    assert addresses <= LISTENING


@pytest.mark.parametrize("service", ["sender", "exporter", "simulator", "pager", "prometheus"])
def test_a_health_check_asks_the_port_that_the_service_listens_on(service: str) -> None:
    check = json.dumps(FILLED[service]["healthcheck"]["test"])
    [port] = {int(found) for found in re.findall(r"127\.0\.0\.1[:', ]+(\d+)", check)}
    assert (service, port) in LISTENING


def test_without_secrets_compose_refuses_to_start() -> None:
    text = COMPOSE_FILE.read_text("utf-8")
    required = required_variables(text)
    secret = {
        name for name in named_variables(text) if re.search("PASSWORD|TOKEN|SECRET|KEY", name)
    }
    assert secret - required == {
        # An instant, and no secret at all.
        "WHATSAPP_ACCESS_TOKEN_EXPIRES_AT",
        "WHATSAPP_PREVIOUS_APP_SECRET",
        "OUTBOUND_PREVIOUS_ADMIN_TOKEN",
        "SENDGRID_WEBHOOK_PUBLIC_KEY",
        "SIMULATOR_SENDGRID_SIGNING_KEY",
    }
    with pytest.raises(KeyError, match="POSTGRES_PASSWORD: copy"):
        fill(RAW["services"]["migrate"]["environment"]["DATABASE_URL"], {})


def test_the_example_offers_every_variable_and_no_other() -> None:
    example = EXAMPLE_FILE.read_text("utf-8")
    text = COMPOSE_FILE.read_text("utf-8")
    assert set(read_example(example)) >= required_variables(text)
    assert set(read_example(example, offered=True)) == named_variables(text)


def test_the_example_holds_no_secret() -> None:
    example = read_example(EXAMPLE_FILE.read_text("utf-8"))
    secrets = {
        name: value for name, value in example.items() if "USER" not in name and "DB" not in name
    }
    assert all(value.startswith("CHANGE-") for value in secrets.values())


def test_grafana_finds_data_sources_and_dashboards_where_they_are_mounted() -> None:
    provisioning = ROOT / "dashboards/provisioning"
    sources = yaml.safe_load((provisioning / "datasources/outbound-slo.yml").read_text("utf-8"))
    assert {source["type"]: source["uid"] for source in sources["datasources"]} == {
        "prometheus": "prometheus",
        "jaeger": "jaeger",
    }
    [exemplars] = sources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"]) == ("trace_id", "jaeger")
    dashboards = yaml.safe_load((provisioning / "dashboards/outbound-slo.yml").read_text("utf-8"))
    path = dashboards["providers"][0]["options"]["path"]
    assert f"./dashboards/generated:{path}:ro" in FILLED["grafana"]["volumes"]
    home = _environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "dashboards/generated" / home.removeprefix(f"{path}/")).is_file()
