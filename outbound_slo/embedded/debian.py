"""Debian packages unpacked into a directory of our own: no root, nothing installed, no service.

`apt-get download` and `dpkg-deb -x` are all it takes, and both work for any user as long as the
package lists are there. What a plain unpack leaves out (maintainer scripts, users, services) is
what we do not want.
"""

import html
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from outbound_slo.vocabulary.mistakes import UserMistake

FONT_SETTINGS = "etc/fonts/fonts.conf"
"""In the tree of a kit that brings fonts: what tells its programs of them."""

_LETTERS = "DejaVu Sans"
_NEEDED = ("apt-get", "apt-cache", "dpkg-deb", "ldd")
_MISSING_LIBRARY = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
# The last is 200 MB of raw time zones beside the one script that Prometheus's pages load.
_NEEDLESS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/javascript/moment-timezone/data",
)
_WEB_SCRIPT = re.compile(r"^(libjs-\S+)", re.MULTILINE)
_WOULD_INSTALL = re.compile(r"^Inst (\S+) ", re.MULTILINE)


def unpack_kit(package: str, destination: Path, resources: str | None = None) -> None:
    """Fetch `package` and whatever shared libraries it lacks here, and unpack them.

    The destination appears only when it is complete, so that an interrupted download leaves
    nothing that looks like a kit.

    Args:
        package: Name of a Debian package; a metapackage such as `postgresql` is followed to the
            package of the current version.
        destination: Directory to create; its parent exists.
        resources: Absolute directory compiled into the programs, from which they would read; see
            `relocate`.

    Raises:
        UserMistake: The package system is absent, knows no such package, or can't reach its
            archive.

    """
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    if missing:
        raise UserMistake(
            f"{package} is not installed and this system has no {missing[0]} to fetch it with",
            f"Install {package} with the system's own package manager",
        )
    _require_lists(package)
    real = _follow_metapackage(package)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".unpack-") as workshop:
        archives, tree = Path(workshop) / "archives", Path(workshop) / "tree"
        archives.mkdir()
        tree.mkdir(mode=0o755)
        _fetch(_with_companions(real), archives)
        _unpack(archives, tree)
        if missing_libraries(tree):
            _fetch(_absent_libraries(real), archives)
            _unpack(archives, tree)
        if resources is not None:
            for program in tree.glob("usr/bin/*"):
                program.write_bytes(relocate(program.read_bytes(), resources))
        if (tree / "usr/share/fonts").is_dir():
            write_font_settings(tree, destination)
        for needless in _NEEDLESS:
            shutil.rmtree(tree / needless, ignore_errors=True)
        still = missing_libraries(tree)
        if still:
            raise UserMistake(
                f"{real} was unpacked but lacks the shared libraries {', '.join(sorted(still))}",
                f"Install it with: apt-get install --no-install-recommends {real}",
            )
        tree.rename(destination)


def library_directories(tree: Path) -> tuple[Path, ...]:
    """Directories of an unpacked tree that the dynamic loader has to be told about.

    Some packages keep a library to themselves in a directory below, and name it by the absolute
    path that it would have if it were installed, as PulseAudio's client does.
    """
    public = (*tree.glob("usr/lib/*-linux-gnu*"), *tree.glob("lib/*-linux-gnu*"))
    private = {library.parent for place in public for library in place.glob("*/lib*.so*")}
    return (*sorted(public), *sorted(private))


def relocate(program: bytes, resources: str) -> bytes:
    """Make a program look for its resources in its working directory.

    Debian's Alertmanager reads its default templates from an absolute directory that no flag
    changes. The path is overwritten with one of the same length that means "here", as relocatable
    package managers do; the program then has to be started in its unpacked resource directory.
    """
    here = ("./" * len(resources))[: len(resources) - len(resources) % 2] + "/" * (
        len(resources) % 2
    )
    return program.replace(resources.encode(), here.encode())


def write_font_settings(tree: Path, destination: Path) -> None:
    """Write what tells a browser of the unpacked fonts; without any it draws no letter.

    Args:
        tree: Where the packages are unpacked now.
        destination: Where they will be.

    """
    text = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>{html.escape(str(destination))}/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>sans-serif</family><prefer><family>{_LETTERS}</family></prefer></alias>
