"""Compile the numeric kernels once, so that the first run is as fast as the second."""

from __future__ import annotations

import importlib
import sys
import time

ROOMS = ("match", "shelf", "propensity", "synthetic")
"""Rooms that may offer ``warm_up()``; one that does not has nothing to compile ahead."""


def warm_kernels() -> None:
    """Compile every kernel into Numba's cache on disk, by running each on a tiny input."""
    for room in ROOMS:
        warm_up = getattr(importlib.import_module(f"jinqiao.{room}"), "warm_up", None)
        if warm_up is not None:
            warm_up()
    _warm_forest()


def _warm_forest() -> None:
    import numpy as np

    from jinqiao.engines.forest import Forest, Pairing, Tests
    from jinqiao.engines.stages import Ordered, Stages

    none = Tests(
        np.zeros(2, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint8),
        np.zeros(0, np.uint32), np.zeros(1, np.int64), np.zeros(0, np.uint32),
    )  # fmt: skip
    forest = Forest((none, none, none), none, np.zeros((1, 32)), np.arange(2))
    words = [forest.words(side, np.zeros((1, 1), np.float32)) for side in range(3)]
    one = np.zeros(1, np.int32)
    pairs, own = Pairing(one, one, one), np.zeros((1, 1), np.float32)
    forest.score(words, pairs, own)
    stages = Stages(forest, np.arange(2), words[1], 1)
    stages.sums(words[0], one, own)
    stages.of_runs((words[0], words[2]), pairs, own)
    Ordered.of(none, 1).words(own[0], words[0][0])


def main() -> None:
    """Compile every kernel into the on-disk cache and print the seconds it took."""
    started = time.perf_counter()
    warm_kernels()
    sys.stdout.write(f"kernels compiled in {time.perf_counter() - started:.1f} s\n")


if __name__ == "__main__":
    main()
