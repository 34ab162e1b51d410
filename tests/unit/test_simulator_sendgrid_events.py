"""SendGrid's events: which come, what they look like, how they are signed."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from outbound_slo.simulator.chance import create_rng
from outbound_slo.simulator.lifecycle import Behaviour
from outbound_slo.simulator.packing import Address, Packer, Parcel
from outbound_slo.simulator.sendgrid_events import MailEvent, MailEventKind, build_event, plan_mail
from outbound_slo.simulator.signatures import create_event_key, read_event_key
from outbound_slo.vocabulary.mistakes import UserMistake
from tests.provider_schemas import check_shape

CALM = Behaviour(delivery_ms=1000, read_rate=1)
EVENT = MailEvent(
    MailEventKind.DELIVERED, "ana@example.org", "Qk3xY1", 1.795e9, {"m": "41", "a": "2"}
)
KEY = create_event_key()
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
ENGAGEMENTS = {MailEventKind.UNSUBSCRIBE, MailEventKind.SPAM_REPORT}


def names(**changes: object) -> list[str]:
    behaviour = CALM.model_copy(update=changes)
    steps = plan_mail(behaviour, create_rng(1))
    assert [step.due for step in steps] == sorted(step.due for step in steps)
    return [step.status for step in steps]


def pack(*events: MailEvent, behaviour: Behaviour = CALM) -> list[Parcel]:
    address = Address("", "s", "t", "1", KEY, sendgrid_events_url="http://127.0.0.1:1/sendgrid")
    return list(Packer(address, create_rng(1), lambda: 1.795e9).pack(events, behaviour))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["processed", "delivered"]),
        ({"deferred_rate": 1.0}, ["processed", "deferred", "delivered"]),
        ({"failed_rate": 1.0}, ["processed", "bounce"]),
        ({"failed_rate": 1.0, "dropped_rate": 1.0}, ["dropped"]),
        ({"never_delivered_rate": 1.0}, ["processed"]),
        ({"silent_rate": 1.0}, []),
    ],
)
def test_an_e_mail_lives_as_the_behaviour_says(
    changes: dict[str, object], expected: list[str]
) -> None:
    assert names(**changes) == expected


@pytest.mark.parametrize("kind", MailEventKind)
def test_every_event_has_sendgrids_shape(kind: MailEventKind) -> None:
    check_shape("sendgrid_events", [build_event(EVENT._replace(event=kind))])


def test_custom_arguments_stand_beside_the_events_own_fields_and_replace_none() -> None:
    event = build_event(EVENT._replace(custom_args={"m": "41", "a": "2", "event": "open"}))
    assert (event["m"], event["a"], event["event"]) == ("41", "2", "delivered")


def test_an_event_told_again_keeps_its_id_and_others_have_others() -> None:
    others = [
        EVENT._replace(event=MailEventKind.PROCESSED),
        EVENT._replace(message_id="Qk3xY2"),
        EVENT._replace(email="ben@example.org"),
    ]
    ids = [build_event(each)["sg_event_id"] for each in (EVENT, EVENT, *others)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_events_share_posts_up_to_the_limit() -> None:
    behaviour = CALM.model_copy(update={"batch_rate": 1.0, "batch_limit": 10})
    parcels = pack(*[EVENT] * 25, behaviour=behaviour)
    assert [parcel.events for parcel in parcels] == [10, 10, 5]
    check_shape("sendgrid_events", json.loads(parcels[0].body))


def verify_by_openssl(directory: Path, parcel: Parcel) -> bool:
    """Check a signature with another program: openssl, on the files of the parcel."""
    public, signature, signed = (directory / name for name in ("key.der", "signature", "signed"))
    public.write_bytes(base64.b64decode(KEY.public_key))
    signature.write_bytes(base64.b64decode(parcel.headers[SIGNATURE]))
    signed.write_bytes(parcel.headers[TIMESTAMP].encode() + parcel.body)
    files: list[str | Path] = ["-verify", public, "-signature", signature, signed]
    checked = subprocess.run(
        ["openssl", "dgst", "-sha256", "-keyform", "DER", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout in ("Verified OK\n", "Verification failure\n"), checked.stderr
    return checked.returncode == 0


def test_openssl_verifies_the_signature_over_timestamp_and_body(tmp_path: Path) -> None:
    (parcel,) = pack(EVENT)
    assert parcel.headers[TIMESTAMP] == "1795000000"
    assert verify_by_openssl(tmp_path, parcel)


def test_openssl_refuses_a_forged_one(tmp_path: Path) -> None:
    (parcel,) = pack(EVENT, behaviour=CALM.model_copy(update={"bad_signature_rate": 1.0}))
    assert not verify_by_openssl(tmp_path, parcel)


def write_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def test_a_given_key_is_the_one_that_is_shown() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert base64.b64decode(read_event_key(write_pem(key)).public_key) == der


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("nonsense", "not a PEM private key"),
        (write_pem(ec.generate_private_key(ec.SECP384R1())), "curve P-256"),
        (write_pem(ed25519.Ed25519PrivateKey.generate()), "curve P-256"),
    ],
)
def test_a_key_of_another_kind_is_a_clear_mistake(pem: str, words: str) -> None:
    with pytest.raises(UserMistake, match=words):
        read_event_key(pem)
