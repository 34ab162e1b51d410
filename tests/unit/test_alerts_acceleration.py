"""Alertmanager's configuration for a replay: divided waits, one address, all else as it was."""

from typing import Any

import pytest
import yaml

from alerts.replay.acceleration import accelerate
from alerts.rule_files import GENERATED
from outbound_slo.vocabulary.mistakes import UserMistake


def test_every_wait_is_divided_and_routes_stay() -> None:
    original = yaml.safe_load((GENERATED / "alertmanager.yml").read_text())

    accelerated = accelerate(original, "f", 100, "http://r")

    document = yaml.safe_load(accelerated.text)
    assert document["inhibit_rules"] == original["inhibit_rules"]
    assert document["route"]["group_by"] == original["route"]["group_by"]
    by_matchers = {str(route["matchers"]): route for route in document["route"]["routes"]}
    urgent = by_matchers["['priority=\"P1\"']"]
    assert (urgent["group_wait"], urgent["group_interval"]) == ("100ms", "600ms")
    assert urgent["repeat_interval"] == "36s"
    assert by_matchers["['priority=\"P0\"']"]["group_wait"] == "0s"
    assert accelerated.longest_wait_s == 9
    assert accelerated.left_out == ()


def test_defaults_hold_where_the_root_is_silent_and_receivers_keep_their_names() -> None:
    configuration: dict[str, Any] = {
        "route": {
            "receiver": "on call",
            "routes": [{"receiver": "void", "mute_time_intervals": ["night"], "matchers": []}],
        },
        "receivers": [{"name": "on call", "pagerduty_configs": [{}]}, {"name": "void"}],
        "time_intervals": [{"name": "night"}],
        "templates": ["x.tmpl"],
    }

    accelerated = accelerate(configuration, "f", 10, "http://r")

    assert accelerated.left_out == ("mute_time_intervals", "time_intervals")
    assert yaml.safe_load(accelerated.text) == {
        "route": {
            "receiver": "on call",
            "group_wait": "3s",
            "group_interval": "30s",
            "repeat_interval": "24m",
            "routes": [{"receiver": "void", "matchers": []}],
        },
        "inhibit_rules": [],
        "receivers": [
            {
                "name": "on call",
                "webhook_configs": [{"url": "http://r/on%20call", "send_resolved": True}],
            },
            {"name": "void"},
        ],
    }


def test_another_file_is_refused() -> None:
    with pytest.raises(UserMistake, match="f has no route"):
        accelerate({"groups": []}, "f", 10, "http://r")
    with pytest.raises(UserMistake, match="f: group_wait: 'soon' is no duration"):
        accelerate({"route": {"group_wait": "soon"}, "receivers": []}, "f", 10, "http://r")
