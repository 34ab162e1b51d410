"""Debian's packages, really fetched and unpacked, as on a machine that has none installed."""

import re
from pathlib import Path

import psycopg
import pytest
import requests

from dashboards.preview.page import Theme
from dashboards.preview.picture import open_browser
from outbound_slo.embedded.alertmanager import start_alertmanager
from outbound_slo.embedded.binaries import (
    ALERTMANAGER,
    CHROMIUM,
    POSTGRESQL,
    PROMETHEUS,
    cache_directory,
    find_tools,
)
from outbound_slo.embedded.debian import unpack_kit
from outbound_slo.embedded.postgres import EmbeddedPostgres
from outbound_slo.embedded.processes import Supervisor
from outbound_slo.embedded.prometheus import compose_configuration, start_prometheus
from outbound_slo.vocabulary.mistakes import UserMistake

IGNORE_INSTALLED = {"OUTBOUND_SLO_IGNORE_INSTALLED": "1"}


def test_an_unpacked_prometheus_runs_and_is_found_again_without_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"OUTBOUND_SLO_CACHE": str(tmp_path), **IGNORE_INSTALLED}
    announced: list[str] = []
    tools = find_tools(PROMETHEUS, environ, announced.append)
    assert [line.split(" into ")[0] for line in announced] == [
        "Fetching Debian's package prometheus"
    ]
    assert Path(tools["prometheus"]).is_relative_to(tmp_path)
    assert "prometheus, version" in tools.run("prometheus", "--version").stdout
    assert tools.run("promtool", "check", "rules", "/dev/null").returncode == 0
    # No apt-get, no dpkg-deb: a second search can't fetch.
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert find_tools(PROMETHEUS, environ, announced.append) == tools
    assert len(announced) == 1


def fetch(url: str) -> str:
    answer = requests.get(url, timeout=10)
    return answer.text if answer.ok else ""


def test_an_unpacked_prometheus_serves_its_web_page_with_all_scripts(tmp_path: Path) -> None:
    environ = {"OUTBOUND_SLO_CACHE": str(cache_directory()), **IGNORE_INSTALLED}
    tools = find_tools(PROMETHEUS, environ)
    with Supervisor(tmp_path) as supervisor:
        api = start_prometheus(supervisor, tmp_path, compose_configuration([]), tools=tools)
        page = fetch(f"{api.url}/classic/graph")
        scripts = [part.split('"')[0] for part in page.split('src="')[1:]]
        assert scripts
        assert [script for script in scripts if not fetch(f"{api.url}{script}")] == []


def test_an_unpacked_alertmanager_finds_its_templates(tmp_path: Path) -> None:
    environ = {"OUTBOUND_SLO_CACHE": str(cache_directory()), **IGNORE_INSTALLED}
    tools = find_tools(ALERTMANAGER, environ)
    configuration = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
    with Supervisor(tmp_path) as supervisor:
        api = start_alertmanager(supervisor, tmp_path, configuration, tools=tools)
        assert api.alerts() == []


def test_an_unpacked_postgresql_serves_with_its_extensions() -> None:
    # In the project's own cache: the server's user can't enter pytest's directories.
    environ = {"OUTBOUND_SLO_CACHE": str(cache_directory()), **IGNORE_INSTALLED}
    tools = find_tools(POSTGRESQL, environ)
    assert tools.root is not None
    with (
        EmbeddedPostgres(fsync=False, tools=tools) as server,
        psycopg.connect(server.conninfo()) as connection,
    ):
        connection.execute("CREATE EXTENSION pgcrypto")
        row = connection.execute("SELECT now() AT TIME ZONE 'Europe/Paris' > '2020-01-01'")
        assert row.fetchone() == (True,)


def test_an_unpacked_chromium_draws_letters_with_its_own_font() -> None:
    # In the project's own cache: a third of a gigabyte.
    environ = {"OUTBOUND_SLO_CACHE": str(cache_directory()), **IGNORE_INSTALLED}
    tools = find_tools(CHROMIUM, environ)
    assert tools.root is not None
    assert tools.root in Path(tools["chromium"]).parents
    settings = Path(tools.environment()["FONTCONFIG_FILE"]).read_text("utf-8")
    fonts = [Path(place) for place in re.findall("<dir>(.*?)</dir>", settings)]
    unpacked = [place for place in fonts if place.is_relative_to(tools.root)]
    assert [path for place in unpacked for path in place.rglob("DejaVuSans.ttf")]
    page = "<!DOCTYPE html><html data-ready=1><body style='font: 40px sans-serif'>{}</body></html>"
    with open_browser(tools) as camera:
        words, dots, nothing = (
            camera(page.format(text), 400, Theme.LIGHT) for text in ("Letters", "......", "")
        )
    assert len({words, dots, nothing}) == 3


def test_a_package_that_no_archive_has_is_a_mistake_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserMistake, match="outbound-slo-no-such-package"):
        unpack_kit("outbound-slo-no-such-package", tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_debians_tools_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserMistake, match="Install prometheus with the system's own"):
        unpack_kit("prometheus", tmp_path / "tree")


def test_a_cache_that_cannot_be_written_is_a_mistake_that_names_the_variable(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    environ = {"OUTBOUND_SLO_CACHE": str(tmp_path / "file"), **IGNORE_INSTALLED}
    with pytest.raises(UserMistake, match="OUTBOUND_SLO_CACHE"):
        find_tools(PROMETHEUS, environ)
