"""`ops providers` against the simulator, and against servers that misbehave."""

import json
import socket

from tests.integration.simulator_stand import ACCOUNT, NUMBER
from tests.ops_parts import Printed
from tests.ops_provider_parts import (
    KEY,
    SECRETS,
    StubServer,
    add_organisation,
    execute,
    read_json,
    run,
    use_providers,
)


def state_of(done: Printed) -> dict[str, str]:
    body = read_json(done, "providers")
    return {
        f"{each['provider']} {each['org_id'] or each['subject']}": each["state"]
        for each in body["providers"]
    }


def test_three_providers_that_would_send(simulator: str, accounts: str) -> None:
    settings = use_providers(simulator) | {"DATABASE_URL": accounts}
    done = run("providers", "--json", **settings)
    assert done.code == 0
    body = read_json(done, "providers")
    assert body["ok"] is True
    assert [each["subject"] for each in body["providers"]] == [
        f"number {NUMBER}",
        f"account {ACCOUNT}",
        "API key",
    ]
    for each in body["providers"]:
        assert (each["state"], each["reachable"], each["authenticated"]) == ("ok", True, True)
    assert body["notes"] == []
    people = run("providers", **settings)
    assert people.code == 0
    for printed in (done.out, people.out):
        assert [secret for secret in SECRETS if secret in printed] == []


def test_refused_credentials_fail_and_are_not_shown(simulator: str, accounts: str) -> None:
    wrong = {
        "WHATSAPP_ACCESS_TOKEN": "planted-token-1",
        "TWILIO_AUTH_TOKEN": "planted-token-2",
        "SENDGRID_API_KEY": "planted-token-3",
        "DATABASE_URL": accounts,
    }
    done = run("providers", "--json", **(use_providers(simulator) | wrong))
    assert done.code == 1
    body = read_json(done, "providers")
    for each in body["providers"]:
        assert (each["state"], each["reachable"], each["authenticated"]) == ("failed", True, False)
        assert each["advice"]
    assert "planted" not in done.out + done.err


def test_what_is_not_configured_is_no_failure() -> None:
    done = run("providers", "--json")
    assert done.code == 0
    assert set(state_of(done).values()) == {"not_configured"}
    switched_off = run("providers", "--json", WHATSAPP_PROVIDER_ENABLED="false")
    assert "switched off" in switched_off.out


def test_the_providers_are_asked_though_the_database_is_away(simulator: str) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"postgresql://ops:planted@127.0.0.1:{deaf.getsockname()[1]}/accounts"
        done = run("providers", "--json", **use_providers(simulator), DATABASE_URL=url)
    assert done.code == 0
    body = read_json(done, "providers")
    assert len(body["providers"]) == 3
    assert "Organisations' own numbers were not asked for" in body["notes"][0]
    assert "planted" not in done.out


def test_organisations_are_asked_with_their_own_tokens(simulator: str, accounts: str) -> None:
    add_organisation(accounts, "good", "2001", "access-token")
    add_organisation(accounts, "stale", "2002", "planted-stale")
    add_organisation(accounts, "locked", "2003", "planted-locked", key="another key")
    add_organisation(accounts, "same", NUMBER)
    add_organisation(accounts, "platforms", "2005")
    settings = use_providers(simulator) | {"DATABASE_URL": accounts, "OUTBOUND_SECRETS_KEY": KEY}
    done = run("providers", "--json", **settings)
    assert done.code == 1
    states = state_of(done)
    # The number that is the platform's own is asked for once.
    assert "Meta same" not in states
    assert {name: states[f"Meta {name}"] for name in ("good", "stale", "locked", "platforms")} == {
        "good": "ok",
        "stale": "failed",
        "locked": "failed",
        "platforms": "ok",
    }
    assert "planted" not in done.out
    named = run("providers", "--json", "--org", "good", "--org", "platforms", **settings)
    assert named.code == 0
    assert state_of(named) == {"Meta good": "ok", "Meta platforms": "ok"}


def test_without_the_key_the_platforms_token_is_used_as_in_sends(
    simulator: str, accounts: str
) -> None:
    add_organisation(accounts, "org", "2001", "not-the-right-one")
    settings = use_providers(simulator) | {"DATABASE_URL": accounts}
    assert run("providers", "--org", "org", **settings).code == 0
    assert run("providers", "--org", "org", **settings, OUTBOUND_SECRETS_KEY=KEY).code == 1


def test_an_unknown_organisation_is_a_mistake(simulator: str, accounts: str) -> None:
    done = run("providers", "--org", "nobody", **use_providers(simulator), DATABASE_URL=accounts)
    assert (done.code, done.out) == (2, "")
    assert "The organisation nobody has no row in whatsapp_provider_config" in done.err


def test_of_many_organisations_the_first_are_asked_and_the_rest_are_counted(
    simulator: str, accounts: str
) -> None:
    execute(
        accounts,
        "INSERT INTO whatsapp_provider_config (org_id, phone_number_id)"
        " SELECT 'org-' || lpad(n::text, 2, '0'), 3000 + n FROM generate_series(1, 23) AS n",
    )
    body = read_json(
        run("providers", "--json", **use_providers(simulator), DATABASE_URL=accounts), "providers"
    )
    assert len(body["providers"]) == 1 + 20 + 2
    assert body["notes"] == ["3 organisations more were not asked for: name them with --org"]


def test_whatever_a_server_answers_there_is_no_traceback(stub: StubServer) -> None:
    pages: list[tuple[bytes, int]] = [
        (b"<html>502</html>", 502),
        (b"{", 200),
        (b"[]", 200),
        (b"null", 200),
        (b'{"error": "planted access-token"}', 500),
        (json.dumps({"message": "your twilio-token is wrong", "code": 7}).encode(), 403),
    ]
    paths = [f"/v26.0/{NUMBER}", f"/2010-04-01/Accounts/{ACCOUNT}.json", "/v3/scopes"]
    for page, status in pages:
        stub.answers.clear()
        for path in paths:
            stub.lay(path, page, status)
        done = run("providers", **use_providers(stub.url))
        assert done.code == 1
        assert "Traceback" not in done.out + done.err
        assert [secret for secret in SECRETS if secret in done.out + done.err] == []
