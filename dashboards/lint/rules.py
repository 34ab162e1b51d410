"""All rules of the lint, in the order of the table, and why some are left out.

Seventeen have the names that grafana/dashboard-linter gives them; the others are ours.
"""

from typing import Final

from dashboards.lint import board_rules, line_rules, panel_rules, query_rules
from dashboards.lint.rule import Exemption, Rule, Source
from outbound_slo.vocabulary.alerts import Dashboard

_THEIRS, _OURS = Source.DASHBOARD_LINTER, Source.HOUSE

_MANY_JOBS: Final = (
    "a panel reads metrics of several jobs, and exporters side by side are merged before they are"
    " summed; one is chosen by channel and organisation instead"
)
_NO_LOKI: Final = "there is no Loki: logs go to standard output, and no panel asks them"

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "template-datasource-rule", _THEIRS,
        "The viewer can choose the Prometheus, in a variable named datasource.",
        "Add a variable of type datasource, with a label",
        board_rules.check_chosen_source,
        differs="a second variable for Jaeger keeps both their short names, which links carry",
    ),
    Rule(
        "template-job-rule", _THEIRS, "There is a variable that chooses the job.",
        left_out=_MANY_JOBS,
    ),
    Rule(
        "template-instance-rule", _THEIRS, "There is a variable that chooses the instance.",
        left_out=_MANY_JOBS,
    ),
    Rule(
        "template-label-promql-rule", _THEIRS,
        "What a variable asks is PromQL, of metrics that somebody emits.",
        "Mend the variable's query",
        query_rules.check_choices,
        differs="asks for known metrics too",
    ),
    Rule(
        "template-on-time-change-reload-rule", _THEIRS,
        "Choices are asked again when the time range changes.",
        "Set 'refresh' of the variable to 2",
        board_rules.check_reload,
    ),
    Rule(
        "panel-datasource-rule", _THEIRS,
        "Panels and queries use a data source that the viewer chose.",
        'Set the data source to {"uid": "${datasource}"}',
        panel_rules.check_data_source,
        differs="looks at every panel type and at each query",
    ),
    Rule(
        "panel-title-description-rule", _THEIRS, "A panel has a title and a description.",
        "Say what is counted, and what it means",
        panel_rules.check_title,
    ),
    Rule(
        "panel-units-rule", _THEIRS, "A panel has one of Grafana's units.",
        "Set 'unit', such as s, percentunit or short",
        panel_rules.check_unit,
        differs="value mappings are no excuse; overrides count",
    ),
    Rule(
        "panel-no-targets-rule", _THEIRS, "A panel asks something.",
        "Add a query, or remove the panel",
        panel_rules.check_targets,
    ),
    Rule("target-logql-rule", _THEIRS, "Loki takes its queries.", left_out=_NO_LOKI),
    Rule(
        "target-logql-auto-rule", _THEIRS, "Ranges of Loki's queries are $__auto.",
        left_out=_NO_LOKI,
    ),
    Rule(
        "target-promql-rule", _THEIRS, "Prometheus takes every query.",
        "Mend the expression",
        query_rules.check_promql,
        differs="promtool is asked; annotations count",
    ),
    Rule(
        "target-rate-interval-rule", _THEIRS, "rate() follows the zoom: [$__rate_interval].",
        "Write [$__rate_interval], or increase() where the range is the point",
        query_rules.check_zoom,
        exemptions=(
            Exemption(Dashboard.SLA, 8, "runbook 000's panel is about the last hour"),
            Exemption(Dashboard.SLA, 9, "runbook 000 draws rates over 5 minutes"),
        ),
    ),
    Rule(
        "target-job-rule", _THEIRS, "Every query selects a job.",
        left_out=f"names of metrics say whose they are; {_MANY_JOBS}",
    ),
    Rule(
        "target-instance-rule", _THEIRS, "Every query selects an instance.", left_out=_MANY_JOBS,
    ),
    Rule(
        "target-counter-agg-rule", _THEIRS, "A counter is read through rate() or increase().",
        "Wrap it in rate() or increase()",
        query_rules.check_counters,
        differs="knows which metrics are counters, whatever their names; changes(), resets() and"
        " absent() may read one, and so may what only asks whether it is there",
        exemptions=(
            Exemption(
                Dashboard.HEALTH, 18, "how often counters began anew since the exporter started"
            ),
        ),
    ),
    Rule(
        "uneditable-dashboard", _THEIRS, "Nobody can edit the dashboard in Grafana.",
        left_out="runbook 000's is editable; Grafana does not save what it provisions, and whoever"
        " is called may try a query on the spot",
    ),
    Rule(
        "board-uid", _OURS, "A dashboard has a uid of its own: links lead there.",
        "Give it a uid that stays",
        board_rules.check_uid,
    ),
    Rule(
        "board-title", _OURS, "No two dashboards have one title.",
        "Give it a title that says what it answers",
        board_rules.check_board_title,
    ),
    Rule(
        "panel-number", _OURS, "A panel has a number of its own: alerts lead there.",
        "Give it a number that is not in use, and keep those that are",
        panel_rules.check_numbers,
    ),
    Rule(
        "panel-heading", _OURS, "No two panels below a heading have one title.",
        "Say in the title what is different",
        panel_rules.check_panel_titles,
    ),
    Rule(
        "panel-type", _OURS, "No panel is of a type that Grafana has removed.",
        "Change the type in a copy within Grafana, and export that",
        panel_rules.check_type,
    ),
    Rule(
        "panel-nothing", _OURS, "A panel says what no data means.",
        "Set 'noValue', such as 'No traffic'",
        panel_rules.check_nothing,
    ),
    Rule(
        "panel-grid", _OURS, "Panels fill the grid: none overlap, and no place stays empty.",
        "Mend x, y, w and h in 'gridPos'; 24 columns make a row",
        panel_rules.check_grid,
    ),
    Rule(
        "panel-lines", _OURS,
        "Thresholds are lines of vocabulary/thresholds.py, for what the panel shows (D21).",
        "Take the line from the table, or change it there",
        line_rules.check_lines,
        exemptions=(
            Exemption(
                Dashboard.MESSAGING, 4, "runbook 002's panel is red from 100 on, where a ticket is"
            ),
        ),
    ),
    Rule(
        "variable-defined", _OURS, "Variables that are used are defined, and the other way round.",
        "Define it, or mend its name; remove it where nothing uses it",
        board_rules.check_variables,
    ),
    Rule(
        "link-target", _OURS, "Links lead to runbook pages, dashboards and panels that exist.",
        "Mend the link",
        board_rules.check_links,
    ),
    Rule(
        "target-metric", _OURS, "Somebody emits every metric that is read.",
        "Mend the name, or give your own metrics with --extra-metrics",
        query_rules.check_metrics,
    ),
    Rule(
        "target-labels", _OURS, "Series have the labels that a query selects, groups and joins by.",
        "Mend the label or its value",
        query_rules.check_labels,
    ),
    Rule(
        "target-legend", _OURS, "Series have the labels that their legend names.",
        "Keep the label in 'by', or leave it out of the legend",
        query_rules.check_legends,
    ),
    Rule(
        "target-exemplar", _OURS,
        "Exemplars are asked for where there are some and where they are drawn (T15).",
        "Set 'exemplar' to false",
        query_rules.check_exemplars,
    ),
    Rule(
        "target-letter", _OURS, "Each query of a panel has a letter of its own.",
        "Change 'refId'",
        query_rules.check_letters,
    ),
)  # fmt: skip
