"""The platform's accounts with providers: what sends through them, what checks their webhooks."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from outbound_slo.settings import ProviderSettings
from outbound_slo.vocabulary.mistakes import UserMistake
from outbound_slo.vocabulary.statuses import Channel
from sender.attempt import Provider
from sender.outbox import Pool
from sender.providers.answer import HttpCaller
from sender.providers.sendgrid import SendGridProvider
from sender.providers.twilio import TwilioProvider
from sender.providers.whatsapp import WhatsAppProvider
from sender.secrets import SecretStore, TokenStore
from sender.signatures import SendGridKey, load_sendgrid_key
from sender.webhook_routes import WebhookSecrets

_TWILIO_PATH = "/webhooks/twilio"


def build_providers(
    settings: ProviderSettings, caller: HttpCaller, public_url: str, tokens: TokenStore
) -> Mapping[Channel, Provider]:
    """Build the providers that have credentials and are switched on; other channels wait."""
    providers: dict[Channel, Provider] = {}
    token = settings.whatsapp_access_token.get_secret_value()
    if settings.whatsapp_enabled and (token or settings.secrets_key.get_secret_value()):
        providers[Channel.WHATSAPP] = WhatsAppProvider(
            caller,
            base_url=settings.whatsapp_api_url,
            version=settings.whatsapp_api_version,
            number_id=settings.whatsapp_phone_number_id,
            token=token,
            tokens=tokens,
        )
    if settings.twilio_account_sid:
        providers[Channel.SMS] = TwilioProvider(
            caller,
            base_url=settings.twilio_api_url,
            account_sid=settings.twilio_account_sid,
            token=settings.twilio_auth_token.get_secret_value(),
            sender=settings.twilio_from,
            callback_url=f"{public_url.rstrip('/')}{_TWILIO_PATH}" if public_url else "",
        )
    if settings.sendgrid_api_key.get_secret_value():
        providers[Channel.EMAIL] = SendGridProvider(
            caller,
            base_url=settings.sendgrid_api_url,
            api_key=settings.sendgrid_api_key.get_secret_value(),
            sender=settings.sendgrid_from,
        )
    return providers


def build_secrets(settings: ProviderSettings, pool: Pool, public_url: str) -> WebhookSecrets:
    """Collect what webhooks are checked with.

    Raises:
        UserMistake: A key of SendGrid's is not one.

    """
    app_secrets = (settings.whatsapp_app_secret, settings.whatsapp_previous_app_secret)
    auth_tokens = (settings.twilio_auth_token, settings.twilio_previous_auth_token)
    keys = {
        "SENDGRID_WEBHOOK_PUBLIC_KEY": settings.sendgrid_webhook_public_key,
        "SENDGRID_PREVIOUS_WEBHOOK_PUBLIC_KEY": settings.sendgrid_previous_webhook_public_key,
    }
    return WebhookSecrets(
        whatsapp=SecretStore(
            pool, fixed=_open_up(app_secrets), key=settings.secrets_key.get_secret_value()
        ),
        whatsapp_verify_token=settings.whatsapp_verify_token.get_secret_value(),
        twilio=_open_up(auth_tokens),
        twilio_url=f"{public_url.rstrip('/')}{_TWILIO_PATH}" if public_url else "",
        sendgrid=[_load_key(name, text) for name, text in keys.items() if text],
    )


def _open_up(secrets: Iterable[SecretStr]) -> list[str]:
    return [text for secret in secrets if (text := secret.get_secret_value())]


def _load_key(name: str, text: str) -> SendGridKey:
    try:
        return load_sendgrid_key(text)
    except ValueError as error:
        raise UserMistake(
            f"{name} has a value that does not fit: {error}",
            "Copy the verification key of the signed event webhook from SendGrid's settings",
        ) from error
