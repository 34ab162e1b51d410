"""The dashboards of a running demo without Grafana: live while it runs, as files at its end."""

import time
from contextlib import AbstractContextManager
from pathlib import Path

from alerts.timing import Timing
from dashboards.catalogue import all_dashboards
from dashboards.preview.command import save_previews
from dashboards.preview.frames import View, collect_dashboard
from dashboards.preview.moments import TimeRange
from dashboards.preview.server import Offer, served
from outbound_slo.embedded.prometheus_api import PrometheusApi
from outbound_slo.vocabulary.mistakes import UserMistake

DIRECTORY = "dashboards"
"""In the demo's directory: a page of each dashboard, and its picture where there is a browser."""

_LIVE_RANGE = "now-15m"
_REFRESH = "5s"
_RUNBOOKS = "runbooks"


def serve_previews(prometheus: PrometheusApi, timing: Timing) -> AbstractContextManager[str]:
    """Serve live pages on a free loopback port while the context lasts; gives their address.

    Raises:
        UserMistake: (on entry) no port is free.

    """
    # A demo is over before a dashboard of production would be refreshed a few times.
    documents = tuple({**each, "refresh": _REFRESH} for each in all_dashboards().values())
    return served(Offer(documents, prometheus, {}, _LIVE_RANGE, timing.scrape_interval_s))


def keep_previews(
    prometheus: PrometheusApi, timing: Timing, runbooks: str, lasted_s: float, directory: Path
) -> Path | None:
    """Write every dashboard as it is now, over the whole run; gives the directory.

    A picture needs a browser, and a demo needs no picture: what can't be made is left out. None:
    nothing could be made.
    """
    end_s = time.time()
    chosen = TimeRange(end_s - max(lasted_s, 60.0), end_s)
    view = View(chosen, "", "", {_RUNBOOKS: runbooks}, timing.scrape_interval_s)
    place = directory / DIRECTORY
    try:
        place.mkdir(exist_ok=True)
        frames = [
            collect_dashboard(document, prometheus, view) for document in all_dashboards().values()
        ]
        save_previews(frames, place)
    except (UserMistake, OSError):
        return None
    return place
