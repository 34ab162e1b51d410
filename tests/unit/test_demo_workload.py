from collections import Counter

import phonenumbers
import pytest

from outbound_slo.demo import content
from outbound_slo.demo.workload import CHANNEL_SHARES, Consent, Window, Workload
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage, check_message

COUNT = 4000


@pytest.fixture(scope="module")
def workload() -> Workload:
    return Workload(seed=7)


@pytest.fixture(scope="module")
def messages(workload: Workload) -> list[NewMessage]:
    return [workload.compose() for _ in range(COUNT)]


def test_the_same_seed_gives_the_same_people_and_messages() -> None:
    first, second = Workload(seed=3), Workload(seed=3)
    assert first.people == second.people
    assert first.compose_batch(200) == second.compose_batch(200)
    assert Workload(seed=4).compose_batch(200) != Workload(seed=3).compose_batch(200)


def test_every_message_could_be_sent(messages: list[NewMessage]) -> None:
    for message in messages:
        check_message(message)


def test_phone_numbers_are_valid_in_several_countries_and_nobody_shares_one(
    workload: Workload,
) -> None:
    parsed = [phonenumbers.parse(person.phone) for person in workload.people]
    assert all(phonenumbers.is_valid_number(number) for number in parsed)
    assert {"FR", "BE", "ES", "PT", "MA", "US"} == {
        phonenumbers.region_code_for_number(number) for number in parsed
    }
    for seed in range(8):
        people = Workload(seed).people
        assert len({person.phone for person in people}) == len(people)


def test_the_channels_have_their_shares(messages: list[NewMessage]) -> None:
    counts = Counter(message.channel for message in messages)
    for channel, percent in CHANNEL_SHARES.items():
        assert 100 * counts[channel] / COUNT == pytest.approx(percent, abs=4)


def test_all_organisations_and_templates_take_part(messages: list[NewMessage]) -> None:
    assert {m.org_id for m in messages} == {org.org_id for org in content.ORGANISATIONS}
    templates = {m.template_code for m in messages if m.channel is Channel.WHATSAPP}
    assert templates == {None, *(shape.code for shape in content.TEMPLATES)}


def test_whatsapp_templates_come_with_all_their_parameters(messages: list[NewMessage]) -> None:
    wanted = {shape.code: len(shape.parameters) for shape in content.TEMPLATES}
    for message in messages:
        if message.channel is Channel.WHATSAPP and message.template_code:
            parameters = message.payload["parameters"]
            assert isinstance(parameters, list)
            assert len(parameters) == wanted[message.template_code]
            assert all(parameters)


def test_texts_have_no_holes_left(messages: list[NewMessage]) -> None:
    texts = [str(m.payload["text"]) for m in messages if "text" in m.payload]
    assert texts
    assert not any("{" in text for text in texts)


def test_free_text_goes_to_open_windows_but_for_a_few_mistakes(
    workload: Workload, messages: list[NewMessage]
) -> None:
    windows = {person.phone: person.window for person in workload.people}
    free = [
        windows[m.to_recipient]
        for m in messages
        if m.channel is Channel.WHATSAPP and m.template_code is None
    ]
    mistakes = sum(window is not Window.OPEN for window in free)
    assert 0 < mistakes < len(free) / 10


def test_emails_have_a_subject_and_go_to_addresses_that_nobody_has(
    messages: list[NewMessage],
) -> None:
    emails = [m for m in messages if m.channel is Channel.EMAIL]
    assert emails
    assert all(m.subject and m.to_recipient.endswith("@example.org") for m in emails)


def test_some_have_not_consented_and_some_cannot_be_reached(workload: Workload) -> None:
    consents = Counter(c for person in workload.people for c in person.consents.values())
    assert consents[Consent.REVOKED] > 0
    assert consents[Consent.MISSING] > 0
    assert consents[Consent.GRANTED] > 0.9 * consents.total()
    unreachable = [person for person in workload.people if not person.reachable]
    assert unreachable
    for person in workload.people:
        assert person.phone.startswith(content.UNREACHABLE_PREFIX) is not person.reachable


def test_a_request_made_twice_has_one_idempotency_key() -> None:
    batch = Workload(seed=1).compose_batch(1000)
    keys = Counter(message.idempotency_key for message in batch)
    assert len(keys) == 1000
    assert 0 < len(batch) - 1000 < 60
    assert max(keys.values()) == 2
    by_key = {m.idempotency_key: m for m in batch}
    assert all(by_key[m.idempotency_key] == m for m in batch)


def test_quotas_leave_room_for_the_longest_default_run() -> None:
    for organisation in content.ORGANISATIONS:
        share = organisation.weight / sum(org.weight for org in content.ORGANISATIONS)
        planned = 180 * 7 * share
        assert organisation.quota_used + planned < 0.7 * organisation.quota_limit
