"""The kinds of panels that the dashboards are made of, as grafanalib objects.

grafanalib 0.7.1 has the panels but not today's form of them: `dashboards.modernizer` brings what
it emits up to date. Here only content is said: title, place, unit, lines, queries, links.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from grafanalib import core

from dashboards.frames import Frame, Json, Query
from dashboards.lines import Step, choose_steps, mark
from outbound_slo.vocabulary.thresholds import Subject

NOTHING = "No data"
"""What a panel says where Prometheus has no series for it."""


def draw_lines(
    frame: Frame,
    queries: Sequence[Query],
    *,
    axis: str,
    subject: Subject | None = None,
    steps: Sequence[Step] = (),
    overrides: Sequence[Json] = (),
    nothing: str = NOTHING,
    bars: bool = False,
    stacked: bool = False,
    minimum: float | None = 0,
    mappings: Sequence[Json] = (),
    reaches: float | None = None,
) -> core.TimeSeries:
    """Draw series over time, with the bad range filled and its edge drawn.

    Args:
        frame: What every panel has.
        queries: What is drawn.
        axis: The axis' label.
        subject: Whose lines a runbook draws; else the frame's own are drawn.
        steps: Lines that come from elsewhere, such as an objective.
        overrides: Settings of single series.
        nothing: What the panel says without any series.
        bars: Draw bars instead of lines: for counts per time.
        stacked: Stack the series: for parts of a whole.
        minimum: Lowest value of the axis; None where values may be negative.
        mappings: Words for values.
        reaches: What the axis reaches at least, so that a line there is seen; None leaves it to the
            data.

    """
    marked = mark(steps or choose_steps(subject, frame.lines), only_bad=True)
    return core.TimeSeries(
        **frame.arguments(queries),
        unit=frame.unit,
        axisLabel=axis,
        drawStyle="bars" if bars else "line",
        lineWidth=2,
        fillOpacity=40 if bars or stacked else 5,
        stacking={"mode": "normal", "group": "A"} if stacked else {},
        legendDisplayMode="table",
        legendCalcs=["lastNotNull", "max"],
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=marked,
        thresholdsStyleMode="line+area" if marked else "off",
        overrides=list(overrides),
        valueMin=minimum,
        mappings=list(mappings),
        extraJson={
            "fieldConfig": {
                "defaults": {
                    "noValue": nothing,
                    **({} if reaches is None else {"custom": {"axisSoftMax": reaches}}),
                }
            }
        },
    )


def show_value(
    frame: Frame,
    queries: Sequence[Query],
    *,
    subject: Subject | None = None,
    steps: Sequence[Step] = (),
    mappings: Sequence[core.StatValueMappings | Json] = (),
    background: bool = False,
    curve: bool = False,
    names: bool = False,
    nothing: str = NOTHING,
    decimals: int | None = None,
    overrides: Sequence[Json] = (),
    extra: Json | None = None,
) -> core.Stat:
    """Show a big number: the value now, or the last of a curve that is drawn behind it.

    A tile without a curve asks for this instant alone. Of a range Grafana would show the last value
    that there was, however old: green for hours after everything has died.

    Args:
        frame: What every panel has.
        queries: What is shown.
        subject: Whose colours a runbook gives; else the frame's own lines colour the value.
        steps: Colours that come from elsewhere, such as an objective.
        mappings: Words for values.
        background: Colour the tile instead of the number.
        curve: Draw the course behind the number.
        names: Show the series' name even where there is only one.
        nothing: What the panel says without any series.
        decimals: Digits after the point; None leaves it to Grafana.
        overrides: Settings of single series.
        extra: Further JSON.

    """
    asked = queries if curve else [replace(query, instant=True) for query in queries]
    return core.Stat(
        **frame.arguments(asked),
        format=frame.unit,
        thresholds=mark(steps or choose_steps(subject, frame.lines)),
        mappings=list(mappings),
        colorMode="background" if background else "value",
        graphMode="area" if curve else "none",
        textMode="value_and_name" if names else "auto",
        reduceCalc="lastNotNull",
        noValue=nothing,
        decimals=decimals,
        overrides=list(overrides),
        extraJson=extra,
    )


def show_dial(
    frame: Frame,
    queries: Sequence[Query],
    *,
    subject: Subject | None = None,
    nothing: str = NOTHING,
    maximum: float = 100,
) -> core.GaugePanel:
    """Show the value now on a dial from 0 to `maximum`."""
    return core.GaugePanel(
        **frame.arguments([replace(query, instant=True) for query in queries]),
        format=frame.unit,
        thresholds=mark(choose_steps(subject, frame.lines)),
        calc="lastNotNull",
        min=0,
        max=maximum,
        extraJson={"fieldConfig": {"defaults": {"noValue": nothing}}},
    )


def list_rows(
    frame: Frame,
    queries: Sequence[Query],
    *,
    columns: Mapping[str, str],
    sort_by: str,
    hidden: Sequence[str] = (),
    overrides: Sequence[Json] = (),
    nothing: str | None = None,
) -> core.Table:
    """List rows with these columns (name in the data to heading), highest `sort_by` first.

    Several queries are merged into one row per set of labels; their values are `Value #A` and on.
    """
    organize: Json = {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True} | dict.fromkeys(hidden, True),
            "renameByName": dict(columns),
        },
    }
    merge: list[Json] = []
    if len(queries) > 1:
        merge = [{"id": "merge", "options": {}}]
        organize["options"]["indexByName"] = {name: at for at, name in enumerate(columns)}
    extra = {"fieldConfig": {"defaults": {"noValue": nothing}}} if nothing else None
    return core.Table(
        **frame.arguments(queries),
        unit=frame.unit,
        transformations=[*merge, organize],
        sortBy=[core.TableSortByField(displayName=sort_by, desc=True)],
        overrides=list(overrides),
        extraJson=extra,
    )


def override(field: str, properties: Mapping[str, object]) -> Json:
    """Set properties of one named field."""
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def say(words: Mapping[float, tuple[str, str]]) -> Json:
    """Put words and their colours in the place of values."""
    options = {
        f"{value:g}": {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return {"type": "value", "options": options}


def say_between(low: float, high: float, text: str, colour: str) -> Json:
    """Put a word in the place of the values from `low` up to `high`."""
    result = {"text": text, "color": colour, "index": 0}
    return {"type": "range", "options": {"from": low, "to": high, "result": result}}
