"""Packs are spread over databases; addresses are looked up late and never shown."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from exporter.pack import FromMetric, FromQuery, Pack, PackDatabase, PackMetric, Query
from exporter.target import plan_targets
from outbound_slo.vocabulary.metrics import MetricKind
from outbound_slo.vocabulary.mistakes import UserMistake


def make_metric(name: str, source: FromQuery | FromMetric) -> PackMetric:
    return PackMetric(
        name=name,
        kind=MetricKind.GAUGE,
        help="Help.",
        labels=("state",),
        source=source,
        derived=MappingProxyType({}),
        zero_fill=(),
        buckets=(),
        max_series=10,
        absent_after_s=60.0,
        compat=False,
    )


PLAIN = Pack(
    name="plain",
    description="",
    queries=(Query("everywhere", "SELECT 1", 1.0), Query("north_only", "SELECT 1", 1.0)),
    metrics=(
        make_metric("everywhere", FromQuery("everywhere", "n")),
        make_metric("north_only", FromQuery("north_only", "n")),
        make_metric("alias", FromMetric("north_only", MappingProxyType({}))),
    ),
)
NORTH = PackDatabase("north", "${NORTH}", MappingProxyType({"site": "n-${SITE}"}))
SOUTH = PackDatabase("south", "postgresql://south/x", MappingProxyType({"site": "s"}))
NAMED = replace(
    PLAIN,
    name="named",
    queries=(PLAIN.queries[0], replace(PLAIN.queries[1], databases=("north",))),
    databases=(NORTH, SOUTH),
)
ENVIRONMENT = {"NORTH": "postgresql://north/x", "SITE": "1"}


def own() -> str:
    return "postgresql://own/x"


def test_a_pack_without_databases_runs_on_the_exporters_own_without_labels() -> None:
    (target,) = plan_targets([PLAIN], own, environment={})

    assert (target.name, target.labels, target.packs) == ("", {}, (PLAIN,))
    assert target.address() == own()


def test_a_packs_databases_have_labels_and_the_queries_that_run_there() -> None:
    north, south = plan_targets([NAMED], own, environment=ENVIRONMENT)

    assert north.labels == {"database": "north", "site": "n-1"}
    assert north.address() == "postgresql://north/x"
    assert north.packs == (NAMED,)
    assert south.labels == {"database": "south", "site": "s"}
    assert [query.name for query in south.packs[0].queries] == ["everywhere"]
    assert [metric.name for metric in south.packs[0].metrics] == ["everywhere"]


def test_databases_of_the_command_line_take_the_place_of_the_exporters_own() -> None:
    def nowhere() -> str:
        raise AssertionError("DATABASE_URL is not needed")

    east, west = plan_targets([PLAIN], nowhere, {"east": "${E}", "west": "w"}, {"E": "e"})

    assert (east.name, east.address(), east.packs) == ("east", "e", (PLAIN,))
    assert west.labels == {"database": "west"}


def test_packs_that_name_the_same_database_share_a_snapshot() -> None:
    other = replace(PLAIN, name="other", databases=(NORTH,))
    targets = plan_targets([NAMED, other], own, environment=ENVIRONMENT)

    assert [[pack.name for pack in target.packs] for target in targets] == [
        ["named", "other"],
        ["named"],
    ]


def test_one_name_for_two_databases_is_a_users_mistake() -> None:
    other = replace(PLAIN, name="other", databases=(replace(NORTH, url="elsewhere"),))

    with pytest.raises(UserMistake, match=r"The pack other means another database by north"):
        plan_targets([NAMED, other], own, environment=ENVIRONMENT)


def test_a_reference_that_leads_nowhere_is_found_at_once() -> None:
    with pytest.raises(
        UserMistake, match=r"databases.north.url of the pack named refers to \$\{NORTH\}"
    ):
        plan_targets([NAMED], own, environment={"SITE": "1"})
    with pytest.raises(UserMistake, match=r"--database a has a \$"):
        plan_targets([PLAIN], own, {"a": "$x"}, {})


def test_a_changed_secret_is_seen_without_a_new_plan(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://old/x\n")
    (target,) = plan_targets([PLAIN], own, {"a": f"${{file:{secret}}}"}, {})
    assert target.address() == "postgresql://old/x"

    secret.write_text("postgresql://new/x\n")

    assert target.address() == "postgresql://new/x"
    assert "postgresql" not in repr(target)


def test_a_label_that_every_series_would_get_twice_is_refused() -> None:
    metric = replace(PLAIN.metrics[0], labels=("database",))
    pack = replace(PLAIN, metrics=(metric, *PLAIN.metrics[1:]))

    with pytest.raises(UserMistake, match="everywhere of the pack plain has a label database"):
        plan_targets([pack], own, {"a": "x"}, {})
