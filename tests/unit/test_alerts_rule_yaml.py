"""YAML that promtool and Python read differently."""

import math

import pytest
import yaml

from alerts import rule_yaml

CASE = """\
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series: [{series: up, values: 0x30}]
    alert_rule_test:
      - eval_time: 5m
        alertname: A
        exp_alerts:
          - exp_labels: {version: 1.10, code: 007, on: yes}
            exp_annotations: {at: 2026-01-01}
    promql_expr_test:
      - expr: 1
        exp_samples: [{labels: up, value: 1e3}, {value: .inf}, {value: 7}]
"""


def test_what_promtool_decodes_into_text_keeps_its_letters() -> None:
    (case,) = rule_yaml.parse(CASE)["tests"]

    assert case["input_series"] == [{"series": "up", "values": "0x30"}]
    (expected,) = case["alert_rule_test"][0]["exp_alerts"]
    assert expected["exp_labels"] == {"version": "1.10", "code": "007", "on": "yes"}
    assert expected["exp_annotations"] == {"at": "2026-01-01"}
    assert case["promql_expr_test"][0]["expr"] == "1"


def test_numbers_are_those_of_promtool() -> None:
    (case,) = rule_yaml.parse(CASE)["tests"]

    samples = case["promql_expr_test"][0]["exp_samples"]
    assert [sample["value"] for sample in samples] == [1000.0, math.inf, 7]


def test_what_is_written_again_is_the_same() -> None:
    document = rule_yaml.parse(CASE)

    assert "Infinity" not in rule_yaml.write(document)
    assert rule_yaml.parse(rule_yaml.write(document)) == document


def test_a_merged_key_may_be_given_again_and_another_may_not() -> None:
    assert rule_yaml.parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")["b"] == {"x": 1, "y": 3}

    with pytest.raises(yaml.YAMLError, match="the key tests stands twice"):
        rule_yaml.parse("tests: [{name: x}]\ntests: [{name: y}]")


@pytest.mark.parametrize("key", ["[a]", "{a: 1}"])
def test_a_key_that_is_no_word_is_refused_in_its_line(key: str) -> None:
    with pytest.raises(yaml.YAMLError, match="a key is a list or a mapping"):
        rule_yaml.parse(f"labels: {{x: 1}}\n{key}: 1")
