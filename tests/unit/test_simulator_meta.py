"""Meta's sending side: what it takes, what it refuses and in which words."""

import json
from collections.abc import Mapping

import pytest

from outbound_slo.simulator.accounts import (
    WINDOW_SECONDS,
    MetaAccount,
    Template,
    TemplateStatus,
)
from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.limits import Limits
from outbound_slo.simulator.meta import GraphVersions, MetaWire, read_reference
from outbound_slo.simulator.wire import Inquiry, Reference, RefusedError, Submission
from tests.provider_schemas import check_shape

NOW = 1_795_000_000.0
TEXT = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "to": "+33 6 12 34 56 78",
    "type": "text",
    "text": {"preview_url": False, "body": "Your visit is on Monday."},
    "biz_opaque_callback_data": '{"m": 41, "a": 2}',
}
TEMPLATE = {
    "messaging_product": "whatsapp",
    "to": "33612345678",
    "type": "template",
    "template": {"name": "visit_reminder", "language": {"code": "fr"}},
}


def build_wire(account: MetaAccount | None = None, **settings: object) -> MetaWire:
    return MetaWire(account or MetaAccount(), create_rng(1), **settings)  # type: ignore[arg-type] # each test names its own


def submit(
    body: Mapping[str, object] | bytes,
    wire: MetaWire | None = None,
    *,
    version: str = "v26.0",
    number: str = "106540352242922",
    bearer: str = "any",
) -> Submission:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    authorization = f"Bearer {bearer}" if bearer else ""
    inquiry = Inquiry(authorization, {"version": version, "object_id": number}, raw)
    return (wire or build_wire()).check_send(inquiry, NOW)


def refusal_of(
    body: Mapping[str, object] | bytes, wire: MetaWire | None = None, **path: str
) -> tuple[int, dict[str, object]]:
    with pytest.raises(RefusedError) as caught:
        submit(body, wire, **path)
    answer = caught.value.answer
    check_shape("meta_error", answer.body)
    error = (answer.body or {})["error"]
    assert isinstance(error, dict)
    return answer.status, error


def test_a_text_message_is_taken_with_its_reference() -> None:
    taken = submit(TEXT)
    assert taken.recipient == "+33 6 12 34 56 78"
    assert taken.sender == "106540352242922"
    assert taken.references == (Reference("41", "2"),)
    assert (taken.kind, taken.category) == ("text", "service")


def test_the_answer_to_an_accepted_text_has_metas_shape() -> None:
    wire = build_wire()
    message_id = wire.create_id(create_rng(7))
    answer = wire.answer_accepted(submit(TEXT), message_id, NOW)
    assert answer.status == 200
    check_shape("meta_accepted", answer.body)
    assert answer.body == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+33 6 12 34 56 78", "wa_id": "33612345678"}],
        "messages": [{"id": message_id}],
    }


def test_the_answer_to_a_template_says_that_it_was_accepted() -> None:
    wire = build_wire()
    answer = wire.answer_accepted(submit(TEMPLATE), wire.create_id(create_rng(7)), NOW)
    check_shape("meta_accepted", answer.body)
    assert '"message_status": "accepted"' in json.dumps(answer.body)


