"""A wrong wall clock for one process, by Debian's libfaketime; timers keep running right."""

import fcntl
from collections.abc import Mapping
from pathlib import Path

from outbound_slo.embedded import debian
from outbound_slo.embedded.binaries import cache_directory

_PACKAGE = "libfaketime"
# The variant that is safe in programs with threads.
_LIBRARY = "usr/lib/*/faketime/libfaketimeMT.so.1"


def skew(offset_s: float) -> Mapping[str, str]:
    """Give the environment in which a process's wall clock is wrong by `offset_s` seconds.

    Raises:
        UserMistake: The library is neither installed nor to be fetched.

    """
    return {
        "LD_PRELOAD": str(find_library()),
        "FAKETIME": f"{offset_s:+g}s",
        # Two spellings, of older and newer versions: time-outs go by the monotonic clock.
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def find_library() -> Path:
    """Find the library: installed, unpacked before into the cache, or fetched there now."""
    installed = sorted(Path("/").glob(_LIBRARY))
    if installed:
        return installed[0]
    tree = cache_directory() / _PACKAGE
    tree.parent.mkdir(parents=True, exist_ok=True)
    with (tree.parent / f".{_PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            debian.unpack_kit(_PACKAGE, tree)
    return next(tree.glob(_LIBRARY))
