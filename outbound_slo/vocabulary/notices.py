"""What providers tell about accounts, numbers and templates, and how grave it is.

Source: Meta's webhook fields as of September 2026.
"""

from enum import StrEnum


class NoticeKind(StrEnum):
    """Meta's name of the webhook field: the `kind` label."""

    TEMPLATE_STATUS = "message_template_status_update"
    TEMPLATE_QUALITY = "message_template_quality_update"
    ACCOUNT_UPDATE = "account_update"
    ACCOUNT_ALERT = "account_alerts"
    ACCOUNT_REVIEW = "account_review_update"
    CAPABILITY = "business_capability_update"
    NUMBER_QUALITY = "phone_number_quality_update"
    NUMBER_NAME = "phone_number_name_update"


class NoticeSeverity(StrEnum):
    """How grave it is: sending stops or is about to, gets worse, or goes on."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
