"""What the providers' answers to a probe come to, and what is said of them."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any

import pytest

from operations.accounts import MetaAccount
from operations.probing import Question, Reply, Trouble
from operations.provider_commands import describe_version, print_findings
from operations.providers import Finding, Probe, judge, judge_version, plan_meta
from operations.verdicts import State, Verdict, clean, read_account, read_number, read_scopes
from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.errors import ErrorPolicy
from sender.redaction import HIDDEN, Redactor

SETTINGS = ProviderSettings.model_validate({"WHATSAPP_API_VERSION": "v26.0"})
POLICY = ErrorPolicy.RUNBOOK
REDACTOR = Redactor(["a-long-secret"])
NONE: Mapping[str, str] = MappingProxyType({})
NUMBER: dict[str, Any] = {
    "id": "1001",
    "display_phone_number": "+1 555-078-3881",
    "quality_rating": "GREEN",
    "throughput": {"level": "STANDARD"},
    "health_status": {"can_send_message": "AVAILABLE", "entities": []},
}


def reply(body: object, status: int = 200, headers: Mapping[str, str] = NONE) -> Reply:
    return Reply(status, body, headers, None, 0.05)


def read(
    body: object, status: int = 200, headers: Mapping[str, str] = NONE, *, own_token: bool = False
) -> Verdict:
    return read_number(reply(body, status, headers), SETTINGS, REDACTOR, own_token=own_token)


def test_a_number_that_can_send_is_ok() -> None:
    verdict = read(NUMBER, headers={"facebook-api-version": "v26.0"})
    assert verdict == Verdict(
        State.OK,
        True,
        ("+1 555-078-3881", "can send: AVAILABLE", "quality GREEN", "throughput STANDARD"),
    )


def test_a_blocked_number_fails_with_metas_reason_and_advice() -> None:
    health = {
        "can_send_message": "BLOCKED",
        "entities": [
            {"entity_type": "PHONE_NUMBER", "can_send_message": "AVAILABLE"},
            {
                "entity_type": "WABA",
                "can_send_message": "BLOCKED",
                "errors": [
                    {
                        "error_code": 141006,
                        "error_description": "There is an error with the payment method.",
                        "possible_solution": "Add a payment method.",
                    }
                ],
            },
        ],
    }
    verdict = read({**NUMBER, "health_status": health})
    assert verdict.state is State.FAILED
    assert verdict.authenticated
    assert verdict.said[-1] == "WABA: There is an error with the payment method. (141006)"
    assert verdict.advice == "Add a payment method."


@pytest.mark.parametrize(
    ("changes", "headers", "word"),
    [
        ({"quality_rating": "RED"}, {}, "quality RED"),
        (
            {
                "health_status": {
                    "can_send_message": "LIMITED",
                    "entities": [
                        {
                            "entity_type": "APP",
                            "can_send_message": "LIMITED",
                            "additional_info": ["Your app is not subscribed."],
                        }
                    ],
                }
            },
            {},
            "APP: Your app is not subscribed.",
        ),
        ({}, {"x-app-usage": '{"call_count": 81}'}, "81 % of the API's call limit used"),
        (
            {},
            {"x-business-use-case-usage": '{"102": [{"type": "messaging", "total_time": 97}]}'},
            "97 % of the API's call limit used",
        ),
    ],
)
def test_what_somebody_should_look_at_is_no_failure(
    changes: dict[str, Any], headers: dict[str, str], word: str
) -> None:
    verdict = read({**NUMBER, **changes}, headers=headers)
    assert verdict.state is State.ATTENTION
    assert word in verdict.said


@pytest.mark.parametrize(
    "usage", ["", "[]", "{", '{"a": 1}', '{"call_count": "many"}', '{"102": [3, null]}']
)
def test_usage_that_is_none_is_passed_over(usage: str) -> None:
    assert read(NUMBER, headers={"x-app-usage": usage}).state is State.OK


def test_a_version_that_meta_serves_as_another_is_named() -> None:
    assert read(NUMBER, headers={"facebook-api-version": "v27.0"}).said[-1] == "served as v27.0"


@pytest.mark.parametrize("own_token", [False, True])
def test_a_refused_token_is_told_with_its_place(own_token: bool) -> None:
    error = {"message": "Error validating access token", "type": "OAuthException", "code": 190}
    verdict = read({"error": error}, 401, own_token=own_token)
    place = "whatsapp_provider_config" if own_token else "WHATSAPP_ACCESS_TOKEN"
    assert (verdict.state, verdict.authenticated) == (State.FAILED, False)
    assert verdict.said == ("HTTP 401, code 190", "Error validating access token")
    assert verdict.advice == f"Put a valid access token into {place}"


def test_a_number_that_is_not_ours_is_told() -> None:
    error = {"message": "Unsupported get request.", "code": 100, "error_subcode": 33}
    verdict = read({"error": error}, 400)
    assert (verdict.state, verdict.authenticated) == (State.FAILED, None)
    assert verdict.advice == "Check the id, and that the token's user may use it"


@pytest.mark.parametrize(
    ("body", "status"), [({}, 500), ([], 200), ({"error": []}, 503), ({"error": {}}, 400), (7, 200)]
)
def test_answers_of_any_shape_are_failures(body: object, status: int) -> None:
    assert read(body, status).state is State.FAILED
    assert read_account(reply(body, status), POLICY, REDACTOR).state is State.FAILED
    assert read_scopes(reply(body, status), POLICY, REDACTOR).state is State.FAILED


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        ("active", "Full", State.OK),
        ("active", "Trial", State.ATTENTION),
        ("suspended", "Full", State.FAILED),
        ("closed", "Full", State.FAILED),
    ],
)
def test_an_accounts_status_decides(status: str, kind: str, state: State) -> None:
    body = {"sid": "AC1", "status": status, "type": kind, "auth_token": "hush-hush"}
    verdict = read_account(reply(body), POLICY, REDACTOR)
    assert (verdict.state, verdict.authenticated) == (state, True)
    assert verdict.said == (f"account {status}", kind)


def test_twilios_errors_are_explained_by_the_catalogue() -> None:
    body = {"code": 20003, "message": "Authenticate", "status": 401}
    verdict = read_account(reply(body, 401), POLICY, REDACTOR)
    assert (verdict.state, verdict.authenticated) == (State.FAILED, False)
    assert verdict.said == ("HTTP 401, code 20003", "Authenticate")
    assert verdict.advice is not None
    assert "account SID or auth token" in verdict.advice
    limited = read_account(reply({"code": 20429, "message": "Too Many"}, 429), POLICY, REDACTOR)
    assert (limited.state, limited.authenticated) == (State.FAILED, None)


def test_a_key_must_be_allowed_to_send() -> None:
    able = reply({"scopes": ["mail.send"]}, headers={"x-ratelimit-remaining": "599"})
    assert read_scopes(able, POLICY, REDACTOR) == Verdict(
        State.OK, True, ("mail.send allowed", "599 calls left")
    )
    unable = read_scopes(reply({"scopes": ["stats.read"]}), POLICY, REDACTOR)
    assert (unable.state, unable.authenticated) == (State.FAILED, True)
    assert unable.advice == "Give the key the permission to send mail"
    refused = read_scopes(reply({"errors": [{"message": "No"}]}, 403), POLICY, REDACTOR)
    assert (refused.authenticated, refused.said) == (False, ("HTTP 403", "No"))


def test_a_strangers_text_is_one_short_line_without_secrets() -> None:
    dirty = "a\x1b[31m\nred \u202e a-long-secret " + "x" * 300
    shown = clean(REDACTOR, dirty)
    assert shown.startswith(f"a [31m red {HIDDEN} xxx")
    assert len(shown) == 200


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_trouble_has_words_and_advice(trouble: Trouble) -> None:
    probe = Probe("Twilio", "account AC1", None, Question("http://x/"), "TWILIO_API_URL", read)
    status = 502 if trouble is Trouble.WEB_PAGE else None
    finding = judge(probe, Reply(status, None, {}, trouble, 0.25))
    assert finding.state is State.FAILED
    assert finding.advice is not None
    assert "TWILIO_API_URL" in finding.advice
    assert finding.reachable is (None if trouble is Trouble.NOT_ASKED else trouble.reached)
    assert finding.latency_ms == (250 if trouble.reached else None)
    if status:
        assert finding.said == ("the answer is a web page (HTTP 502)",)


@pytest.mark.parametrize(
    ("account", "state", "said"),
    [
        (MetaAccount(None, "1", "", "t", enabled=False), State.NOT_CONFIGURED, "switched off"),
        (MetaAccount(None, "", "", "t"), State.NOT_CONFIGURED, "WHATSAPP_PHONE_NUMBER_ID"),
        (MetaAccount(None, "1", "", ""), State.NOT_CONFIGURED, "WHATSAPP_ACCESS_TOKEN"),
        (MetaAccount("org", "1", "", ""), State.FAILED, "WHATSAPP_ACCESS_TOKEN"),
        (
            MetaAccount("org", "1", "", "", own_token=True, readable=False),
            State.FAILED,
            "does not fit OUTBOUND_SECRETS_KEY",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(account: MetaAccount, state: State, said: str) -> None:
    finding = plan_meta(account, SETTINGS, REDACTOR)
    assert isinstance(finding, Finding)
    assert (finding.state, finding.reachable) == (state, None)
    assert said in finding.said[0]


@pytest.mark.parametrize(
    ("version", "sentence", "state"),
    [
        ("v26.0", "Graph API v26.0: no end of it is known", State.OK),
        ("v25.0", "Graph API v25.0 ends on 2028-07-29, in 615 days", State.OK),
        (
            "v18.0",
            "Graph API v18.0 ended on 2026-01-26, 300 days ago: set a later WHATSAPP_API_VERSION",
            State.ATTENTION,
        ),
    ],
)
def test_the_end_of_a_version_is_told(version: str, sentence: str, state: State) -> None:
    found = judge_version(version, date(2026, 11, 22))
    assert (describe_version(found), found.state) == (sentence, state)


def test_a_version_wants_attention_a_quarter_before_its_end() -> None:
    assert judge_version("v23.0", date(2027, 7, 10)).state is State.OK
    assert judge_version("v23.0", date(2027, 7, 11)).state is State.ATTENTION


FINDINGS = [
    Finding(
        "Meta",
        "number 1001",
        None,
        State.OK,
        reachable=True,
        authenticated=True,
        latency_ms=141,
        said=("+1 555-078-3881", "can send: AVAILABLE", "quality GREEN"),
    ),
    Finding(
        "Meta",
        "number 1002",
        "agence-nord",
        State.FAILED,
        reachable=True,
        authenticated=False,
        latency_ms=98,
        said=("HTTP 401, code 190", "Error validating access token"),
        advice="Put a valid access token into whatsapp_provider_config",
    ),
    Finding(
        "Twilio",
        "account AC0a",
        None,
        State.FAILED,
        reachable=False,
        said=("no connection",),
        advice="Check TWILIO_API_URL, firewall and routes",
    ),
    Finding(
        "SendGrid", "no key", None, State.NOT_CONFIGURED, said=("SENDGRID_API_KEY is not set",)
    ),
]


def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    note = "3 organisations more were not asked for: name them with --org"
    print_findings(FINDINGS, judge_version("v26.0", date(2026, 11, 22)), [note])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    return "\n".join(line.rstrip() for line in lines)


def test_the_screen_in_a_wide_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert show(capsys, monkeypatch, 100) == WIDE


def test_the_screen_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert show(capsys, monkeypatch, 60) == NARROW


WIDE = """\
Providers

 Provider                          State              Took   Said
 ──────────────────────────────────────────────────────────────────────────────────────────────────
 Meta number 1001                  ok               141 ms   reached, let in; +1 555-078-3881; can
                                                             send: AVAILABLE; quality GREEN
 Meta number 1002 of agence-nord   failed            98 ms   reached, not let in; HTTP 401, code
                                                             190; Error validating access token
 Twilio account AC0a               failed                    not reached; no connection
 SendGrid no key                   not configured            SENDGRID_API_KEY is not set

Graph API v26.0: no end of it is known
3 organisations more were not asked for: name them with --org
Meta number 1002 of agence-nord: Put a valid access token into whatsapp_provider_config
Twilio account AC0a: Check TWILIO_API_URL, firewall and routes"""
NARROW = """\
Providers

 Provider          State              Took   Said
 ──────────────────────────────────────────────────────────
 Meta number       ok               141 ms   reached, let
 1001                                        in; +1
                                             555-078-3881;
                                             can send:
                                             AVAILABLE;
                                             quality GREEN
 Meta number       failed            98 ms   reached, not
 1002 of                                     let in; HTTP
 agence-nord                                 401, code 190;
                                             Error
                                             validating
                                             access token
 Twilio account    failed                    not reached;
 AC0a                                        no connection
 SendGrid no key   not configured            SENDGRID_API_K
                                             EY is not set

Graph API v26.0: no end of it is known
3 organisations more were not asked for: name them with
--org
Meta number 1002 of agence-nord: Put a valid access token
into whatsapp_provider_config
Twilio account AC0a: Check TWILIO_API_URL, firewall and
routes"""
