"""How due events become POSTs: alone, together, signed right or wrong."""

import json

import pytest

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.courier import Persistence
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.meta_webhooks import InboundText, StatusUpdate
from outbound_slo.simulator.packing import CROWD, Address, Event, Packer, Parcel
from outbound_slo.simulator.signatures import create_event_key, sign_meta, sign_twilio
from outbound_slo.simulator.twilio import TwilioCall
from tests.provider_schemas import check_shape

ADDRESS = Address(
    "http://127.0.0.1:1/webhooks/whatsapp",
    "secret",
    "token",
    "102290129340398",
    create_event_key(),
    sendgrid_events_url="http://127.0.0.1:1/webhooks/sendgrid",
)
UPDATE = StatusUpdate("1065", "wamid.A", "sent", "33612345678", 1.795e9)
ALONE = Behaviour(batch_rate=0)
TOGETHER = Behaviour(batch_rate=1)


def pack_all(events: list[Event], behaviour: Behaviour) -> list[Parcel]:
    packer = Packer(ADDRESS, create_rng(1), lambda: 1.795e9)
    return list(packer.pack(events, behaviour))


def test_without_batching_each_status_has_its_own_post() -> None:
    parcels = pack_all([UPDATE] * 5, ALONE)
    assert [parcel.events for parcel in parcels] == [1] * 5
    for parcel in parcels:
        check_shape("meta_notification", json.loads(parcel.body))


def test_batches_hold_up_to_their_limit() -> None:
    parcels = pack_all([UPDATE] * 25, TOGETHER.model_copy(update={"batch_limit": 10}))
    assert [parcel.events for parcel in parcels] == [10, 10, 5]
    for parcel in parcels:
        check_shape("meta_notification", json.loads(parcel.body))


def test_some_statuses_share_a_post_and_none_is_lost() -> None:
    events: list[Event] = [UPDATE._replace(message_id=f"wamid.{number}") for number in range(CROWD)]
    parcels = pack_all(events, Behaviour(batch_rate=0.5))
    assert 2 < len(parcels) < CROWD
    assert sum(parcel.events for parcel in parcels) == CROWD
    text = b"".join(parcel.body for parcel in parcels)
    assert all(f'"wamid.{number}"'.encode() in text for number in range(CROWD))


def test_a_crowd_is_batched_whatever_the_rate() -> None:
    assert len(pack_all([UPDATE] * (CROWD + 1), ALONE)) == 1
    assert len(pack_all([UPDATE] * CROWD, ALONE)) == CROWD


def test_statuses_of_two_numbers_are_two_changes_of_one_post() -> None:
    (parcel,) = pack_all([UPDATE, UPDATE._replace(phone_number_id="2076")], TOGETHER)
    notification = json.loads(parcel.body)
    check_shape("meta_notification", notification)
    numbers = [
        change["value"]["metadata"]["phone_number_id"]
        for change in notification["entry"][0]["changes"]
    ]
    assert numbers == ["1065", "2076"]


def test_meta_signs_the_exact_bytes_it_posts() -> None:
    (parcel,) = pack_all([UPDATE], ALONE)
    assert parcel.url == ADDRESS.callback_url
    assert parcel.headers["X-Hub-Signature-256"] == sign_meta(parcel.body, "secret")


def test_twilio_signs_the_url_and_the_form() -> None:
    event = TwilioCall("http://127.0.0.1:1/t?m=1&a=1", {"MessageSid": "SM1", "To": "+336"})
    (parcel,) = pack_all([event], TOGETHER)
    assert parcel.url == event.url
    assert parcel.body == b"MessageSid=SM1&To=%2B336"
    assert parcel.headers["X-Twilio-Signature"] == sign_twilio(event.url, event.form, "token")


@pytest.mark.parametrize(
    ("event", "header"),
    [
        (UPDATE, "X-Hub-Signature-256"),
        (InboundText("1", "wamid.B", "+336", "Ana", "Hi", 1.795e9), "X-Hub-Signature-256"),
        (TwilioCall("http://h/t", {"To": "+1"}), "X-Twilio-Signature"),
    ],
)
def test_a_bad_signature_is_well_formed_but_wrong(event: Event, header: str) -> None:
    good, bad = (
        pack_all([event], Behaviour(batch_rate=0, bad_signature_rate=rate))[0] for rate in (0, 1)
    )
    assert good.body == bad.body
    assert good.headers[header] != bad.headers[header]
    assert len(good.headers[header]) == len(bad.headers[header])


def test_meta_wants_exactly_200_and_twilio_any_success() -> None:
    meta, twilio = Parcel("u", b"", {}, 1), Parcel("u", b"", {}, 1, takes_any_success=True)
    assert [meta.is_taken(status) for status in (200, 204, 302, 500, 0)] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert [twilio.is_taken(status) for status in (200, 204, 302, 500, 0)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_waits_double_up_to_the_longest_then_end() -> None:
    persistence = Persistence(tries=6, first_seconds=1, longest_seconds=6)
    waits = [persistence.find_wait(tries) for tries in range(1, 7)]
    assert waits == [1, 2, 4, 6, 6, None]
