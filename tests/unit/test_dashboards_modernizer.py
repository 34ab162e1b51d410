"""Old JSON in, current JSON out."""

from typing import Any

import pytest

from dashboards.modernizer import SCHEMA_VERSION, modernize


def _document(**panel: object) -> dict[str, Any]:
    """Make the least that grafanalib emits, with one panel."""
    defaults = {"thresholds": {"mode": "absolute", "steps": []}, "custom": {}, "unit": "s"}
    given = {
        "type": "stat",
        "title": "A",
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "repeat": None,
        "repeatDirection": None,
    }
    return {
        "title": "T",
        "schemaVersion": 12,
        "rows": [],
        "style": "dark",
        "sharedCrosshair": False,
        "templating": {"list": []},
        "timepicker": {"refresh_intervals": ["5s"], "time_options": ["5m"], "nowDelay": None},
        "panels": [given | panel],
    }


def test_legacy_keys_are_gone_and_the_schema_version_is_todays() -> None:
    modern = modernize(_document(editable=True, span=None, height=None))
    assert modern["schemaVersion"] == SCHEMA_VERSION
    assert modern.keys() == {"title", "schemaVersion", "templating", "timepicker", "panels"}
    assert modern["timepicker"] == {"refresh_intervals": ["5s"]}
    assert modern["panels"][0].keys() == {"type", "title", "fieldConfig", "options", "links"}


def test_the_lowest_step_becomes_null_and_is_kept_though_other_nulls_go() -> None:
    steps = [
        {"color": "green", "index": 0, "value": "null", "op": "gt", "yaxis": "left", "line": True},
        {"color": "red", "index": 1, "value": 30.0, "op": "gt", "yaxis": "left", "line": True},
        {"color": "blue", "index": 2, "value": 30.5, "op": "gt", "yaxis": "left", "line": True},
    ]
    defaults = {"thresholds": {"mode": "absolute", "steps": steps}, "decimals": None}
    modern = modernize(_document(fieldConfig={"defaults": defaults}))
    kept = modern["panels"][0]["fieldConfig"]["defaults"]
    assert kept == {
        "color": {"mode": "thresholds"},
        "thresholds": {
            "mode": "absolute",
            "steps": [
                {"color": "green", "value": None},
                {"color": "red", "value": 30},
                {"color": "blue", "value": 30.5},
            ],
        },
    }


def test_a_gauges_reduction_moves_into_its_options() -> None:
    defaults = {
        "calcs": ["lastNotNull"],
        "values": False,
        "override": {},
        "limit": None,
        "thresholds": {"mode": "absolute", "steps": []},
    }
    modern = modernize(_document(type="gauge", fieldConfig={"defaults": defaults}))
    panel = modern["panels"][0]
    assert panel["options"]["reduceOptions"] == {
        "calcs": ["lastNotNull"],
        "fields": "",
        "values": False,
    }
    assert panel["fieldConfig"]["defaults"] == {}


def test_what_a_panel_says_wins_over_the_modern_default() -> None:
    modern = modernize(_document(options={"wideLayout": False, "textMode": "name"}))
    assert modern["panels"][0]["options"] == {
        "percentChangeColorMode": "standard",
        "showPercentChange": False,
        "wideLayout": False,
        "textMode": "name",
    }


def test_a_variable_without_a_choice_leaves_the_choice_to_grafana() -> None:
    document = _document()
    empty: dict[str, object] = {"selected": False, "text": None, "value": None, "tags": []}
    document["templating"]["list"] = [{"name": "datasource", "current": empty, "useTags": False}]
    assert modernize(document)["templating"]["list"] == [{"name": "datasource"}]


def test_a_panel_type_that_grafana_removed_is_refused() -> None:
    with pytest.raises(ValueError, match="Panel 'A' has the type graph"):
        modernize(_document(type="graph"))


def test_the_argument_stays_as_it_is() -> None:
    document = _document()
    before = repr(document)
    modernize(document)
    assert repr(document) == before
