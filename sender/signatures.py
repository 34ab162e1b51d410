"""Who made a webhook: each provider's signature, compared in constant time. Pure.

Sources: the webhook security pages of Meta, Twilio and SendGrid as of September 2026.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

Field = tuple[str, str]
"""Name and value of a form's field; a name may come several times."""

SendGridKey = EllipticCurvePublicKey


def sign_meta(body: bytes, secret: str) -> str:
    """Give the value of X-Hub-Signature-256 for a body."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def verify_meta(body: bytes, signature: str, secret: str) -> bool:
    """Tell whether the app secret made the signature of these very bytes."""
    return hmac.compare_digest(sign_meta(body, secret).encode(), signature.encode())


def sign_twilio(url: str, form: Iterable[Field], token: str) -> str:
    """Give the value of X-Twilio-Signature for a form POST to a URL.

    Fields stand in the order of their names, a repeated name's values in theirs, and each pair
    counts once.
    """
    text = url + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def verify_twilio(url: str, form: Iterable[Field], signature: str, token: str) -> bool:
    """Tell whether the auth token made the signature."""
    return hmac.compare_digest(sign_twilio(url, form, token).encode(), signature.encode())


def matches_digest(body: bytes, digest: str) -> bool:
    """Tell whether a body is the one that Twilio's `bodySHA256` in the query speaks of."""
    return hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), digest.lower().encode())


def load_sendgrid_key(text: str) -> SendGridKey:
    """Read the verification key as SendGrid shows it: base64 of DER.

    Raises:
        ValueError: It is no public key on the curve P-256.

    """
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not the base64 text of a public key") from error
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError("it is a key of another kind; SendGrid's are on the curve P-256")


def verify_sendgrid(body: bytes, timestamp: str, signature: str, key: SendGridKey) -> bool:
    """Tell whether the key's owner signed this body at this time (header `…-Timestamp`)."""
    try:
        made = base64.b64decode(signature, validate=True)
        key.verify(made, timestamp.encode() + body, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
