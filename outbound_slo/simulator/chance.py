"""Where every random decision of the simulator comes from."""

import random


def create_rng(seed: int) -> random.Random:
    """Make a generator whose decisions can be repeated from its seed; it guards no secret."""
    return random.Random(seed)  # noqa: S311 - faults and delays must be repeatable, not secret
