"""Meta's WhatsApp Cloud API as a sender meets it: checks on what comes in, bodies that go out.

Sources: Meta's Cloud API reference (messages, error codes) and Graph API versioning pages as of
September 2026. The HTTP status of a code is the one Meta's error page gave for it.
"""

import base64
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from outbound_slo.simulator.accounts import MetaAccount, Template, TemplateStatus
from outbound_slo.simulator.faults import ErrorFault
from outbound_slo.simulator.wire import (
    Answer,
    Inquiry,
    Provider,
    Reference,
    RefusedError,
    Submission,
    decode_object,
)
from outbound_slo.vocabulary.errors import Catalogue, meanings

CALLBACK_DATA_LIMIT = 512
"""Characters of `biz_opaque_callback_data`, by Meta's messages reference."""

TEXT_LIMIT = 4096
"""Characters of `text.body`, by Meta's messages reference."""

_PHONE = re.compile(r"[1-9][0-9]{6,14}")
_PHONE_PUNCTUATION = str.maketrans("", "", " -()")
_VERSION = re.compile(r"v(\d+)\.0")
_TEMPLATE_CODES = {TemplateStatus.PAUSED: 132015, TemplateStatus.DISABLED: 132016}


@dataclass(frozen=True, slots=True)
class GraphVersions:
    """The Graph API versions that answer, as whole numbers (v25.0 is 25).

    Attributes:
        oldest: Meta serves a call to an older version as a call to this one.
        newest: A version above is unknown.
        refuse_expired: Answer expired versions with code 2635 instead, as Meta's marketing
            endpoints do; to see a sender fail that still calls v18.0.

    """

    oldest: int = 21
    newest: int = 26
    refuse_expired: bool = False

    def resolve(self, asked: str) -> str | None:
        """Return the version that serves a call, or None where Meta refuses it."""
        found = _VERSION.fullmatch(asked)
        number = int(found[1]) if found else 0
        if not 1 <= number <= self.newest or (self.refuse_expired and number < self.oldest):
            return None
        return f"v{max(number, self.oldest)}.0"

    def is_expired(self, asked: str) -> bool:
        """Tell whether a version once existed and is served no more."""
        found = _VERSION.fullmatch(asked)
        return found is not None and 1 <= int(found[1]) < self.oldest


