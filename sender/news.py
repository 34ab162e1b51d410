"""What webhooks may tell, whichever provider tells it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from outbound_slo.vocabulary.notices import NoticeKind, NoticeSeverity
from outbound_slo.vocabulary.statuses import Channel
from sender.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a recipient; `phone_number_id` is the business number it came to."""

    phone_number_id: str
    phone_number: str
    body: str
    provider_message_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Wish:
    """A recipient wants no messages (`stop`), or wants them again.

    Attributes:
        channel: Where it was said.
        recipient: Number in E.164 form, or e-mail address.
        at_s: When, in epoch seconds.
        source: How it came, as `twilio:STOP`; what one source stopped only the same one resumes.
        message_id: The message that it answers, which tells the organisation.
        phone_number_id: The WhatsApp business number that it was said to.

    """

    channel: Channel
    recipient: str
    stop: bool
    at_s: float
    source: str
    message_id: int | None = None
    phone_number_id: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about an account, a number or a template that people should know.

    Attributes:
        account: WhatsApp business account (WABA).
        subject: The number or template it is about.
        event: The provider's own word for it.
        fingerprint: The same for the same notice, however often it comes.

    """

    kind: NoticeKind
    severity: NoticeSeverity
    account: str
    subject: str | None
    event: str | None
    description: str | None
    told_s: float
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TemplateNews:
    """A template's state or quality; None for what this webhook does not tell."""

    account: str
    name: str
    language: str
    template_id: str | None
    at_s: float
    status: str | None = None
    reason: str | None = None
    quality: str | None = None


@dataclass(frozen=True, slots=True)
class News:
    """All that one webhook tells."""

    receipts: Sequence[Receipt] = field(default=())
    inbound: Sequence[Inbound] = field(default=())
    wishes: Sequence[Wish] = field(default=())
    notices: Sequence[Notice] = field(default=())
    templates: Sequence[TemplateNews] = field(default=())
