"""What the demo's organisations write: templates, free-form texts, and whom they are for.

Invented estate agencies, as in runbooks 000 and 001. Texts are in the languages of their
recipients, with accents and Arabic script, since that is what breaks first.
"""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Country:
    """How a country's mobile numbers look.

    Attributes:
        prefix: Country code and leading digits that make a mobile number, with `+`.
        digits: How many digits follow.

    """

    name: str
    language: str
    prefix: str
    digits: int


FRANCE = Country("France", "fr", "+3361", 7)
BELGIUM = Country("Belgium", "fr", "+3247", 7)
SPAIN = Country("Spain", "es", "+3461", 7)
MOROCCO = Country("Morocco", "ar", "+21261", 7)
PORTUGAL = Country("Portugal", "pt", "+35191", 7)
UNITED_STATES = Country("United States", "en", "+1202555", 4)

UNREACHABLE_PREFIX = "+3363399"
"""French numbers that the simulator says have no WhatsApp (000: code 131021, never retried)."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """A customer of the platform, with its own WhatsApp number.

    Attributes:
        phone_number_id: Meta's id of its business number.
        quota_used: Messages of the current window before the demo starts.
        quota_limit: Messages per window (`whatsapp_rate_limit`).
        weight: Its share of the traffic, relative to the others'.

    """

    org_id: str
    name: str
    countries: tuple[Country, ...]
    phone_number_id: str
    quota_used: int
    quota_limit: int
    weight: int


ORGANISATIONS = (
    Organisation(
        "org-agence-lumiere-101", "Agence Lumière", (FRANCE, BELGIUM),
        "106540352242922", 2100, 10000, 6,
    ),
    Organisation(
        "org-casa-mar-205", "Casa Mar Inmobiliaria", (SPAIN, PORTUGAL),
        "106540352242923", 640, 10000, 4,
    ),
    Organisation(
        "org-riad-atlas-318", "Riad Atlas", (MOROCCO, FRANCE),
        "106540352242924", 3900, 10000, 3,
    ),
    Organisation(
        "org-potomac-homes-442", "Potomac Homes", (UNITED_STATES,),
        "106540352242925", 0, 5000, 2,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TemplateShape:
    """An approved template and the values that fill it.

    Attributes:
        parameters: What each of its placeholders takes, by the name of a value that the workload
            draws.
        text: The same as an SMS, with those names in braces.
        weight: Its share among templates.

    """

    code: str
    parameters: tuple[str, ...]
    text: str
    weight: int


TEMPLATES = (
    TemplateShape(
        "appointment_reminder", ("name", "day", "hour", "address"),
        "{name}, your visit of {address} is on {day} at {hour}.", 40,
    ),
    TemplateShape(
        "payment_receipt", ("name", "amount", "reference"),
        "{name}, we have received {amount} for {reference}. Thank you.", 25,
    ),
    TemplateShape(
        "welcome_new_client", ("name", "organisation"),
        "Welcome to {organisation}, {name}! Answer this message whenever you have a question.", 15,
    ),
    TemplateShape(
        "document_request", ("name", "document", "reference"),
        "{name}, please send us your {document} for {reference}.", 14,
    ),
    TemplateShape(
        "urgent_notification", ("name", "address", "hour"),
        "{name}, the visit of {address} at {hour} cannot take place. Please call us.", 6,
    ),
)  # fmt: skip

FREE_TEXTS = MappingProxyType(
    {
        "fr": (
            "Bonjour {name}, le propriétaire accepte votre offre de {amount} 🎉",
            "Oui, la cave est comprise. Je vous envoie le plan de {address} ce soir.",
            "C'est noté pour {day} à {hour}, à bientôt !",
        ),
        "es": (
            "Hola {name}, ¿le viene bien {day} a las {hour}?",
            "Sí, el garaje está incluido en los {amount}.",
            "Le mando las fotos de {address} en un momento.",
        ),
        "pt": (
            "Olá {name}, a visita de {address} fica para {day} às {hour}.",
            "O valor do condomínio já está incluído nos {amount}.",
        ),
        "ar": (
            "مرحبا {name}، موعدنا يوم {day} على الساعة {hour}.",
            "نعم، السعر {amount} يشمل موقف السيارة.",
        ),
        "en": (
            "Hi {name}, the owner can do {day} at {hour}. Does that work?",
            "Yes, parking at {address} is included.",
            "The inspection report for {reference} is attached to your file.",
        ),
    }
)

FIRST_NAMES = MappingProxyType(
    {
        "fr": ("Camille", "Zoé", "Étienne", "Aïcha", "Loïc", "Inès", "Hugo", "Maëlle"),
        "es": ("Lucía", "Íñigo", "Martín", "Begoña", "Álvaro", "Nuria"),
        "pt": ("João", "Beatriz", "Inês", "Tomás"),
        "ar": ("ياسمين", "يوسف", "سلمى", "أمين", "هدى"),
        "en": ("Avery", "Noah", "Priya", "Diego", "Mei", "Sam"),
    }
)

ADDRESSES = (
    "12 rue des Lilas",
    "Calle Mayor 8",
    "4 Harbour Walk",
    "Rua do Sol 21",
    "7 bd Zerktouni",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
DOCUMENTS = ("proof of income", "identity card", "last three payslips", "insurance certificate")
