"""Waiting in tests for something that another process is about to do."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(look: Callable[[], Found], what: str, patience: float = 30.0) -> Found:
    """Call `look` until its answer is true in a condition, and return that answer.

    The patience (seconds) only bounds a failure; no test passes or fails by how long it took.
    """
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {patience:g} s in vain for {what}; last saw {found!r}")
        time.sleep(0.05)