</fontconfig>
"""
    (tree / FONT_SETTINGS).parent.mkdir(parents=True, exist_ok=True)
    (tree / FONT_SETTINGS).write_text(text, encoding="utf-8")


def missing_libraries(tree: Path) -> set[str]:
    """Names of shared libraries which programs in an unpacked tree need and nothing offers."""
    programs = [
        *tree.glob("usr/bin/*"),
        *tree.glob("usr/lib/postgresql/*/bin/*"),
        *tree.glob("usr/lib/chromium/chromium"),
    ]
    # LLVM is a hundred megabytes for a compiler that a small server does not use: we run jit=off.
    modules = (
        module
        for module in tree.glob("usr/lib/postgresql/*/lib/*.so")
        if not module.name.startswith("llvmjit")
    )
    search = os.pathsep.join(map(str, library_directories(tree)))
    environment = {**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": search}
    missing: set[str] = set()
    for path in (*programs, *modules):
        # ldd exits 1 for scripts and static programs, which need no library at all.
        told = subprocess.run(
            ["ldd", str(path)], capture_output=True, text=True, check=False, env=environment
        )
        missing.update(_MISSING_LIBRARY.findall(told.stdout))
    return missing


def _require_lists(package: str) -> None:
    """Make sure that the package system knows `package`, refreshing its lists if we may."""
    if _is_known(package):
        return
    if os.geteuid() == 0:
        _apt(["apt-get", "update", "-q"], failing=f"apt-get update, to find {package}, failed")
        if _is_known(package):
            return
        raise UserMistake(
            f"{package} is not in the package lists of this system, not even after apt-get update",
            f"Check the network and /etc/apt/sources.list, or install {package} yourself",
        )
    raise UserMistake(
        f"{package} is neither installed nor in the package lists of this system",
        f"As root, run: apt-get update (or: apt-get install --no-install-recommends {package})",
    )


def _is_known(package: str) -> bool:
    told = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", package],
        capture_output=True,
        check=False,
    )
    return told.returncode == 0 and bool(told.stdout)


def _follow_metapackage(package: str) -> str:
    """Resolve `postgresql`, which is empty and depends on the current `postgresql-NN`."""
    versioned = re.compile(rf"^\s*Depends: ({re.escape(package)}-\d+)$", re.MULTILINE)
    found = versioned.search(_apt(["apt-cache", "depends", package]))
    return found.group(1) if found else package


def _with_companions(package: str) -> list[str]:
    """Name the package and what of its kit lies in other packages.

    PostgreSQL's client programs are one, the program to which Redis's server is a link is another;
    Chromium's resources are one, and its letters another; the scripts of Prometheus's web pages
    are several.
    """
    if package == "redis-server":
        return [package, "redis-tools"]
    if package == "chromium":
        return [package, "chromium-common", "fonts-dejavu-core"]
    versioned = re.fullmatch(r"postgresql-(\d+)", package)
    if versioned:
        return [package, f"postgresql-client-{versioned.group(1)}"]
    tree = _apt(["apt-cache", "depends", "--recurse", "--important", "-i", package])
    return [package, *sorted(set(_WEB_SCRIPT.findall(tree)))]


def _absent_libraries(package: str) -> list[str]:
    """Library packages that installing `package` would bring; the simulation needs no root."""
    plan = _apt(["apt-get", "-s", "install", "--no-install-recommends", package])
    return choose_libraries(_WOULD_INSTALL.findall(plan))


def choose_libraries(planned: Iterable[str]) -> list[str]:
    """Keep shared libraries out of a list of planned packages; leave web assets and LLVM out."""
    return sorted(
        name
        for name in planned
        if name.startswith("lib") and not name.startswith(("libjs-", "libllvm"))
    )


def _fetch(packages: Sequence[str], directory: Path) -> None:
    if not packages:
        return
    # apt would otherwise hand the download to its own user, who can't write to our directory.
    options = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    command = ["apt-get", *options, "-q", "download", *packages]
    _apt(command, failing=f"Could not download {', '.join(packages)}", directory=directory)


def _unpack(archives: Path, tree: Path) -> None:
    for archive in sorted(archives.glob("*.deb")):
        _apt(["dpkg-deb", "-x", str(archive), str(tree)])


def _apt(command: list[str], *, failing: str = "", directory: Path | None = None) -> str:
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
    )
    if told.returncode != 0:
        lines = [line for line in told.stderr.splitlines() if line.startswith("E: ")]
        reason = (lines or told.stderr.strip().splitlines() or ["no reason given"])[0]
        raise UserMistake(
            f"{failing or ' '.join(command) + ' failed'}: {reason}",
            "Check the network and the package archive (as root: apt-get update), or install the "
            "package yourself",
        )
    return told.stdout
