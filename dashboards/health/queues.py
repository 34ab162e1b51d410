"""What waits on every channel, for alerts that look at all of them."""

from grafanalib import core

from dashboards.boards import FAILED_TRACES
from dashboards.frames import Frame, Query
from dashboards.links import link_traces
from dashboards.panels import draw_lines
from dashboards.promql import write_promql
from dashboards.sections import Section
from outbound_slo.vocabulary import thresholds as t
from outbound_slo.vocabulary.panels import Panel


def build_section() -> Section:
    """Build the section."""
    return Section("All channels", (_attempts(), _queued(), _stuck(), _dead(), _pauses()))


def _attempts() -> core.TimeSeries:
    frame = Frame(
        Panel.ATTEMPTS_BY_CHANNEL.id,
        "Attempts within 5 min",
        (0, 0, 8, 7),
        "short",
        "Attempts that ended on each channel, and those of them that the provider accepted. "
        "Attempts without any accepted, on all channels, are an outage.",
        (link_traces("Failed traces", FAILED_TRACES),),
        told=(t.ALERT_ALL_REFUSED, t.ALERT_NO_TRAFFIC),
    )
    return draw_lines(
        frame,
        [
            Query(write_promql("max by (channel) ($ATTEMPTS_5M)"), "{{channel}}"),
            Query(write_promql("max by (channel) ($ACCEPTED_5M)"), "{{channel}} accepted"),
        ],
        axis="Attempts",
    )


def _queued() -> core.TimeSeries:
    frame = Frame(
        Panel.QUEUED_BY_CHANNEL.id,
        "Queued on all channels",
        (8, 0, 8, 7),
        "short",
        "Messages in QUEUED by channel, and together.",
        lines=(
            t.ALERT_QUEUE_500,
            t.ALERT_QUEUE_1000,
            t.ALERT_QUEUE_2000,
            t.ALERT_QUEUE_5000,
            t.ALERT_QUEUE_10000,
        ),
    )
    return _by_channel(frame, 'max by (channel) ($QUEUE_DEPTH{status="$queued"})')


def _dead() -> core.TimeSeries:
    frame = Frame(
        Panel.DEAD_BY_CHANNEL.id,
        "Dead letters on all channels",
        (0, 7, 12, 7),
        "short",
        "Failed messages whose attempts are used up, by channel, and together, without those of "
        "recipients who opted out or never consented: nobody has anything to mend there.",
        (link_traces("Failed traces", FAILED_TRACES),),
        lines=(t.ALERT_DEAD_100, t.ALERT_DEAD_500, t.ALERT_DEAD_1000, t.ALERT_DEAD_2000),
    )
    return _by_channel(frame, "max by (channel) ($DEAD_UNWANTED)")


def _by_channel(frame: Frame, expression: str) -> core.TimeSeries:
    each = write_promql(expression)
    return draw_lines(
        frame, [Query(each, "{{channel}}"), Query(f"sum({each})", "Together")], axis="Messages"
    )


def _stuck() -> core.TimeSeries:
    frame = Frame(
        Panel.STUCK_BY_REASON.id,
        "Stuck messages by reason",
        (16, 0, 8, 7),
        "short",
        "Messages of the channel that should have moved on; one message may meet several reasons. "
        "Planned waits are no reason.",
        lines=(t.ALERT_STUCK_SENDING, t.ALERT_STUCK_QUEUED),
        promise=t.SLA_STUCK,
    )
    stuck = write_promql('max by (reason) ($STUCK{channel="$channel"})')
    return draw_lines(frame, [Query(stuck, "{{reason}}")], axis="Messages")


def _pauses() -> core.TimeSeries:
    frame = Frame(
        Panel.PAUSES.id,
        "Paused channels",
        (12, 7, 12, 7),
        "s",
        "For how long somebody has paused each channel; 0 where it is not paused.",
        lines=(t.ALERT_PAUSE_4H, t.ALERT_PAUSE_24H),
    )
    paused = write_promql("max by (channel) ($PAUSED_SINCE)")
    return draw_lines(frame, [Query(paused, "{{channel}}")], axis="Paused for")
