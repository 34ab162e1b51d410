"""Reading a stored webhook, whichever provider sent it. Pure."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from outbound_slo.vocabulary.errors import ErrorPolicy
from outbound_slo.vocabulary.statuses import Channel
from sender.meta_callbacks import read_meta
from sender.news import News
from sender.sendgrid_events import read_sendgrid
from sender.twilio_callbacks import read_twilio


class Caller(StrEnum):
    """Who calls us: the `provider` label, and the last part of the route."""

    WHATSAPP = "whatsapp"
    TWILIO = "twilio"
    SENDGRID = "sendgrid"

    @property
    def channel(self) -> Channel:
        """The channel whose messages it tells of."""
        return _CHANNELS[self]


_CHANNELS = {
    Caller.WHATSAPP: Channel.WHATSAPP,
    Caller.TWILIO: Channel.SMS,
    Caller.SENDGRID: Channel.EMAIL,
}

_READERS: Mapping[Caller, Callable[[object, float, ErrorPolicy], News]] = MappingProxyType(
    {
        Caller.WHATSAPP: read_meta,
        Caller.TWILIO: read_twilio,
        Caller.SENDGRID: read_sendgrid,
    }
)


def read_news(caller: Caller, body: object, received_s: float, policy: ErrorPolicy) -> News:
    """Read a decoded body; `received_s` is when it came, in epoch seconds."""
    return _READERS[caller](body, received_s, policy)