@pytest.mark.parametrize(
    ("change", "status", "code", "words"),
    [
        ({"messaging_product": None}, 400, 100, "messaging_product is required"),
        ({"messaging_product": "sms"}, 400, 100, "Invalid parameter"),
        ({"to": ""}, 400, 100, "The parameter to is required"),
        ({"to": "0612"}, 400, 131009, "Parameter value is not valid"),
        ({"to": "not a number"}, 400, 131009, "Parameter value is not valid"),
        ({"type": "hologram"}, 400, 100, 'got "hologram"'),
        ({"text": None}, 400, 131008, "Required parameter is missing"),
        ({"text": {"body": ""}}, 400, 131008, "Required parameter is missing"),
        ({"text": {"body": "x" * 4097}}, 400, 100, "at most 4096 characters"),
        ({"biz_opaque_callback_data": "x" * 513}, 400, 100, "512 characters"),
        ({"biz_opaque_callback_data": {"m": 1}}, 400, 100, "must be a string"),
        ({"type": "template"}, 400, 131008, "Required parameter is missing"),
        ({"type": "template", "template": {"name": "a"}}, 400, 131008, "Required parameter"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(
    change: dict[str, object], status: int, code: int, words: str
) -> None:
    got, error = refusal_of({**TEXT, **change})
    assert (got, error["code"]) == (status, code)
    assert words in str(error["message"])


@pytest.mark.parametrize("size", [4096, 1])
def test_text_up_to_the_limit_is_taken(size: int) -> None:
    assert submit({**TEXT, "text": {"body": "x" * size}}).kind == "text"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_is_no_json_object_is_an_invalid_parameter(raw: bytes) -> None:
    assert refusal_of(raw)[1]["code"] == 100


def test_without_a_token_the_code_is_190() -> None:
    status, error = refusal_of(TEXT, bearer="")
    assert (status, error["code"]) == (401, 190)


def test_a_wrong_token_is_refused_and_the_right_one_taken() -> None:
    wire = build_wire(access_token="right")
    assert refusal_of(TEXT, wire, bearer="wrong")[0] == 401
    assert submit(TEXT, wire, bearer="right").kind == "text"


def test_a_number_that_is_not_ours_does_not_exist() -> None:
    wire = build_wire(MetaAccount(phone_number_ids=["1", "2"]))
    status, error = refusal_of(TEXT, wire, number="3")
    assert (status, error["code"], error["error_subcode"]) == (400, 100, 33)
    assert submit(TEXT, wire, number="2").sender == "2"


def test_a_template_that_the_account_does_not_have_gets_the_configured_code() -> None:
    account = MetaAccount(templates=[Template("other")])
    status, error = refusal_of(TEMPLATE, build_wire(account))
    assert (status, error["code"]) == (404, 132001)
    wire = build_wire(account, unknown_template_code=133004)
    assert refusal_of(TEMPLATE, wire)[1]["code"] == 133004


@pytest.mark.parametrize(
    ("state", "code"), [(TemplateStatus.PAUSED, 132015), (TemplateStatus.DISABLED, 132016)]
)
def test_a_template_that_is_not_approved_is_refused(state: TemplateStatus, code: int) -> None:
    account = MetaAccount(templates=[Template("visit_reminder", state)])
    assert refusal_of(TEMPLATE, build_wire(account))[1]["code"] == code


def test_an_approved_template_brings_its_category() -> None:
    account = MetaAccount(templates=[Template("visit_reminder", category="MARKETING")])
    assert submit(TEMPLATE, build_wire(account)).category == "marketing"


def test_free_text_needs_an_open_window_where_it_is_enforced() -> None:
    account = MetaAccount(enforces_window=True)
    wire = build_wire(account)
    assert refusal_of(TEXT, wire)[1]["code"] == 131047
    account.note_inbound("33612345678", NOW - WINDOW_SECONDS)
    assert refusal_of(TEXT, wire)[1]["code"] == 131047
    account.note_inbound("33612345678", NOW - WINDOW_SECONDS + 1)
    assert submit(TEXT, wire).kind == "text"


def test_templates_need_no_window() -> None:
    assert submit(TEMPLATE, build_wire(MetaAccount(enforces_window=True))).kind == "template"


@pytest.mark.parametrize(
    ("asked", "served"),
    [("v26.0", "v26.0"), ("v21.0", "v21.0"), ("v18.0", "v21.0"), ("v1.0", "v21.0")],
)
def test_an_expired_version_is_served_as_the_oldest_usable_one(asked: str, served: str) -> None:
    assert GraphVersions().resolve(asked) == served
    assert submit(TEXT, version=asked).kind == "text"


@pytest.mark.parametrize("asked", ["v27.0", "v0.0", "v26.1", "latest"])
def test_a_version_that_never_was_is_an_unknown_path(asked: str) -> None:
    status, error = refusal_of(TEXT, version=asked)
    assert (status, error["code"]) == (400, 2500)


def test_expired_versions_can_be_refused() -> None:
    wire = build_wire(versions=GraphVersions(refuse_expired=True))
    status, error = refusal_of(TEXT, wire, version="v18.0")
    assert (status, error["code"]) == (400, 2635)
    assert "v26.0" in str(error["message"])
    assert submit(TEXT, wire, version="v21.0").kind == "text"


def test_a_fault_without_particulars_is_a_temporary_outage() -> None:
    answer = build_wire().answer_fault(ErrorFault(kind="error"))
    check_shape("meta_error", answer.body)
    error = (answer.body or {})["error"]
    assert isinstance(error, dict)
    assert (answer.status, error["code"]) == (500, 131016)
    assert error["message"] == "(#131016) Service unavailable"


def test_a_fault_says_what_it_was_told_to_say() -> None:
    fault = ErrorFault(
        kind="error",
        http_status=429,
        code=130429,
        message="Slow",
        details="Too fast",
        retry_after_seconds=7,
    )
    answer = build_wire().answer_fault(fault)
    check_shape("meta_error", answer.body)
    assert answer.status == 429
    assert answer.headers == {"Retry-After": "7"}
    assert '"message": "(#130429) Slow"' in json.dumps(answer.body)
    assert '"details": "Too fast"' in json.dumps(answer.body)


@pytest.mark.parametrize(
    ("data", "reference"),
    [
        (None, Reference(None)),
        ('{"m": 7, "a": 1}', Reference("7", "1")),
        ('{"m": "7"}', Reference("7")),
        ("plain", Reference("plain")),
        ("[1]", Reference("[1]")),
        ('{"x": 1}', Reference('{"x": 1}')),
    ],
)
def test_references_are_read_from_callback_data(data: str | None, reference: Reference) -> None:
    assert read_reference(data) == reference


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("missing_reminder", 404, 132001),
        ("rejected_reminder", 404, 132001),
        ("paused_reminder", 400, 132015),
        ("disabled_reminder", 400, 132016),
    ],
)
def test_without_a_list_a_templates_name_says_how_it_stands(
    name: str, status: int, code: int
) -> None:
    body = {**TEMPLATE, "template": {"name": name, "language": {"code": "fr"}}}
    refused, error = refusal_of(body)
    assert (refused, error["code"]) == (status, code)


def test_a_list_of_templates_knows_better_than_a_name() -> None:
    account = MetaAccount(templates=[Template("paused_reminder")])
    body = {**TEMPLATE, "template": {"name": "paused_reminder", "language": {"code": "fr"}}}
    assert submit(body, build_wire(account)).kind == "template"
    account.note_status("paused_reminder", TemplateStatus.PAUSED)
    assert refusal_of(body, build_wire(account))[1]["code"] == 132015


def test_a_burst_to_one_recipient_ends_with_131056_in_metas_shape() -> None:
    wire = build_wire(MetaAccount(limits=Limits(pair_limit=True, pair_burst=2)))
    submit(TEXT, wire)
    submit({**TEXT, "to": "33612345678"}, wire)
    status, error = refusal_of(TEXT, wire)
    assert (status, error["code"]) == (400, 131056)
    assert "pair rate limit" in str(error["message"])
    assert submit({**TEXT, "to": "+33687654321"}, wire).recipient == "+33687654321"


def test_a_number_beyond_its_throughput_is_130429() -> None:
    wire = build_wire(MetaAccount(limits=Limits(messages_per_second=1)))
    submit(TEXT, wire)
    assert refusal_of({**TEXT, "to": "+33687654321"}, wire)[1]["code"] == 130429


def test_a_refused_message_costs_nothing_of_the_limits() -> None:
    wire = build_wire(MetaAccount(limits=Limits(pair_limit=True, pair_burst=1)))
    refusal_of({**TEXT, "text": {"body": "x" * 4097}}, wire)
    assert submit(TEXT, wire).kind == "text"
