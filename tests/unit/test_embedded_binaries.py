"""The search for programs, over directories with stand-in files; nothing is run or fetched."""

import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from outbound_slo.embedded.binaries import (
    ALERTMANAGER,
    POSTGRESQL,
    POSTGRESQL_CLIENT,
    PROMETHEUS,
    Kit,
    Tools,
    cache_directory,
    find_tools,
    is_open_to_all,
    present_tools,
)
from outbound_slo.embedded.debian import choose_libraries, library_directories, relocate
from outbound_slo.vocabulary.mistakes import UserMistake


def make_programs(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    return directory


def make_unpacked(cache: Path, kit: Kit, *where: str, names: Mapping[str, object]) -> Path:
    release = platform.freedesktop_os_release()
    system = f"{release['ID']}-{release.get('VERSION_ID', 'rolling')}-{platform.machine()}"
    tree = cache / system / kit.package
    for directory in where:
        make_programs(tree / directory, *names)
    return tree


def test_a_directory_named_in_the_environment_goes_before_what_is_installed(tmp_path: Path) -> None:
    named = make_programs(tmp_path / "named", "prometheus", "promtool")
    installed = make_programs(tmp_path / "installed", "prometheus", "promtool")
    environ = {"PATH": str(installed), "OUTBOUND_SLO_PROMETHEUS_BIN": str(named)}
    assert find_tools(PROMETHEUS, environ).paths["promtool"] == named / "promtool"


def test_a_named_directory_without_all_programs_is_a_mistake_that_names_both(
    tmp_path: Path,
) -> None:
    named = make_programs(tmp_path / "named", "prometheus")
    with pytest.raises(UserMistake) as mistake:
        find_tools(PROMETHEUS, {"OUTBOUND_SLO_PROMETHEUS_BIN": str(named)})
    assert "OUTBOUND_SLO_PROMETHEUS_BIN" in str(mistake.value)
    assert f"{named}, which has no program promtool" in str(mistake.value)


def test_an_installed_kit_must_be_complete_in_one_directory(tmp_path: Path) -> None:
    half = make_programs(tmp_path / "half", "prometheus")
    whole = make_programs(tmp_path / "whole", "prometheus", "promtool")
    tools = find_tools(PROMETHEUS, {"PATH": f"{half}{os.pathsep}{whole}"})
    assert tools == Tools({name: whole / name for name in ("prometheus", "promtool")})


@pytest.mark.parametrize("name", ["prometheus-alertmanager", "alertmanager"])
def test_alertmanager_is_found_by_debians_name_and_by_its_own(tmp_path: Path, name: str) -> None:
    installed = make_programs(tmp_path, name, "amtool")
    tools = find_tools(ALERTMANAGER, {"PATH": str(installed)})
    assert tools["alertmanager"] == str(installed / name)


def test_unpacked_programs_are_used_when_installed_ones_are_to_be_ignored(tmp_path: Path) -> None:
    installed = make_programs(tmp_path / "installed", "prometheus", "promtool")
    tree = make_unpacked(tmp_path / "cache", PROMETHEUS, "usr/bin", names=PROMETHEUS.programs)
    environ = {
        "PATH": str(installed),
        "OUTBOUND_SLO_CACHE": str(tmp_path / "cache"),
        "OUTBOUND_SLO_IGNORE_INSTALLED": "1",
    }
    tools = find_tools(PROMETHEUS, environ)
    assert tools["prometheus"] == str(tree / "usr/bin/prometheus")
    assert tools.root == tree


def test_the_newest_unpacked_server_is_chosen_by_number_and_not_by_spelling(tmp_path: Path) -> None:
    versions = [f"usr/lib/postgresql/{version}/bin" for version in (9, 15, 10)]
    tree = make_unpacked(tmp_path, POSTGRESQL, *versions, names=POSTGRESQL.programs)
    environ = {"OUTBOUND_SLO_CACHE": str(tmp_path), "OUTBOUND_SLO_IGNORE_INSTALLED": "1"}
    tools = find_tools(POSTGRESQL, environ)
    assert tools["initdb"] == str(tree / "usr/lib/postgresql/15/bin/initdb")


def test_every_place_that_has_the_client_programs_is_given_and_nothing_is_fetched(
    tmp_path: Path,
) -> None:
    half = make_programs(tmp_path / "half", "pg_dump")
    whole = make_programs(tmp_path / "whole", "pg_dump", "pg_restore")
    tree = make_unpacked(
        tmp_path / "cache", POSTGRESQL_CLIENT, "usr/lib/postgresql/15/bin",
        names=POSTGRESQL_CLIENT.programs,
    )  # fmt: skip
    environ = {"PATH": f"{half}{os.pathsep}{whole}", "OUTBOUND_SLO_CACHE": str(tmp_path / "cache")}

    *installed, unpacked = present_tools(POSTGRESQL_CLIENT, environ)

    assert installed[-1]["pg_restore"] == str(whole / "pg_restore")
    assert unpacked["pg_dump"] == str(tree / "usr/lib/postgresql/15/bin/pg_dump")
    assert unpacked.root == tree
    alone = environ | {"OUTBOUND_SLO_IGNORE_INSTALLED": "1"}
    assert [each.root for each in present_tools(POSTGRESQL_CLIENT, alone)] == [tree]
    named = alone | {"OUTBOUND_SLO_POSTGRESQL_BIN": str(whole)}
    assert [each.root for each in present_tools(POSTGRESQL_CLIENT, named)] == [None]


def test_unpacked_programs_get_their_libraries_before_those_of_the_environment(
    tmp_path: Path,
) -> None:
    libraries = tmp_path / "usr/lib/x86_64-linux-gnu"
    libraries.mkdir(parents=True)
    unpacked = Tools({}, root=tmp_path).environment({"LD_LIBRARY_PATH": "/opt/lib"})
    assert unpacked == {"LD_LIBRARY_PATH": f"{libraries}{os.pathsep}/opt/lib"}


def test_installed_programs_run_in_the_environment_as_it_is() -> None:
    assert Tools({}).environment({"LANG": "C"}) == {"LANG": "C"}


def test_the_cache_is_where_the_environment_says(tmp_path: Path) -> None:
    assert cache_directory({"OUTBOUND_SLO_CACHE": str(tmp_path)}) == tmp_path


def test_a_checkout_keeps_its_own_cache_or_one_that_every_user_can_enter() -> None:
    chosen = cache_directory({})
    beside_the_project = Path(__file__).resolve().parents[2] / ".cache"
    assert chosen == beside_the_project or is_open_to_all(chosen.parent)


def test_a_directory_is_open_to_all_until_one_above_it_is_closed() -> None:
    # Not tmp_path: pytest closes that to other users.
    with tempfile.TemporaryDirectory() as outer:
        inner = Path(outer) / "inner" / "not-made-yet"
        inner.parent.mkdir(mode=0o755)
        Path(outer).chmod(0o755)
        assert is_open_to_all(inner)
        Path(outer).chmod(0o700)
        assert not is_open_to_all(inner)


def test_only_shared_libraries_are_chosen_from_an_installation_plan() -> None:
    planned = ["libpq5", "postgresql-common", "libjs-jquery", "libllvm14", "libicu72", "tzdata"]
    assert choose_libraries(planned) == ["libicu72", "libpq5"]


@pytest.mark.parametrize("resources", ["/usr/share/even", "/usr/share/odds."])
def test_a_relocated_path_keeps_its_length_and_means_the_working_directory(resources: str) -> None:
    program = b"\x00before" + resources.encode() + b"/ui\x00after"
    moved = relocate(program, resources)
    assert len(moved) == len(program)
    path = moved.removeprefix(b"\x00before").removesuffix(b"/ui\x00after").decode()
    assert len(path) == len(resources)
    assert os.path.normpath(path) == "."


def test_the_loader_is_told_of_libraries_that_a_package_keeps_to_itself(tmp_path: Path) -> None:
    # libpulse0 names the second one by the absolute path that it has where it is installed.
    public = tmp_path / "usr/lib/x86_64-linux-gnu"
    for name in ("libpulse.so.0", "pulseaudio/libpulsecommon-16.1.so", "fonts/list.conf"):
        (public / name).parent.mkdir(parents=True, exist_ok=True)
        (public / name).touch()
    assert library_directories(tmp_path) == (public, public / "pulseaudio")
