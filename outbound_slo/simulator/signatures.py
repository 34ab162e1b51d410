"""How the providers sign what they post, so that a receiver can tell them from anybody else."""

import base64
import hashlib
import hmac
from collections.abc import Mapping


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
