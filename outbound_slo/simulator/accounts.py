"""The WhatsApp Business Account that the simulator plays: numbers, templates, service windows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from outbound_slo.simulator.limits import Limits, Throttle

WINDOW_SECONDS = 24 * 3600
"""How long free text is allowed after the user's last message, by Meta's service window."""


class TemplateStatus(StrEnum):
    """Where a template stands at Meta; only an approved one can be sent."""

    APPROVED = "APPROVED"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Template:
    """A message template of the account."""

    name: str
    status: TemplateStatus = TemplateStatus.APPROVED
    language: str = "en"
    category: str = "UTILITY"


_TELLING_NAMES = (
    ("paused_", TemplateStatus.PAUSED),
    ("disabled_", TemplateStatus.DISABLED),
    ("rejected_", TemplateStatus.REJECTED),
)


class MetaAccount:
    """What Meta knows about one business.

    Without a list of templates every name is known but those that begin with `missing_`, and
    `paused_`, `disabled_` and `rejected_` say how a template stands; without a list of numbers
    every id made of digits is ours.
    """

    def __init__(
        self,
        *,
        account_id: str = "102290129340398",
        phone_number_ids: Iterable[str] = (),
        templates: Iterable[Template] = (),
        enforces_window: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Set up the account; see the class."""
        self.throttle = Throttle(limits or Limits())
        self.account_id = account_id
        self._numbers = frozenset(phone_number_ids)
        self._templates = {template.name: template for template in templates}
        self._enforces_window = enforces_window
        self._last_inbound: dict[str, float] = {}

    @property
    def templates(self) -> tuple[Template, ...]:
        """The templates in the order they were given."""
        return tuple(self._templates.values())

    def replace_templates(self, templates: Iterable[Template]) -> None:
        """Put these templates in the place of all others."""
        self._templates = {template.name: template for template in templates}

    def find_template(self, name: str) -> Template | None:
        """Return a template by name, or None where the account has others but not this one."""
        if self._templates:
            return self._templates.get(name)
        if name.startswith("missing_"):
            return None
        for beginning, status in _TELLING_NAMES:
            if name.startswith(beginning):
                return Template(name, status)
        return Template(name)

    def note_status(self, name: str, status: TemplateStatus) -> None:
        """Change how one template stands; nothing happens where every name is known."""
        if name in self._templates:
            self._templates[name] = replace(self._templates[name], status=status)

    def has_object(self, object_id: str) -> bool:
        """Tell whether a number or account id belongs to this business."""
        if not self._numbers:
            return object_id.isascii() and object_id.isdigit()
        return object_id in self._numbers or object_id == self.account_id

    def note_inbound(self, sender: str, now: float) -> None:
        """Open the service window of a user who wrote (digits only; epoch seconds)."""
        self._last_inbound[sender] = now

    def is_window_open(self, recipient: str, now: float) -> bool:
        """Tell whether free text may be sent to a user."""
        if not self._enforces_window:
            return True
        return now - self._last_inbound.get(recipient, float("-inf")) < WINDOW_SECONDS
