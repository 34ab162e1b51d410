"""The import against a server that behaves as Grafana's documentation says Grafana does."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dashboards import grafana as grafana_api
from dashboards.commands import app
from dashboards.grafana import TOKEN_VARIABLE, URL_VARIABLE, GrafanaApi, Saved
from dashboards.imports import name_folder
from outbound_slo.vocabulary.alerts import Dashboard
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.dashboard_parts import DASHBOARDS
from tests.grafana_parts import TOKEN, Grafana, serve_grafana

ALL = [uid.value for uid in Dashboard]
MESSAGES = "outbound-messages"


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    with serve_grafana() as served:
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        monkeypatch.setenv(URL_VARIABLE, served.url)
        yield served


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["import", *arguments])


def succeed(*arguments: str) -> list[str]:
    result = run(*arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout.splitlines()


def fail(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, UserMistake), result.output
    text = str(result.exception)
    assert "\n" not in text
    assert TOKEN not in text + result.output
    return text


def test_all_dashboards_come_into_a_folder_that_is_made(grafana: Grafana) -> None:
    lines = succeed()

    assert list(grafana.dashboards) == ALL
    for uid, stored in grafana.dashboards.items():
        own = {"id": stored["id"], "version": 1}
        assert stored == DASHBOARDS[Dashboard(uid)] | own
    assert grafana.folders == {MESSAGES: "Outbound messages"}
    assert set(grafana.places.values()) == {MESSAGES}
    assert lines == [f"created    {uid}, version 1: {grafana.url}/d/{uid}/slug" for uid in ALL]


def test_what_is_sent_is_what_the_documentation_asks_for(grafana: Grafana) -> None:
    succeed("whatsapp-sla")

    folder, saved = grafana.writes()
    assert (folder.path, folder.body) == (
        "/api/folders", {"uid": MESSAGES, "title": "Outbound messages"},
    )  # fmt: skip
    assert saved.path == "/api/dashboards/db"
    document = saved.body.pop("dashboard")
    assert document == {**DASHBOARDS[Dashboard.SLA], "id": None, "version": 0}
    assert saved.body == {
        "folderUid": MESSAGES, "message": "outbound-slo dashboards import", "overwrite": False,
    }  # fmt: skip
    for request in grafana.received:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert request.headers["accept"] == "application/json"
    assert saved.headers["content-type"] == "application/json"


def test_the_second_import_changes_nothing_and_makes_no_version(grafana: Grafana) -> None:
    succeed()
    before = len(grafana.writes())
    lines = succeed()
    assert lines == [f"unchanged  {uid}, version 1" for uid in ALL]
    assert len(grafana.writes()) == before
    assert {len(each) for each in grafana.versions.values()} == {1}


def test_only_what_differs_is_replaced(grafana: Grafana) -> None:
    succeed()
    grafana.dashboards["outbound-slo"]["panels"][0]["title"] = "Changed by hand"
    grafana.dashboards["outbound-slo"]["version"] = 7

    lines = succeed()

    assert [line.split()[0] for line in lines] == [
        "unchanged", "unchanged", "replaced", "unchanged", "unchanged",
    ]  # fmt: skip
    assert "outbound-slo, version 8: " in lines[2]
    assert grafana.dashboards["outbound-slo"]["panels"] == DASHBOARDS[Dashboard.SLO]["panels"]


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(grafana: Grafana) -> None:
    assert succeed("--dry-run")[0] == f"would create  folder Outbound messages ({MESSAGES})"
    assert grafana.writes() == []

    succeed("whatsapp-sla", "outbound-slo")
    grafana.dashboards["outbound-slo"]["title"] = "Changed by hand"
    before = len(grafana.writes())
    assert succeed("--dry-run") == [
        "unchanged     whatsapp-sla",
        "would create  outbound-messaging",
        "would replace outbound-slo",
        "would create  outbound-health",
        "would create  outbound-organisation",
    ]
    assert len(grafana.writes()) == before


def test_dashboards_are_chosen_by_name(grafana: Grafana) -> None:
    succeed("outbound-health", "whatsapp-sla")
    assert set(grafana.dashboards) == {"outbound-health", "whatsapp-sla"}
    assert fail("outbound-helth").startswith("There is no dashboard 'outbound-helth'. Use whatsapp")


def test_what_is_elsewhere_stays_there_unless_a_folder_is_named(grafana: Grafana) -> None:
    grafana.folders["a1b2"] = "Team"
    succeed("--folder", "Team")
    assert grafana.folders == {"a1b2": "Team"}, "a folder of that title is used, whatever its uid"
    assert set(grafana.places.values()) == {"a1b2"}

    assert {line.split()[0] for line in succeed()} == {"unchanged"}
    assert grafana.folders == {"a1b2": "Team"}, "a folder that nothing needs is not made"

    grafana.dashboards["outbound-slo"]["title"] = "Changed by hand"
    succeed()
    assert grafana.places["outbound-slo"] == "a1b2"

    assert {line.split()[0] for line in succeed("--folder", "General")} == {"replaced"}
    assert set(grafana.places.values()) == {""}


@pytest.mark.parametrize("title", ["Outbound SLO", "Nachrichten für alle", "…", "x" * 90, "a / b"])
def test_any_title_makes_a_uid_of_its_own(grafana: Grafana, title: str) -> None:
    succeed("whatsapp-sla", "outbound-slo", "--folder", title)
    assert list(grafana.folders.values()) == [title]
    assert not set(grafana.folders) & set(ALL)
    succeed("--folder", title)
    assert len(grafana.folders) == 1


def test_titles_that_look_alike_do_not_share_a_uid() -> None:
    assert name_folder("Für") != name_folder("För")
    assert name_folder("Outbound messages") == MESSAGES
    titles = [
        "Outbound messages!",
        "Outbound messages's",
        "Outbound, messages",
        "Outbound  messages",
    ]
    assert len({name_folder(each) for each in [*titles, "Outbound messages"]}) == 5


def test_a_folder_of_another_title_is_not_taken_for_the_one_that_was_named(
    grafana: Grafana,
) -> None:
    succeed("whatsapp-sla")
    succeed("whatsapp-sla", "--folder", "Outbound messages?")
    assert grafana.folders[grafana.places["whatsapp-sla"]] == "Outbound messages?"


@pytest.mark.parametrize("title", ["general", "GENERAL"])
def test_general_is_the_top_however_it_is_written(grafana: Grafana, title: str) -> None:
    succeed("whatsapp-sla", "--folder", title)
    assert (grafana.folders, grafana.places["whatsapp-sla"]) == ({}, "")


@pytest.mark.usefixtures("grafana")
def test_a_host_that_is_no_name_is_one_clear_line() -> None:
    assert "does not answer at http://a..b" in fail("--grafana", "http://a..b")


def test_a_grafana_below_a_path_and_a_slash_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with serve_grafana("/grafana") as served:
        [line] = succeed("whatsapp-sla", "--grafana", f"{served.url}/")
        assert line.endswith(f"{served.url}/d/whatsapp-sla/slug")
        assert served.url.endswith("/grafana")


def test_a_netrc_does_not_replace_the_token(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    succeed("whatsapp-sla")
    assert "whatsapp-sla" in grafana.dashboards


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "line"),
    [
        (TOKEN_VARIABLE, "GRAFANA_API_KEY is not set. Put the token"),
        (URL_VARIABLE, "It is not said where Grafana is. Give --grafana, or set GRAFANA_URL"),
    ],
)
def test_without_token_or_address_nothing_is_sent(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch, variable: str, line: str
) -> None:
    monkeypatch.delenv(variable)
    assert fail().startswith(line)
    assert grafana.received == []


GET, POST = "/api/dashboards/uid/whatsapp-sla", "/api/dashboards/db"


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "told", "mend"),
    [
        ("GET", GET, 401, '{"message": "Invalid API key"}', "401: Invalid API key", "the token in"),
        ("POST", POST, 403, '{"message": "Access denied"}', "403: Access denied", "role Editor"),
        ("GET", GET, 403, "<html>", "403: Forbidden", "role Editor"),
        ("POST", POST, 404, '{"message": "folder not found"}', "404: folder not", "the folder is"),
        ("POST", POST, 400, '{"message": "Bad\\n\\u001b[31mtitle"}', "400: Bad [31mtitle", "log"),
        ("POST", POST, 412, '{"message": "m", "status": "name-exists"}', "412: m", "of this title"),
        ("POST", POST, 412, '{"message": "m", "status": "version-mismatch"}', "412", "in between"),
        ("POST", POST, 412, "{}", "412: Precondition Failed", "looks at what is there"),
        ("POST", "/api/folders", 409, '{"message": "m"}', "409: m", "looks at what is there"),
        ("POST", POST, 429, "", "429: Too Many Requests", "Wait a minute"),
        ("GET", GET, 500, "<html>", "500: Internal Server Error", "Check Grafana's log"),
        ("POST", POST, 502, "[]", "502: Bad Gateway", "Check Grafana's log"),
        ("GET", GET, 200, "<html>", "is not Grafana's API", "login page"),
        ("GET", GET, 200, "[]", "is not Grafana's API", "login page"),
        ("GET", GET, 200, '{"dashboard": {}}', "is not Grafana's API", "login page"),
        ("GET", GET, 404, "<html>", "is not Grafana's API", "login page"),
        ("GET", "/api/folders", 200, "{}", "is not Grafana's API", "login page"),
        ("POST", POST, 200, "<html>", "is not Grafana's API", "login page"),
        ("POST", POST, 200, '{"uid": "x"}', "is not Grafana's API", "login page"),
        ("POST", POST, 200, '{"version": 1, "url": "//["}', "is not Grafana's API", "login page"),
        ("GET", GET, 200, "[" * 100_000, "is not Grafana's API", "login page"),
        ("GET", GET, 500, "[" * 100_000, "500: Internal Server Error", "Check Grafana's log"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_mend(
    grafana: Grafana, method: str, path: str, status: int, body: str, told: str, mend: str
) -> None:
    grafana.refuse(method, path, status, body)
    text = fail("whatsapp-sla")
    assert told in text
    assert mend in text
    if method == "GET":
        assert grafana.writes() == []


def test_what_is_shown_of_an_answer_commands_no_terminal(grafana: Grafana) -> None:
    grafana.refuse("POST", POST, 200, '{"version": 1, "url": "/d/\\u001b[31mx"}')
    [line] = succeed("whatsapp-sla")
    assert line.endswith(f"{grafana.url}/d/[31mx")
    grafana.refuse("GET", GET, 302, "", Location="/\x1b[31mlogin")
    assert f"{grafana.url} redirects to /[31mlogin. " in fail("whatsapp-sla")


@pytest.mark.parametrize("location", ["//[", "http://a..b:x/"])
def test_a_redirect_to_nowhere_is_one_clear_line(grafana: Grafana, location: str) -> None:
    grafana.refuse("GET", GET, 302, "", Location=location)
    assert grafana.url in fail("whatsapp-sla")
    assert grafana.writes() == []


def test_a_redirect_is_not_followed_and_says_where_to(grafana: Grafana) -> None:
    grafana.refuse("GET", GET, 302, "", Location="https://me:pw@sso.test:8443/login?secret=1")
    text = fail("whatsapp-sla")
    assert "redirects to https://sso.test:8443/login. Give the address" in text
    assert "secret" not in text
    assert "pw" not in text


def test_an_import_that_stops_half_way_says_what_is_in_and_what_is_not(grafana: Grafana) -> None:
    succeed("whatsapp-sla")
    grafana.dashboards["stranger"] = {"title": DASHBOARDS[Dashboard.SLO]["title"], "version": 1}
    grafana.places["stranger"] = MESSAGES

    result = run()

    assert [line.split()[0] for line in result.stdout.splitlines()] == ["unchanged", "created"]
    assert str(result.exception) == (
        "outbound-slo: Grafana answers 412: A dashboard with the same name in the folder already"
        " exists. Up to date: whatsapp-sla, outbound-messaging; not: outbound-slo,"
        " outbound-health, outbound-organisation. Rename or remove the other dashboard of this"
        " title in the folder"
    )
    assert set(grafana.dashboards) == {"whatsapp-sla", "outbound-messaging", "stranger"}
    del grafana.dashboards["stranger"]
    assert {line.split()[0] for line in succeed()} == {"unchanged", "created"}


def test_what_somebody_saves_between_look_and_import_is_not_lost(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed("whatsapp-sla")
    grafana.dashboards["whatsapp-sla"]["title"] = "Changed by hand"
    save = GrafanaApi.save_dashboard

    def save_late(
        self: GrafanaApi, document: Mapping[str, Any], version: int, folder: str, message: str
    ) -> Saved:
        grafana.dashboards["whatsapp-sla"] |= {"title": "Changed again", "version": 5}
        return save(self, document, version, folder, message)

    monkeypatch.setattr(GrafanaApi, "save_dashboard", save_late)
    assert "Somebody saved it in between" in fail("whatsapp-sla")
    assert grafana.dashboards["whatsapp-sla"]["title"] == "Changed again"


def test_a_provisioned_dashboard_is_named_before_anything_is_changed(grafana: Grafana) -> None:
    succeed("outbound-slo")
    grafana.provisioned = {"outbound-slo"}
    assert {line.split()[0] for line in succeed("outbound-slo")} == {"unchanged"}

    grafana.dashboards["outbound-slo"]["title"] = "Another version"
    before = len(grafana.writes())
    assert fail().startswith("Grafana reads outbound-slo from a provisioned file")
    assert len(grafana.writes()) == before


def test_a_grafana_that_is_not_there_is_one_clear_line(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Grafana does not answer at http://127.0.0.1:9 (" in fail(
        "--grafana", "http://127.0.0.1:9"
    )
    monkeypatch.setattr(grafana_api, "_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert fail("--grafana", address).startswith(f"Grafana at {address} does not answer within")
    assert grafana.received == []


@pytest.mark.parametrize(
    "address",
    [
        "grafana.test",
        "ftp://grafana.test",
        "http://",
        "http://host:port",
        "http://[::1",
        "http://h:0",
    ],
)
def test_an_address_that_is_none_is_one_clear_line(grafana: Grafana, address: str) -> None:
    told = fail("--grafana", address)
    assert told.startswith("The address of Grafana is not http:// or https:// and a host. Write")
    assert grafana.received == []


def test_a_password_in_the_address_is_refused_and_never_shown(grafana: Grafana) -> None:
    text = fail("--grafana", "http://admin:hunter2@127.0.0.1:9")
    assert "holds a name or a password" in text
    assert "hunter2" not in text
    assert grafana.received == []


@pytest.mark.parametrize("token", ["two\nlines", "euro€", "two words"])
def test_a_token_that_no_header_can_carry_is_one_clear_line(token: str) -> None:
    with pytest.raises(UserMistake, match="GRAFANA_API_KEY holds characters") as caught:
        GrafanaApi("http://127.0.0.1:9", token)
    assert token not in str(caught.value)


def test_a_wrong_token_changes_nothing(grafana: Grafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "glsa_another")
    text = fail()
    assert "401: Invalid API key. Check the token in GRAFANA_API_KEY" in text
    assert "glsa_another" not in text
    assert grafana.writes() == []


def test_a_folder_that_cannot_be_shown_is_a_mistake(grafana: Grafana) -> None:
    for title in ("\x1b[31mred", "\udcff"):
        assert "holds what can't be shown" in fail("--folder", title)
    assert grafana.received == []


def test_an_empty_folder_is_a_mistake(grafana: Grafana) -> None:
    assert fail("--folder", " ").startswith("--folder is empty")
    assert grafana.received == []