@dataclass(frozen=True, slots=True)
class MetaWire:
    """The sending side of the Cloud API.

    Attributes:
        access_token: The token that is accepted; empty accepts any token, but wants one.
        unknown_template_code: Code for a template the account does not have.
        closed_window_code: Code for free text outside the service window.

    """

    account: MetaAccount
    rng: random.Random
    access_token: str = ""
    versions: GraphVersions = GraphVersions()
    unknown_template_code: int = 132001
    closed_window_code: int = 131047

    @property
    def provider(self) -> Provider:
        """Return whose format this is."""
        return Provider.META

    def check_send(self, inquiry: Inquiry, now: float) -> Submission:
        """Judge a `POST /{version}/{phone_number_id}/messages`, access first.

        Raises:
            RefusedError: Meta would refuse it.

        """
        self.check_access(inquiry)
        body = self._read_body(inquiry.body)
        recipient = to_wa_id(str(body["to"]))
        if not _PHONE.fullmatch(recipient):
            raise self.refuse(
                400, 131009, "Parameter value is not valid", "Recipient is not a phone number"
            )
        data = body.get("biz_opaque_callback_data")
        if data is not None and not (isinstance(data, str) and len(data) <= CALLBACK_DATA_LIMIT):
            raise self.refuse(
                400,
                100,
                "Param biz_opaque_callback_data must be a string of at most"
                f" {CALLBACK_DATA_LIMIT} characters",
            )
        kind = body.get("type", "text")
        if kind == "text":
            self._check_text(body.get("text"), recipient, now)
            category = "service"
        elif kind == "template":
            category = self._check_template(body.get("template")).category.lower()
        else:
            raise self.refuse(
                400, 100, f'Param type must be one of {{TEMPLATE, TEXT}} - got "{kind}".'
            )
        number = inquiry.path["object_id"]
        breach = self.account.throttle.find_breach(number, recipient, now)
        if breach is not None:
            # The page of error codes gives 400 for both, where one would look for 429.
            raise self.refuse(400, breach.value, title_of(breach.value), title_of(breach.value))
        return Submission(
            recipient=str(body["to"]),
            sender=number,
            references=(read_reference(data),),
            kind=str(kind),
            category=category,
            callback_data=data,
        )

    def check_access(self, inquiry: Inquiry) -> None:
        """Check the version, the token and the object that a path names.

        Raises:
            RefusedError: Meta would refuse the request whatever its body.

        """
        asked, object_id = inquiry.path["version"], inquiry.path["object_id"]
        if self.versions.resolve(asked) is None:
            if not self.versions.is_expired(asked):
                raise self.refuse(400, 2500, f"Unknown path components: /{asked}")
            raise self.refuse(
                400,
                2635,
                "You are calling a deprecated version of the API. Please update to the"
                f" latest version: v{self.versions.newest}.0.",
            )
        scheme, _, token = inquiry.authorization.partition(" ")
        if scheme != "Bearer" or not token or (self.access_token and token != self.access_token):
            raise self.refuse(
                401, 190, "Invalid OAuth access token - Cannot parse access token", prefix=False
            )
        if not self.account.has_object(object_id):
            raise self.refuse(
                400,
                100,
                f"Unsupported request. Object with ID '{object_id}' does not exist, cannot be"
                " loaded due to missing permissions, or does not support this operation.",
                prefix=False,
                subcode=33,
            )

    def _read_body(self, raw: bytes) -> Mapping[str, object]:
        """Decode a body and check what every message must have."""
        body = decode_object(raw)
        if body is None:
            raise self.refuse(400, 100, "Invalid parameter", "The body is not a JSON object")
        for name in ("messaging_product", "to"):
            if not body.get(name):
                raise self.refuse(400, 100, f"The parameter {name} is required.")
        if body["messaging_product"] != "whatsapp":
            raise self.refuse(400, 100, "Invalid parameter", "messaging_product must be 'whatsapp'")
        return body

    def _check_text(self, text: object, recipient: str, now: float) -> None:
        """Check free text: there, short enough, and inside the service window."""
        content = text.get("body") if isinstance(text, dict) else None
        if not content or not isinstance(content, str):
            raise self.refuse(400, 131008, "Required parameter is missing", "text.body is missing")
        if len(content) > TEXT_LIMIT:
            raise self.refuse(
                400, 100, f"Param text['body'] must be at most {TEXT_LIMIT} characters long."
            )
        if not self.account.is_window_open(recipient, now):
            raise self.refuse(
                400,
                self.closed_window_code,
                title_of(self.closed_window_code),
                "More than 24 hours have passed since the recipient last replied",
            )

    def _check_template(self, template: object) -> Template:
        """Return the known, approved template that a message names."""
        fields = template if isinstance(template, dict) else {}
        language = fields.get("language")
        code = language.get("code") if isinstance(language, dict) else None
        for name, value in (("name", fields.get("name")), ("language.code", code)):
            if not value or not isinstance(value, str):
                raise self.refuse(
                    400, 131008, "Required parameter is missing", f"template.{name} is missing"
                )
        found = self.account.find_template(fields["name"])
        # Meta has no code of its own for a rejected template: not approved is not there.
        if found is None or found.status is TemplateStatus.REJECTED:
            refused = self.unknown_template_code
            detail = f"template name ({fields['name']}) does not exist in {code}"
            raise self.refuse(404, refused, title_of(refused), detail)
        if found.status is not TemplateStatus.APPROVED:
            refused = _TEMPLATE_CODES[found.status]
            raise self.refuse(400, refused, title_of(refused), f"template {found.name}")
        return found

    def create_id(self, rng: random.Random) -> str:
        """Make a `wamid.`, base64 as Meta's are, at most 128 characters."""
        return "wamid." + base64.b64encode(b"\x1d\x1c" + rng.randbytes(28)).decode()

    def answer_accepted(self, submission: Submission, message_id: str, now: float) -> Answer:
        """Build the 200 that means accepted, not sent."""
        del now
        message = {"id": message_id}
        if submission.kind == "template":
            message["message_status"] = "accepted"
        wa_id = to_wa_id(submission.recipient)
        return Answer(
            200,
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": submission.recipient, "wa_id": wa_id}],
                "messages": [message],
            },
        )

    def answer_fault(self, fault: ErrorFault) -> Answer:
        """Build the error a fault asks for; a temporary outage if it says nothing else."""
        code = 131016 if fault.code is None else fault.code
        title = fault.message or title_of(code)
        answer = self.refuse(fault.http_status, code, title, fault.details or title).answer
        if fault.retry_after_seconds is None:
            return answer
        return Answer(
            answer.status, answer.body, headers={"Retry-After": str(fault.retry_after_seconds)}
        )

    def refuse(
        self,
        status: int,
        code: int,
        title: str,
        details: str | None = None,
        *,
        subcode: int | None = None,
        prefix: bool = True,
    ) -> RefusedError:
        """Build an error in Meta's shape, ready to be raised."""
        error: dict[str, object] = {
            "message": f"(#{code}) {title}" if prefix else title,
            "type": "OAuthException",
            "code": code,
        }
        if details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": details}
        if subcode is not None:
            error["error_subcode"] = subcode
        error["fbtrace_id"] = "A" + base64.urlsafe_b64encode(self.rng.randbytes(16)).decode()[:22]
        return RefusedError(Answer(status, {"error": error}))


def title_of(code: int) -> str:
    """Return Meta's title of an error code, as statuses and errors carry it."""
    meaning = meanings(str(code)).get(Catalogue.META)
    return meaning.title if meaning else "Simulated failure"


def to_wa_id(recipient: str) -> str:
    """Return the recipient as Meta names it: digits only."""
    digits = recipient.removeprefix("+")
    return digits if digits.isdigit() else recipient.translate(_PHONE_PUNCTUATION).lstrip("+")


def read_reference(callback_data: str | None) -> Reference:
    """Read the message id and attempt from `{"m": …, "a": …}`; any other text is the id itself."""
    if callback_data is None:
        return Reference(None)
    try:
        fields = orjson.loads(callback_data)
    except ValueError:
        return Reference(callback_data)
    if not isinstance(fields, dict) or "m" not in fields:
        return Reference(callback_data)
    attempt = fields.get("a")
    return Reference(str(fields["m"]), None if attempt is None else str(attempt))
