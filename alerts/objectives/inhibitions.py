"""What keeps quiet while a budget burns: one alert for one trouble, the fastest that speaks."""

from typing import Any

from alerts.objectives.burn import BURN_TIERS
from outbound_slo.vocabulary.alerts import ALL_CHANNELS, AlertName, Slo
from outbound_slo.vocabulary.statuses import Channel

_SAME = ["slo", "channel", "org_id"]
# A provider that is down explains these; the exporter's availability it does not.
_EXPLAINED = (Slo.SEND_SUCCESS, Slo.SEND_LATENCY, Slo.DELIVERY_LATENCY)


def burn_inhibitions() -> list[dict[str, Any]]:
    """Write Alertmanager's inhibit rules for the burn tiers.

    A faster tier silences the slower ones of the same objective, channel and organisation. While a
    provider is down or nothing gets out, the two paging tiers say nothing that the page about it
    does not say; the tickets come through, since the budget is spent all the same.
    """
    burn = f'alertname="{AlertName.ERROR_BUDGET_BURN}"'
    names = [tier.name for tier in BURN_TIERS]
    slower = [
        {
            "source_matchers": [burn, f'burn_tier="{name}"'],
            "target_matchers": [burn, f'burn_tier=~"{"|".join(names[:position])}"'],
            "equal": list(_SAME),
        }
        for position, name in enumerate(names)
        if position
    ]
    paging = "|".join(tier.name for tier in BURN_TIERS if tier.is_fast)
    explained = [burn, f'burn_tier=~"{paging}"', f'slo=~"{"|".join(_EXPLAINED)}"']
    return [
        *slower,
        {
            "source_matchers": [f'alertname="{AlertName.PROVIDER_DOWN}"'],
            "target_matchers": [
                *explained, f'channel=~"{Channel.WHATSAPP.label}|{ALL_CHANNELS}"',
            ],
        },
        {
            "source_matchers": [f'alertname="{AlertName.OUTAGE}"'],
            "target_matchers": explained,
        },
    ]  # fmt: skip
