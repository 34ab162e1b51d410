"""Reading accounts at the simulator: Twilio's and SendGrid's own, and Meta's list in pages."""

import asyncio
import base64
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest

from tests.integration.simulator_stand import ACCOUNT, Stand, open_stand
from tests.provider_schemas import check_shape

TEMPLATES = "v26.0/102290129340398/message_templates"
META = {"Authorization": "Bearer access-token"}


def login(password: str, user: str = ACCOUNT) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


async def read(
    stand: Stand, path: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, object]]:
    url = path if path.startswith("http") else f"{stand.simulator.url}/{path}"
    async with stand.client.get(url, headers=headers) as answer:
        body = await answer.json()
        assert isinstance(body, dict)
        return answer.status, body


def test_an_account_is_read_in_twilios_words() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            path = f"2010-04-01/Accounts/{ACCOUNT}.json"
            status, account = await read(stand, path, login("twilio-token"))
            assert status == 200
            check_shape("twilio_account", account)
            assert (account["sid"], account["status"]) == (ACCOUNT, "active")
            # The real one tells it, too: whoever shows such an answer gives the token away.
            assert account["auth_token"] == "twilio-token"
            for wrong in (login("twilio-tokem"), login("twilio-token", "AC" + "0b" * 16), {}):
                status, error = await read(stand, path, wrong)
                assert (status, error["code"]) == (401, 20003)
                check_shape("twilio_error", error)

    asyncio.run(scenario())


def test_a_keys_scopes_are_read_in_sendgrids_words() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            good = {"Authorization": "Bearer sendgrid-key"}
            status, scopes = await read(stand, "v3/scopes", good)
            assert status == 200
            check_shape("sendgrid_scopes", scopes)
            assert "mail.send" in str(scopes["scopes"])
            status, error = await read(stand, "v3/scopes", {"Authorization": "Bearer sendgrid-kez"})
            assert status == 401
            check_shape("sendgrid_error", error)

    asyncio.run(scenario())


@pytest.mark.parametrize("follow", ["next", "cursor"])
def test_templates_come_in_pages(follow: str) -> None:
    names = [f"template_{number}" for number in range(5)]

    async def scenario() -> None:
        async with open_stand() as stand:
            listed = [{"name": name} for name in names]
            await stand.control("PUT", "templates", {"templates": listed})
            found: list[object] = []
            path = f"{TEMPLATES}?limit=2&fields=name,status"
            sizes = []
            while path:
                status, page = await read(stand, path, META)
                assert status == 200
                data, paging = page["data"], page["paging"]
                assert isinstance(data, list)
                assert isinstance(paging, dict)
                assert all(set(each) == {"id", "name", "status"} for each in data)
                found += [each["name"] for each in data]
                sizes.append(len(data))
                after = paging["cursors"]["after"]
                following = paging.get("next", "")
                path = following
                if following and follow == "cursor":
                    path = f"{TEMPLATES}?limit=2&fields=name,status&after={after}"
            assert (found, sizes) == (names, [2, 2, 1])

    asyncio.run(scenario())


def test_the_next_pages_address_holds_the_token_as_metas_does() -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            listed = [{"name": f"template_{number}"} for number in range(26)]
            await stand.control("PUT", "templates", {"templates": listed})
            _, page = await read(stand, TEMPLATES, META)
            assert len(str(page["data"]).split("'name'")) == 26
            paging = page["paging"]
            assert isinstance(paging, dict)
            address = urlsplit(paging["next"])
            assert f"{address.scheme}://{address.netloc}" == stand.simulator.url
            assert "access_token=access-token" in address.query

    asyncio.run(scenario())


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "after=!!", "after=bm9uZQ=="])
def test_a_page_that_is_none_is_refused(query: str) -> None:
    async def scenario() -> None:
        async with open_stand() as stand:
            status, error = await read(stand, f"{TEMPLATES}?{query}", META)
            assert status == 400
            check_shape("meta_error", error)

    asyncio.run(scenario())
