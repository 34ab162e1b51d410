"""The providers' addresses, credentials and limits."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from outbound_slo.settings.environment import Environment, variable
from outbound_slo.vocabulary.errors import ErrorPolicy

Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _read_instant(text: object) -> object:
    """Read a day or an instant in ISO 8601; without a zone it is UTC, a day its beginning."""
    if not isinstance(text, str):
        return text
    if not text.strip():
        return None
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no date or time in ISO 8601, such as 2027-01-31 or 2027-01-31T18:00Z"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


Instant = Annotated[datetime | None, BeforeValidator(_read_instant)]

_HTTP_ADDRESS = r"^https?://[^\s/?#]+"


class ProviderSettings(Environment):
    """Addresses and credentials of the providers (002; facts of 2026 for the API version, D13)."""

    whatsapp_enabled: bool = Field(
        default=True, validation_alias=variable("WHATSAPP_PROVIDER_ENABLED")
    )
    whatsapp_api_url: str = Field(
        default="https://graph.facebook.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=variable("WHATSAPP_API_URL"),
    )
    whatsapp_api_version: str = Field(
        default="v26.0", pattern=r"^v\d+\.\d+$", validation_alias=variable("WHATSAPP_API_VERSION")
    )
    whatsapp_phone_number_id: str = Field(
        default="", validation_alias=variable("WHATSAPP_PHONE_NUMBER_ID")
    )
    whatsapp_business_account_id: str = Field(
        default="",
        validation_alias=variable("WHATSAPP_BUSINESS_ACCOUNT_ID"),
        description="Of organisations without one of their own; `ops templates` asks it.",
    )
    whatsapp_access_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("WHATSAPP_ACCESS_TOKEN")
    )
    whatsapp_access_token_expires_at: Instant = Field(
        default=None,
        validation_alias=variable("WHATSAPP_ACCESS_TOKEN_EXPIRES_AT"),
        description="When the token ends, in UTC unless it names a zone: 2027-01-31 or "
        "2027-01-31T18:00Z; unset: not watched, as for a system user's that never ends.",
    )
    whatsapp_app_secret: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("WHATSAPP_APP_SECRET")
    )
    whatsapp_previous_app_secret: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("WHATSAPP_PREVIOUS_APP_SECRET")
    )
    whatsapp_verify_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("WHATSAPP_VERIFY_TOKEN")
    )
    secrets_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=variable("OUTBOUND_SECRETS_KEY"),
        description="Key of pgp_sym_encrypt for what whatsapp_provider_config has encrypted.",
    )
    whatsapp_error_policy: ErrorPolicy = Field(
        default=ErrorPolicy.RUNBOOK, validation_alias=variable("WHATSAPP_ERROR_POLICY")
    )
    whatsapp_per_second: Rate = Field(
        default=80.0,
        validation_alias=variable("WHATSAPP_MESSAGES_PER_SECOND"),
        description="For all organisations together; Meta's default for one number. 0: no limit.",
    )
    twilio_api_url: str = Field(
        default="https://api.twilio.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=variable("TWILIO_API_URL"),
    )
    twilio_account_sid: str = Field(default="", validation_alias=variable("TWILIO_ACCOUNT_SID"))
    twilio_auth_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("TWILIO_AUTH_TOKEN")
    )
    twilio_previous_auth_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=variable("TWILIO_PREVIOUS_AUTH_TOKEN"),
        description="Still accepted under callbacks while the token is changed.",
    )
    twilio_from: str = Field(default="", validation_alias=variable("TWILIO_FROM_NUMBER"))
    twilio_per_second: Rate = Field(
        default=0.0,
        validation_alias=variable("TWILIO_MESSAGES_PER_SECOND"),
        description="0: no limit; Twilio queues what its numbers can't send at once.",
    )
    sendgrid_api_url: str = Field(
        default="https://api.sendgrid.com",
        pattern=_HTTP_ADDRESS,
        validation_alias=variable("SENDGRID_API_URL"),
    )
    sendgrid_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=variable("SENDGRID_API_KEY")
    )
    sendgrid_webhook_public_key: str = Field(
        default="",
        validation_alias=variable("SENDGRID_WEBHOOK_PUBLIC_KEY"),
        description="Verification key of the signed event webhook, base64 as SendGrid shows it.",
    )
    sendgrid_previous_webhook_public_key: str = Field(
        default="",
        validation_alias=variable("SENDGRID_PREVIOUS_WEBHOOK_PUBLIC_KEY"),
        description="Still accepted while the key is changed.",
    )
    sendgrid_from: str = Field(default="", validation_alias=variable("SENDGRID_FROM_ADDRESS"))
    sendgrid_per_second: Rate = Field(
        default=0.0,
        validation_alias=variable("SENDGRID_MESSAGES_PER_SECOND"),
        description="0: no limit.",
    )
