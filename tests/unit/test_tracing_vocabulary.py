"""The spans and tags against runbook 000: its tree, its table, its five failure patterns."""

import pytest

from outbound_slo.vocabulary.spans import (
    PROVIDER_SPANS,
    SHARED_TAGS,
    SPANS,
    TAGS,
    SpanName,
    Tag,
    TagOrigin,
)

# The tag table of runbook 000, "Span Tag Reference": name, type, example.
RUNBOOK_TABLE = {
    "message.id": ("Long", 12345),
    "message.channel": ("String", "WHATSAPP"),
    "message.attempt": ("Integer", 3),
    "message.to": ("String", "+33612345678"),
    "org.id": ("String", "org-abc-123"),
    "template.code": ("String", "appointment_reminder"),
    "within.session.window": ("Boolean", True),
    "has.template": ("Boolean", False),
    "error.code": ("String", "132016"),
    "error": ("String", "session_expired"),
    "status": ("String", "SENT"),
    "circuit.breaker.state": ("String", "OPEN"),
    "http.status": ("Integer", 429),
    "http.method": ("String", "POST"),
    "provider.message.id": ("String", "wamid.ABC123"),
    "retry.after": ("Integer", 3600),
    "session.id": ("String", "session-789"),
    "run.id": ("String", "run-456"),
    "hypothesis.id": ("String", "hyp-123"),
}
JAVA_TYPES = {"Long": int, "Integer": int, "String": str, "Boolean": bool}

# What the failure patterns and queries of 000 show beyond the table.
PATTERN_TAGS = {
    "circuit.breaker.failure.rate",
    "circuit.breaker.slow.call.rate",
    "retry.scheduled",
    "timeout",
    "exception",
    "error.message",
    "new.status",
    "http.status_code",
    "http.url",
    "http.response.header.retry-after",
    "http.response.body",
}

# The span tree of 000: span and its parent; webhook spans as D26 settles them.
RUNBOOK_TREE = {
    "outbound-message-process": None,
    "whatsapp-cloud-api-send": "outbound-message-process",
    "http.client.request": "whatsapp-cloud-api-send",
    "session.window.check": "whatsapp-cloud-api-send",
    "database.save": "outbound-message-process",
    "metrics.record": "outbound-message-process",
    "http.in": None,
    "webhook.process": "webhook.in",
    "status.update": "webhook.process",
}

# Tags that a pattern of 000 shows on a span, for spans of its own tree.
PATTERN_PLACES = {
    "outbound-message-process": {
        "message.id",
        "message.channel",
        "message.attempt",
        "org.id",
        "template.code",
        "circuit.breaker.state",
        "circuit.breaker.failure.rate",
        "circuit.breaker.slow.call.rate",
    },
    "whatsapp-cloud-api-send": {
        "within.session.window",
        "has.template",
        "error",
        "status",
        "http.status",
        "error.code",
        "error.message",
        "retry.after",
        "retry.scheduled",
    },
    "http.client.request": {
        "http.method",
        "http.url",
        "http.status_code",
        "http.response.header.retry-after",
        "http.response.body",
        "exception",
        "timeout",
    },
}


def test_every_row_of_the_runbooks_tag_table_is_in_the_vocabulary_with_its_type() -> None:
    ours = {
        tag.value: (row.type, row.example)
        for tag, row in TAGS.items()
        if row.origin is TagOrigin.TABLE
    }

    theirs = {name: (JAVA_TYPES[kind], example) for name, (kind, example) in RUNBOOK_TABLE.items()}

    assert ours == theirs


def test_every_tag_of_the_patterns_outside_the_table_has_a_row() -> None:
    ours = {tag.value for tag, row in TAGS.items() if row.origin is TagOrigin.PATTERN}

    assert ours == PATTERN_TAGS


@pytest.mark.parametrize("tag", Tag)
def test_the_example_of_each_tag_has_the_tags_type(tag: Tag) -> None:
    row = TAGS[tag]

    assert type(row.example) is row.type
    assert row.meaning


@pytest.mark.parametrize(("name", "parent"), RUNBOOK_TREE.items())
def test_each_span_stands_where_the_runbook_draws_it(name: str, parent: str | None) -> None:
    assert parent in SPANS[SpanName(name)].parents


def test_no_span_has_a_legal_parent_that_the_runbook_does_not_draw() -> None:
    for name, parent in RUNBOOK_TREE.items():
        allowed: set[str | None] = {parent}
        if parent == "whatsapp-cloud-api-send" and name == "http.client.request":
            allowed |= PROVIDER_SPANS
        assert SPANS[SpanName(name)].parents <= allowed, name


def test_only_a_webhook_and_an_api_request_continue_another_process() -> None:
    continuing = {name for name, row in SPANS.items() if row.remote_parents}

    assert continuing == {SpanName.HTTP_IN, SpanName.WEBHOOK_IN, SpanName.WEBHOOK_PROCESS}
    assert SpanName.OUTBOUND_MESSAGE_PROCESS in SPANS[SpanName.WEBHOOK_IN].remote_parents


@pytest.mark.parametrize("name", PATTERN_PLACES)
def test_each_span_carries_the_tags_that_its_failure_patterns_show(name: str) -> None:
    carried = {tag.value for tag in SPANS[SpanName(name)].carries}

    assert carried >= PATTERN_PLACES[name]


def test_the_tags_that_queries_read_from_the_first_span_stand_on_both_spans() -> None:
    for span in (SpanName.OUTBOUND_MESSAGE_PROCESS, SpanName.WHATSAPP_SEND):
        assert set(SPANS[span].carries) >= SHARED_TAGS


def test_every_span_name_has_a_row() -> None:
    assert set(SPANS) == set(SpanName)
