"""How the providers sign what they post, so that a receiver can tell them from anybody else."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from outbound_slo.vocabulary.mistakes import UserMistake


def sign_meta(body: bytes, app_secret: str) -> str:
    """Return the value of Meta's `X-Hub-Signature-256` for the exact bytes of a body."""
    return "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()


def sign_twilio(url: str, form: Mapping[str, str], auth_token: str) -> str:
    """Return the value of Twilio's `X-Twilio-Signature` for a form posted to `url`.

    The signed text is the full URL, query included, followed by each key and its value in the
    order of the keys, with nothing between them.
    """
    signed = url + "".join(key + form[key] for key in sorted(form))
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


class EventKey:
    """The key pair of SendGrid's signed event webhook: ECDSA on the curve P-256, with SHA-256."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        """Wrap a key."""
        self._private_key = private_key

    @property
    def public_key(self) -> str:
        """The public key as SendGrid shows it: base64 of its DER form."""
        der = self._private_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    @property
    def pem(self) -> str:
        """The private key, as `read_event_key` takes it."""
        return self._private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def sign(self, body: bytes, timestamp: str) -> str:
        """Return the signature header: base64 DER over the timestamp header and the body."""
        signature = self._private_key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()


def create_event_key() -> EventKey:
    """Make a new key pair."""
    return EventKey(ec.generate_private_key(ec.SECP256R1()))


def read_event_key(pem: str) -> EventKey:
    """Read a private key in PEM.

    Raises:
        UserMistake: It is not one, or not for this signature.

    """
    mend = "Make one with: openssl ecparam -name prime256v1 -genkey -noout"
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserMistake("the SendGrid signing key is not a PEM private key", mend) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UserMistake("the SendGrid signing key is not of the curve P-256", mend)
    return EventKey(key)
