"""Runbook 001's categories of dead letters, which appear in its report and nowhere else (D34)."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_TEMPLATES = "Fix/approve template in Meta"
_PARAMETERS = "Fix template parameters in code"
_LATER = "Retry after 24 hours"


@dataclass(frozen=True, slots=True)
class Triage:
    """What 001 says of a code.

    Attributes:
        category: Of procedure 1, "Manual Review & Triage".
        group: Of step 2, "Analyze Error Distribution".
        action: What it recommends.
        retryable: Whether it would be sent again.

    """

    category: str
    group: str
    action: str
    retryable: bool = False

    @property
    def mendable(self) -> bool:
        """Whether the message is sound and goes once somebody has mended its template."""
        return self.action == _TEMPLATES


UNCATEGORIZED: Final = Triage("Uncategorized", "Other", "Manual investigation required")

_BY_CODE: Final = MappingProxyType(
    {
        code: triage
        for codes, triage in (
            (
                ("131021", "131031"),
                Triage(
                    "Invalid Phone Number", "Invalid Recipient", "Update recipient phone number"
                ),
            ),
            (
                ("133000",),
                Triage("Blocked/Opted Out", "Invalid Recipient", "Respect opt-out, do not retry"),
            ),
            (
                ("470",),
                Triage(
                    "Session Expired",
                    "Invalid Recipient",
                    "Use template message or wait for session",
                ),
            ),
            (("133004",), Triage("Template Not Found", "Template Error", _TEMPLATES)),
            (("133005",), Triage("Template Rejected", "Template Error", _TEMPLATES)),
            (("133006",), Triage("Template Paused", "Template Error", _TEMPLATES)),
            (("133008",), Triage("Template Parameter Missing", "Template Error", _PARAMETERS)),
            (("133009",), Triage("Template Parameter Invalid", "Template Error", _PARAMETERS)),
            (("133010",), Triage("Template Not Approved", "Template Error", _TEMPLATES)),
            (
                ("0", "1"),
                Triage("Generic Temporary Error", "Temporary Error", _LATER, retryable=True),
            ),
            (("131016",), Triage("Service Unavailable", "Temporary Error", _LATER, retryable=True)),
            (
                ("131026",),
                Triage("Message Undeliverable", "Temporary Error", _LATER, retryable=True),
            ),
            (
                ("132001",),
                Triage("Rate Limit Parameter Invalid", "Temporary Error", _LATER, retryable=True),
            ),
            (
                ("130", "3", "132069", "80007"),
                Triage("Rate Limit Exceeded", "Rate Limit", "Increase quota or wait for reset"),
            ),
        )
        for code in codes
    }
)


def sort_out(code: str | None) -> Triage:
    """Tell what 001 says of a code."""
    return _BY_CODE.get(code or "", UNCATEGORIZED)
