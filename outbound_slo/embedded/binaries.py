"""Where the real programs are: PostgreSQL, Prometheus, Alertmanager, Redis, Chromium, curl, jq.

Searched in this order: the directory that an environment variable names, what is installed, what
was unpacked before into the cache, and last Debian's package, fetched and unpacked there.
"""

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from outbound_slo.embedded import debian
from outbound_slo.vocabulary.mistakes import UserMistake

CACHE_VARIABLE = "OUTBOUND_SLO_CACHE"
IGNORE_INSTALLED_VARIABLE = "OUTBOUND_SLO_IGNORE_INSTALLED"


@dataclass(frozen=True)
class Kit:
    """Programs that belong together and come in one package.

    Attributes:
        package: Debian's name for it; also the name of the directory in the cache.
        variable: Environment variable that names a directory holding all its programs.
        programs: What we call a program, and the file names it goes by, best first.
        resources: Directory that Debian's build reads and that no flag changes.

    """

    package: str
    variable: str
    programs: Mapping[str, tuple[str, ...]]
    resources: str | None = None


def _plain(*names: str) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({name: (name,) for name in names})


POSTGRESQL = Kit(
    package="postgresql",
    variable="OUTBOUND_SLO_POSTGRESQL_BIN",
    programs=_plain("initdb", "pg_ctl", "postgres", "psql", "pg_dump"),
)
# Dumping needs no server on this machine.
POSTGRESQL_CLIENT = Kit(
    package="postgresql",
    variable="OUTBOUND_SLO_POSTGRESQL_BIN",
    programs=_plain("pg_dump", "pg_restore"),
)
PROMETHEUS = Kit(
    package="prometheus",
    variable="OUTBOUND_SLO_PROMETHEUS_BIN",
    programs=_plain("prometheus", "promtool"),
)
ALERTMANAGER = Kit(
    package="prometheus-alertmanager",
    variable="OUTBOUND_SLO_ALERTMANAGER_BIN",
    programs=MappingProxyType(
        {"alertmanager": ("prometheus-alertmanager", "alertmanager"), "amtool": ("amtool",)}
    ),
    resources="/usr/share/prometheus/alertmanager",
)
REDIS = Kit(
    package="redis-server",
    variable="OUTBOUND_SLO_REDIS_BIN",
    programs=_plain("redis-server"),
)
# Both only carry out the runbooks' own lines, in tests.
CURL = Kit(package="curl", variable="OUTBOUND_SLO_CURL_BIN", programs=_plain("curl"))
JQ = Kit(package="jq", variable="OUTBOUND_SLO_JQ_BIN", programs=_plain("jq"))
# Draws previews of dashboards as pictures; any of its relatives will do.
CHROMIUM = Kit(
    package="chromium",
    variable="OUTBOUND_SLO_CHROMIUM_BIN",
    programs=MappingProxyType(
        {
            "chromium": (
                "chromium", "chromium-headless-shell", "google-chrome", "google-chrome-stable",
            )
        }
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Tools:
    """A kit's programs as found on this machine.

    Attributes:
        paths: Program name to absolute path.
        root: Where the package was unpacked; None if the programs are installed in the system.
        resources: Directory that an unpacked program has to be started in to find its resources;
            None if any will do.

    """

    paths: Mapping[str, Path]
    root: Path | None = None
    resources: Path | None = None

    def __getitem__(self, program: str) -> str:
        """Path of a program, as an argument list wants it."""
        return str(self.paths[program])

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment to run these programs in, on top of `base` (default: our own)."""
        environment = dict(os.environ if base is None else base)
        if self.root is not None:
            search = [str(path) for path in debian.library_directories(self.root)]
            if environment.get("LD_LIBRARY_PATH"):
                search.append(environment["LD_LIBRARY_PATH"])
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(search)
            if (self.root / debian.FONT_SETTINGS).is_file():
                environment["FONTCONFIG_FILE"] = str(self.root / debian.FONT_SETTINGS)
        return environment

    def run(
        self,
        program: str,
        *arguments: str,
        directory: Path | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; the caller judges the exit code and the captured output.

        Args:
            program: Its name in the kit.
            arguments: As on a command line, with nothing quoted.
            directory: Where it is started; None: here.
            variables: Set in its environment where ours has nothing of that name.

        """
        return subprocess.run(
            [self[program], *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=directory,
            env={**variables, **self.environment()},
        )


def _keep_silent(_line: str) -> None:
    """Announce nothing."""


def find_tools(
    kit: Kit,
    environ: Mapping[str, str] = os.environ,
    announce: Callable[[str], None] = _keep_silent,
) -> Tools:
    """Find a kit's programs, fetching them if nothing else helps.

    Args:
        kit: What to find.
        environ: Environment variables to heed.
        announce: Called with a line for people before a download, which takes a while.

    Raises:
        UserMistake: A directory named by the kit's variable lacks a program, or the programs are
            neither installed nor to be fetched.

    """
    named = environ.get(kit.variable)
    if named:
        return _named_tools(kit, Path(named))
    if not environ.get(IGNORE_INSTALLED_VARIABLE):
        for directory in _installed_directories(kit, environ):
            paths = _programs_in(kit, directory)
            if paths:
                return Tools(paths)
    return _cached_tools(kit, cache_directory(environ), announce)


def present_tools(kit: Kit, environ: Mapping[str, str] = os.environ) -> Iterator[Tools]:
    """Give a kit's programs from every place that has them, in the order of `find_tools`.

    Nothing is fetched. There may be several versions; the caller asks them.

    Raises:
        UserMistake: A directory named by the kit's variable lacks a program.

    """
    named = environ.get(kit.variable)
    if named:
        yield _named_tools(kit, Path(named))
        return
    if not environ.get(IGNORE_INSTALLED_VARIABLE):
        for directory in _installed_directories(kit, environ):
            paths = _programs_in(kit, directory)
            if paths:
                yield Tools(paths)
    # Also what was unpacked for another release: the caller asks each for its version.
    for tree in sorted(cache_directory(environ).glob(f"*/{kit.package}")):
        tools = _unpacked_tools(kit, tree)
        if tools:
            yield tools


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Directory for unpacked programs: the named one, the checkout's `.cache`, or the user's.

    Root starts PostgreSQL as another user, so a cache that only root can enter is passed over.
    """
    named = environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[2]
    own = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "outbound-slo"
    is_checkout = (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK)
    choices = [checkout / ".cache", own] if is_checkout else [own]
    if os.geteuid() == 0:
        choices = [choice for choice in choices if is_open_to_all(choice.parent)]
        choices.append(Path("/var/cache/outbound-slo"))
    return choices[0]


def is_open_to_all(directory: Path) -> bool:
    """Tell whether every user may enter `directory`: it and all above it are searchable."""
    resolved = directory.resolve()
    return all(
        not step.exists() or step.stat().st_mode & 0o001 for step in (resolved, *resolved.parents)
    )


def _named_tools(kit: Kit, directory: Path) -> Tools:
    paths = _programs_in(kit, directory)
    if not paths:
        absent = next(
            names[0]
            for names in kit.programs.values()
            if not any(_is_program(directory / name) for name in names)
        )
        raise UserMistake(
            f"{kit.variable} names {directory}, which has no program {absent}",
            "Set it to the directory that holds the programs, or unset it",
        )
    return Tools(paths)


def _installed_directories(kit: Kit, environ: Mapping[str, str]) -> Iterator[Path]:
    search = environ.get("PATH", os.defpath)
    if kit.package == POSTGRESQL.package:
        teller = shutil.which("pg_config", path=search)
        if teller:
            told = subprocess.run([teller, "--bindir"], capture_output=True, text=True, check=False)
            if told.returncode == 0:
                yield Path(told.stdout.strip())
        yield from _newest_first(Path("/usr/lib/postgresql"))
    yield from (Path(entry) for entry in search.split(os.pathsep) if entry)


def _newest_first(root: Path) -> list[Path]:
    """`bin` directories of the PostgreSQL versions below `root`, by number, not by spelling."""
    versions = [path for path in root.glob("*/bin") if path.parent.name.isdecimal()]
    return sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _programs_in(kit: Kit, directory: Path) -> dict[str, Path] | None:
    """All programs of a kit in one directory, or None if any is absent."""
    found: dict[str, Path] = {}
    for program, names in kit.programs.items():
        path = next((directory / name for name in names if _is_program(directory / name)), None)
        if path is None:
            return None
        found[program] = path.absolute()
    return found


def _is_program(path: Path) -> bool:
    # A directory in PATH that we may not enter has no program for us; pathlib would raise.
    return os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113 - as above


def _cached_tools(kit: Kit, cache: Path, announce: Callable[[str], None]) -> Tools:
    tree = cache / _system_name() / kit.package
    tools = _unpacked_tools(kit, tree)
    if tools:
        return tools
    with _locked(tree.parent):
        # Someone else may have unpacked it while we waited; half a tree can't be there (rename),
        # but one from which files were deleted can.
        tools = _unpacked_tools(kit, tree)
        if tools:
            return tools
        if tree.exists():
            shutil.rmtree(tree)
        announce(f"Fetching Debian's package {kit.package} into {tree.parent}")
        debian.unpack_kit(kit.package, tree, kit.resources)
    tools = _unpacked_tools(kit, tree)
    if not tools:
        raise UserMistake(
            f"The package {kit.package} lacks some of {', '.join(kit.programs)}",
            f"Install them yourself and name their directory in {kit.variable}",
        )
    return tools


def _unpacked_tools(kit: Kit, tree: Path) -> Tools | None:
    # Debian's /usr/bin/chromium is a script that starts the installed program, so not that one.
    own = tree / "usr/lib" / kit.package
    for directory in (*_newest_first(tree / "usr/lib/postgresql"), own, tree / "usr/bin"):
        paths = _programs_in(kit, directory)
        if paths:
            resources = tree / kit.resources.lstrip("/") if kit.resources else None
            return Tools(paths, root=tree, resources=resources)
    return None


def _system_name() -> str:
    """Name that keeps the unpacked programs of one release and processor apart from another's."""
    release = platform.freedesktop_os_release()
    return f"{release['ID']}-{release.get('VERSION_ID', 'rolling')}-{platform.machine()}"


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time unpack; the lock goes with the process that holds it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / ".lock").open("w")
    except OSError as failure:
        raise UserMistake(
            f"Can't write to the cache {directory}: {failure.strerror}",
            f"Name another directory in {CACHE_VARIABLE}",
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
