"""The demo's customers and their messages: seeded, so that a run can be repeated.

Shares follow what the runbooks describe: WhatsApp carries most, SMS and e-mail the rest; most
recipients have consented, few have not or no more; some have an open 24-hour window and get
free-form text, the others templates.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from outbound_slo.demo import content
from outbound_slo.demo.content import Country, Organisation, TemplateShape
from outbound_slo.vocabulary.statuses import Channel
from sender.enqueue import NewMessage

_Choice = TypeVar("_Choice")

CHANNEL_SHARES = {Channel.WHATSAPP: 70, Channel.SMS: 20, Channel.EMAIL: 10}
"""Percent of the messages."""

PEOPLE = 480
UNREACHABLE_PEOPLE = 5
OPEN_WINDOW_SHARE = 0.35
EXPIRED_WINDOW_SHARE = 0.25
FREE_TEXT_SHARE = 0.6
"""Of the messages to people whose window is open."""
MISJUDGED_WINDOW_SHARE = 0.01
"""Free-form text although the window is closed: the sender has to refuse it (000, pattern 1)."""

REPEATED_REQUEST_SHARE = 0.02
"""Of the requests to send, those that the caller makes twice."""


class Consent(StrEnum):
    """What a recipient has said to messages on a channel."""

    GRANTED = "GRANTED"
    REVOKED = "REVOKED"
    MISSING = "MISSING"


CONSENT_SHARES = {Consent.GRANTED: 97, Consent.REVOKED: 2, Consent.MISSING: 1}
"""Percent of the people, per channel."""


class Window(StrEnum):
    """State of the 24-hour session window with a recipient."""

    OPEN = "OPEN"
    EXPIRED = "EXPIRED"
    NEVER = "NEVER"


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient of one organisation, with the dossier that messages are about.

    Attributes:
        number: Position in the workload, from 1; also the dossier's id.
        phone: E.164 number.
        consents: By channel.
        reachable: False where the provider knows no such WhatsApp user.

    """

    number: int
    organisation: Organisation
    language: str
    name: str
    phone: str
    email: str
    consents: dict[Channel, Consent]
    window: Window
    reachable: bool


class Workload:
    """People and an endless row of messages to them, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        """Draw the people; `seed` decides everything."""
        self._rng = random.Random(seed)  # noqa: S311 - repeatable test data, nothing secret
        self._run = f"demo-{seed}"
        self._composed = 0
        self.people: Sequence[Person] = self._draw_people()

    def compose(self) -> NewMessage:
        """Write the next message."""
        self._composed += 1
        rng = self._rng
        channel = _pick(rng, CHANNEL_SHARES)
        person = rng.choice(self.people)
        facts = self._draw_facts(person)
        template, subject, payload = self._write(channel, person, facts)
        return NewMessage(
            org_id=person.organisation.org_id,
            channel=channel,
            to_recipient=person.email if channel is Channel.EMAIL else person.phone,
            template_code=template,
            subject=subject,
            payload=payload,
            idempotency_key=f"{self._run}-{self._composed}",
            dossier_id=person.number,
            session_id=f"conversation-{person.number}",
            run_id=self._run,
            created_by="demo",
        )

    def compose_batch(self, count: int) -> list[NewMessage]:
        """Write the next `count` messages; a few of them are asked for twice, one after the other.

        A caller whose request timed out asks again with the same idempotency key: still one
        message.
        """
        batch: list[NewMessage] = []
        for _ in range(count):
            message = self.compose()
            repeats = 2 if self._rng.random() < REPEATED_REQUEST_SHARE else 1
            batch += [message] * repeats
        return batch

    def _write(
        self, channel: Channel, person: Person, facts: dict[str, str]
    ) -> tuple[str | None, str | None, dict[str, object]]:
        """Choose template or free text; gives template code, subject and payload."""
        rng = self._rng
        if channel is Channel.WHATSAPP and self._writes_freely(person):
            text = rng.choice(content.FREE_TEXTS[person.language]).format_map(facts)
            return None, None, {"text": text}
        shape = _pick(rng, {shape: shape.weight for shape in content.TEMPLATES})
        if channel is Channel.WHATSAPP:
            parameters = [facts[name] for name in shape.parameters]
            return shape.code, None, {"language": person.language, "parameters": parameters}
        subject = _subject(shape, person) if channel is Channel.EMAIL else None
        return shape.code, subject, {"text": shape.text.format_map(facts)}

    def _writes_freely(self, person: Person) -> bool:
        share = FREE_TEXT_SHARE if person.window is Window.OPEN else MISJUDGED_WINDOW_SHARE
        return self._rng.random() < share

    def _draw_facts(self, person: Person) -> dict[str, str]:
        rng = self._rng
        return {
            "name": person.name,
            "organisation": person.organisation.name,
            "day": rng.choice(content.DAYS),
            "hour": f"{rng.randint(9, 18)}:{rng.choice(('00', '15', '30', '45'))}",
            "address": rng.choice(content.ADDRESSES),
            "amount": f"{rng.randint(40, 900)} 000 €",
            "reference": f"D-{2000 + person.number}",
            "document": rng.choice(content.DOCUMENTS),
        }

    def _draw_people(self) -> list[Person]:
        weights = {org: org.weight for org in content.ORGANISATIONS}
        people: list[Person] = []
        phones: set[str] = set()
        for number in range(1, PEOPLE + 1):
            organisation = _pick(self._rng, weights)
            country = self._rng.choice(organisation.countries)
            reachable = number > UNREACHABLE_PEOPLE
            phone = self._draw_phone(country, phones, reachable=reachable)
            people.append(self._draw_person(number, organisation, country, phone, reachable))
        return people

    def _draw_person(
        self, number: int, organisation: Organisation, country: Country, phone: str, reachable: bool
    ) -> Person:
        rng = self._rng
        drawn = rng.random()
        window = Window.NEVER
        if drawn < OPEN_WINDOW_SHARE:
            window = Window.OPEN
        elif drawn < OPEN_WINDOW_SHARE + EXPIRED_WINDOW_SHARE:
            window = Window.EXPIRED
        return Person(
            number=number,
            organisation=organisation,
            language=country.language,
            name=rng.choice(content.FIRST_NAMES[country.language]),
            phone=phone,
            # example.org is reserved: nobody has these addresses.
            email=f"client{number}@example.org",
            consents={channel: _pick(rng, CONSENT_SHARES) for channel in Channel},
            window=window,
            reachable=reachable,
        )

    def _draw_phone(self, country: Country, taken: set[str], *, reachable: bool) -> str:
        prefix, digits = country.prefix, country.digits
        if not reachable:
            prefix = content.UNREACHABLE_PREFIX
            digits = len(content.FRANCE.prefix) + content.FRANCE.digits - len(prefix)
        while True:
            phone = f"{prefix}{self._rng.randrange(10**digits):0{digits}}"
            if phone not in taken:
                taken.add(phone)
                return phone


def _subject(shape: TemplateShape, person: Person) -> str:
    title = shape.code.replace("_", " ").capitalize()
    return f"{person.organisation.name}: {title}"


def _pick(rng: random.Random, weights: dict[_Choice, int]) -> _Choice:
    return rng.choices(list(weights), list(weights.values()))[0]
