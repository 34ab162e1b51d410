"""Live pages: what is answered, what is refused, and that a page gets fresh data by itself."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser

from dashboards.catalogue import all_dashboards
from dashboards.preview import server as server_module
from dashboards.preview.addresses import parse_place, translate
from dashboards.preview.document import check_document
from dashboards.preview.server import Offer, open_server, served
from outbound_slo.vocabulary.alerts import AlertName
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.browser_checks import judge_page, watch_page
from tests.preview_parts import SHOWCASE, TableOfAnswers, busy_source

OTHER = {**SHOWCASE, "uid": "other", "title": "Another", "refresh": "1s"}


class Changing(TableOfAnswers):
    """Answers as the table, and a depth that a test changes; or not at all."""

    depth = 64.0
    is_down = False

    def _find(self, expression: str) -> Any:  # noqa: ANN401 - as the table's
        if self.is_down:
            raise UserMistake("Prometheus does not answer", "Start it")
        if expression == "depth":
            return [({}, self.depth)]
        return super()._find(expression)


@pytest.fixture
def source() -> Changing:
    busy = busy_source()
    return Changing(busy.samples, busy.labels)


@pytest.fixture
def url(source: Changing) -> Iterator[str]:
    documents = tuple(check_document(each, "x") for each in (SHOWCASE, OTHER))
    with served(Offer(documents, source, {}, "now-1h", 15.0)) as address:
        yield address.rstrip("/")


def ask(url: str, path: str, **more: Any) -> requests.Response:  # noqa: ANN401 - for requests
    with requests.Session() as session:
        session.trust_env = False
        return session.request(more.pop("method", "GET"), url + path, timeout=20, **more)


def test_an_index_leads_to_a_page_for_each_dashboard(url: str) -> None:
    index = ask(url, "/")
    assert index.status_code == 200
    for path, title in (("/showcase", "Showcase"), ("/other", "Another")):
        assert f'href="{path}"' in index.text
        page = ask(url, path)
        assert f"<title>{title}</title>" in page.text
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert ask(url, "/showcase", method="HEAD").text == ""


@pytest.fixture
def built_in(source: Changing) -> Offer:
    documents = tuple(all_dashboards().values())
    return Offer(documents, source, {}, "now-1h", 15.0)


def read_links(text: str) -> set[str]:
    """Read where the panels' runbooks are, out of a page's data."""
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    panels = data["dashboards"][0]["panels"]
    return {
        link["url"].rpartition("/")[0]
        for panel in panels
        for link in panel["links"]
        if link["title"].startswith("Runbook")
    }


def test_links_to_runbooks_lead_to_the_servers_own_and_each_is_there(built_in: Offer) -> None:
    with served(built_in) as address:
        url = address.rstrip("/")
        assert read_links(ask(url, "/outbound-health").text) == {"/runbooks"}
        index = ask(url, "/runbooks").text
        for name in AlertName:
            path = f"/runbooks/{name}.md"
            answer = ask(url, path)
            assert f"<h1>{name}</h1>" in answer.text
            assert "<h2>Mitigation</h2>" in answer.text
            assert f'href="{path}"' in index
            for target in re.findall(r'href="(?!data:|https:)([^"]*)"', answer.text):
                assert ask(url, f"/runbooks/{target}").status_code == 200, (name, target)
        for path in ("/runbooks/Nothing.md", "/runbooks/OutboundOutage", "/runbooks/%2e%2e/x.md"):
            assert ask(url, path).status_code == 404, path
        # requests would tidy this one before it is sent.
        connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
        for path in (
            "/runbooks/../docs/runbooks/OutboundOutage.md",
            "/runbooks//OutboundOutage.md",
        ):
            connection.request("GET", path)
            told = connection.getresponse()
            told.read()
            assert told.status == 404, path
        connection.close()


def test_runbooks_that_are_published_elsewhere_are_linked_there(built_in: Offer) -> None:
    elsewhere = "https://wiki.example.org/on-call"
    with served(replace(built_in, given={"runbooks": elsewhere})) as address:
        answer = ask(address.rstrip("/"), "/outbound-health")
        assert read_links(answer.text) == {elsewhere}
        # Whoever asks may not say where links lead.
        refused = ask(address.rstrip("/"), "/outbound-health?var-runbooks=https://evil.example")
        assert refused.status_code == 400


@pytest.mark.parametrize("width", [1280, 400])
def test_a_runbook_can_be_read_as_a_page(browser: Browser, built_in: Offer, width: int) -> None:
    with served(built_in) as address:
        page = browser.new_page(viewport={"width": width, "height": 900})
        witness = watch_page(page)
        page.goto(f"{address}runbooks/OutboundBreakerOpen.md")
        assert judge_page(page) == []
        assert witness.complaints() == []
        page.close()


def test_a_tile_leads_to_the_panel_that_tells_more(browser: Browser, built_in: Offer) -> None:
    pages = {"severity": "critical", "alertname": "OutboundOutage"}
    target = next(
        target["expr"]
        for panel in built_in.documents[0]["panels"]
        if panel["title"] == "Who is called?"
        for target in panel["targets"]
    )
    source = TableOfAnswers({target: [(pages, 2.0)]})
    with served(replace(built_in, source=source)) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 400})
        page.goto(f"{address}whatsapp-sla?from=now-15m")
        page.wait_for_selector("html[data-ready]", state="attached")
        assert judge_page(page) == []
        # The other dashboards stand above the title, and not a second time beside the range.
        assert page.get_by_text("Outbound Messaging", exact=True).count() == 1
        assert page.get_by_role("link", name="Runbooks").get_attribute("href") == "/runbooks"
        page.locator(".leads a", has_text="What fires now").click()
        page.wait_for_selector("h1:text-is('Objectives and Error Budgets')")
        place = urlsplit(page.url)
        assert (place.path, parse_qs(place.query)["from"]) == ("/outbound-slo", ["now-15m"])
        title = page.locator(f"#{place.fragment} h3")
        assert title.inner_text() == "What fires now"
        box = title.bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= 400
        page.close()


def test_range_and_variables_are_parameters(url: str) -> None:
    path = "/showcase/data?from=now-15m&to=now-5m&var-channel=sms"
    data = ask(url, path).json()
    assert data["end_ms"] - data["start_ms"] == 600_000
    assert (data["since"], data["until"]) == ("now-15m", "now-5m")
    values = {each["name"]: each["value"] for each in data["variables"]}
    assert values["channel"] == "sms"
    assert ask(url, "/showcase/data?channel=whatsapp").json()["variables"][0]["value"] == "whatsapp"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/showcase/", 200),
        ("/showcase/data/more", 404),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("//etc/passwd", 404),
        ("/showcase?from=yesterday", 400),
        ("/showcase?from=now-900d", 400),
        ("/showcase?from=now-999999999w&to=now-999999998w", 400),
        ("/showcase?from=9999-12-01&to=9999-12-31", 400),
        ("/showcase?%0d%0aX-Evil=1", 400),
        ("//[/data", 404),
        ("/showcase?from=now&to=now-1h", 400),
        ("/showcase?var-runbooks=https://evil.example", 400),
        ("/showcase?var-nothing=1", 400),
        ("/showcase?var-channel=a%00b", 400),
        ("/showcase?var-channel=a&var-channel=b", 400),
        ("/showcase?var-channel=%ff%fe", 400),
        ("/showcase?var-channel=" + "x" * 300, 400),
        ("/showcase?" + "x" * 3000, 414),
        ("/showcase?" + "&".join(f"a{at}=1" for at in range(40)), 400),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(url: str, path: str, status: int) -> None:
    # By hand, since a client would tidy the path first.
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), 20) as connection:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer[:300]
    assert b"root:" not in answer
    assert b"Traceback" not in answer


def test_a_strange_parameter_is_not_echoed_as_it_is(url: str) -> None:
    answer = ask(url, "/showcase?%1b%5b31mx%0d%0a=1")
    assert answer.text == "showcase has no parameter '\\x1b[31mx\\r\\n'\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_only_reading_is_possible(url: str, method: str) -> None:
    assert ask(url, "/showcase", method=method).status_code == 405


def test_a_foreign_name_for_this_machine_is_refused(url: str) -> None:
    assert ask(url, "/showcase", headers={"Host": "evil.example"}).status_code == 421
    assert ask(url, "/showcase", headers={"Host": "localhost:1"}).status_code == 200
    assert ask(url, "/showcase", headers={"Host": "["}).status_code == 400


def test_a_prometheus_that_is_gone_is_a_bad_gateway(url: str, source: Changing) -> None:
    source.is_down = True
    page, data = ask(url, "/showcase"), ask(url, "/showcase/data")
    assert (page.status_code, data.status_code) == (502, 502)
    assert page.text == "Prometheus does not answer. Start it\n"
    assert json.loads(data.text)["error"] == "Prometheus does not answer. Start it"


def test_the_same_question_is_asked_once_in_a_moment(url: str, source: Changing) -> None:
    ask(url, "/showcase/data?from=now-1h")
    count = len(source.asked)
    ask(url, "/showcase/data?from=now-1h")
    assert len(source.asked) == count


def test_an_answer_is_kept_for_a_moment_only_and_not_for_everybody(
    url: str, source: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count_asked(since: str) -> int:
        before = len(source.asked)
        assert ask(url, f"/showcase/data?from={since}").status_code == 200
        return len(source.asked) - before

    monkeypatch.setattr(server_module, "_FRESH_S", 3600.0)
    assert count_asked("now-10m") > 0
    assert count_asked("now-10m") == 0
    for minutes in range(20, 20 + server_module._MOST_KEPT):
        count_asked(f"now-{minutes}m")
    assert count_asked("now-10m") > 0, "the oldest answer went for newer ones"
    monkeypatch.setattr(server_module, "_FRESH_S", 0.0)
    assert count_asked("now-10m") > 0


def test_places_of_connections_and_collections_are_given_free(url: str, source: Changing) -> None:
    for number in range(server_module._MOST_CONNECTIONS + 3):
        assert ask(url, "/").status_code == 200, number
    source.is_down = True
    for number in range(server_module._MOST_COLLECTIONS + 1):
        assert ask(url, "/showcase/data").status_code == 502, number


def test_beyond_loopback_any_name_is_answered_to(source: Changing) -> None:
    """What listens for others has names that it does not know."""
    with open_server(Offer((), source, {}, "now-1h", 15.0), ("127.0.0.1", 0)) as server:
        assert server.is_private
        server.is_private = False
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        answer = ask(server.url.rstrip("/"), "/", headers={"Host": "graphs.example"})
        server.shutdown()
        thread.join()
    assert answer.status_code == 200


def test_a_port_that_is_taken_is_a_mistake(url: str, source: Changing) -> None:
    port = int(url.rpartition(":")[2])
    with (
        pytest.raises(UserMistake, match=f"Can't listen on 127.0.0.1:{port}"),
        served(Offer((), source, {}, "now-1h", 15.0), port),
    ):
        pass


def test_places_are_read() -> None:
    assert parse_place("8080") == ("127.0.0.1", 8080)
    assert parse_place("0.0.0.0:80") == ("0.0.0.0", 80)  # noqa: S104 - named by the user
    assert parse_place("[::1]:80") == ("::1", 80)
    for text in ("", "host", "host:", "http://x"):
        with pytest.raises(UserMistake, match="has no port"):
            parse_place(text)
    with pytest.raises(UserMistake, match="no port is above 65535"):
        parse_place("1:99999")


def test_it_listens_on_ipv6_too(source: Changing) -> None:
    documents = (check_document(SHOWCASE, "x"),)
    with open_server(
        Offer(documents, source, {}, "now-1h", 15.0), parse_place("[::1]:0")
    ) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        assert server.url.startswith("http://[::1]:")
        assert ask(server.url.rstrip("/"), "/showcase").status_code == 200
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path", ["/d/showcase", "/d/showcase/my-slug?orgId=1&refresh=30s&inspect=1&var-unknown=x"]
)
def test_addresses_of_grafana_are_understood(browser: Browser, url: str, path: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 300})
    page.goto(f"{url}{path}{'&' if '?' in path else '?'}viewPanel=panel-9&var-channel=sms")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.get_by_label("Channel").input_value() == "sms"
    assert urlsplit(page.url).path == "/showcase"
    box = page.locator("#panel-9").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 300
    page.close()


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/d/a?from=now-1h&to=now&var-b=c%26d&x=1", "/a?from=now-1h&to=now&var-b=c%26d"),
        ("/d/a/slug?viewPanel=panel-3", "/a#panel-3"),
        ("/d/a?viewPanel=%22%3E&var-z=1", "/a#%22%3E"),
        ("/d//evil.example", "/"),
        ("/d/%2Fevil.example", "/%2Fevil.example"),
    ],
)
def test_an_address_of_grafana_becomes_ours_and_never_anothers(path: str, ours: str) -> None:
    assert translate(path, {"a": ("b",)}) == ours


def test_back_shows_the_choices_of_the_data_that_it_shows(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/showcase?from=now-1h&var-channel=whatsapp")
    page.get_by_label("Channel").select_option("sms")
    page.wait_for_url("**var-channel=sms*")
    page.go_back()
    page.wait_for_url("**var-channel=whatsapp*")
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.get_by_label("Channel").input_value() == "whatsapp"
    page.close()


def test_a_theme_that_was_chosen_goes_along(browser: Browser, url: str) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    page.goto(f"{url}/showcase")
    page.locator("#theme").click()
    page.locator("nav a", has_text="Another").click()
    page.wait_for_selector("h1:text-is('Another')")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.locator("#theme").inner_text() == "Theme: dark"
    context.close()


def test_fresh_data_leaves_open_what_somebody_reads(browser: Browser, source: Changing) -> None:
    # An alert that goes on firing ends later with each answer.
    alerts = SHOWCASE["annotations"]["list"][0] | {"step": "1s"}
    document = check_document({**OTHER, "annotations": {"list": [alerts]}}, "x")
    page = browser.new_page()
    with served(Offer((document,), source, {}, "now-1h", 15.0)) as address:
        page.goto(f"{address}other")
        page.wait_for_selector("html[data-ready]", state="attached")
        page.locator("summary").click()
        event = page.locator(".events li").first
        page.wait_for_function(
            "before => document.querySelector('.events li').innerText !== before",
            arg=event.inner_text(), timeout=15_000,
        )  # fmt: skip
        assert event.is_visible()
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        page.close()


def test_a_live_page_has_no_fault_and_gets_fresh_data_by_itself(
    browser: Browser, url: str, source: Changing
) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    witness = watch_page(page)
    page.goto(f"{url}/other")
    page.wait_for_selector("html[data-ready]", state="attached")
    value = page.locator("#panel-5 .value")
    assert value.inner_text().startswith(("5", "6", "7", "8", "4"))
    assert judge_page(page) == []
    assert witness.errors == []
    source.depth = 7_000_000.0
    page.wait_for_selector("#panel-5 .value:text-matches(' M$')", timeout=15_000)
    source.is_down = True
    page.wait_for_selector("#status:visible", timeout=15_000)
    assert "Prometheus does not answer. Start it" in page.locator("#status").inner_text()
    source.is_down = False
    page.wait_for_selector("#status", state="hidden", timeout=15_000)
    assert judge_page(page) == []
    assert {urlsplit(each).path for each in witness.requests} == {"/other/data"}
    page.close()


def test_range_and_channel_are_chosen_on_the_page(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/showcase")
    page.get_by_label("Range").select_option("now-24h")
    page.wait_for_url("**/showcase?from=now-24h*")
    page.get_by_label("Channel").select_option("whatsapp")
    page.wait_for_url("**var-channel=whatsapp*")
    assert page.get_by_label("Range").input_value() == "now-24h"
    page.locator("nav a", has_text="Another").click()
    page.wait_for_url("**/other?*")
    assert page.get_by_label("Range").input_value() == "now-24h"
    assert page.get_by_label("Channel").input_value() == "whatsapp"
    page.close()


@pytest.mark.parametrize(
    ("search", "range_there"),
    [("?from=now-15m", {"from": ["now-15m"]}), ("", {}), ("?from=now-2h&to=now-1h",) * 2],
)
def test_a_link_that_names_the_range_shown_goes_on_moving_with_it(
    browser: Browser, source: Changing, search: str, range_there: object
) -> None:
    links = [{"title": "There", "url": "/d/other?from=${__from}&to=${__to}&var-channel=sms"}]
    documents = tuple(check_document(each, "x") for each in ({**SHOWCASE, "links": links}, OTHER))
    if isinstance(range_there, str):
        range_there = parse_qs(range_there.removeprefix("?"))
    page = browser.new_page()
    with served(Offer(documents, source, {}, "now-1h", 15.0)) as address:
        page.goto(f"{address}showcase{search}")
        page.get_by_text("There", exact=True).click()
        page.wait_for_url("**/other?*")
        asked = parse_qs(urlsplit(page.url).query)
        assert asked.pop("var-channel") == ["sms"]
        assert asked == range_there
    page.close()


def test_a_range_that_is_chosen_lasts_until_now(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/showcase?from=1700000000000&to=1700003600000")
    chosen = page.get_by_label("Range")
    assert "since 14 Nov" in chosen.inner_text()
    chosen.select_option("now-15m")
    page.wait_for_url("**/showcase?from=now-15m*")
    assert "to=" not in page.url
    assert page.get_by_label("Range").input_value() == "now-15m"
    page.close()


def test_what_another_dashboard_does_not_know_is_left_behind(
    browser: Browser, source: Changing
) -> None:
    plain = {**OTHER, "templating": {"list": []}}
    documents = tuple(check_document(each, "x") for each in (SHOWCASE, plain))
    page = browser.new_page()
    with served(Offer(documents, source, {}, "now-1h", 15.0)) as address:
        page.goto(f"{address}showcase?from=now-24h&var-channel=sms")
        page.locator("nav a", has_text="Another").click()
        page.wait_for_url("**/other?from=now-24h")
        assert page.get_by_role("alert").count() == 0
    page.close()


def test_a_link_to_another_dashboard_carries_its_variables(
    browser: Browser, source: Changing
) -> None:
    links = [
        {"title": "There", "url": "/d/other?var-channel=whatsapp"},
        {"title": "Nowhere", "url": "/d/absent"},
    ]
    documents = tuple(check_document(each, "x") for each in ({**SHOWCASE, "links": links}, OTHER))
    page = browser.new_page()
    with served(Offer(documents, source, {}, "now-1h", 15.0)) as address:
        page.goto(f"{address}showcase")
        assert page.get_by_text("Nowhere").count() == 0
        page.get_by_text("There", exact=True).click()
        page.wait_for_url("**/other?var-channel=whatsapp")
        assert page.get_by_label("Channel").input_value() == "whatsapp"
    page.close()
