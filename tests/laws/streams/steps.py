"""The steps of the stores, counted; at one of them whoever takes it dies."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jinqiao.flow.wiring import Engine

__all__ = ["Died", "Steps", "watched"]


class Died(BaseException):
    """What a process that is killed leaves behind: an open transaction rolled back, no more."""


def _raise() -> None:
    raise Died


class Steps:
    """Counts steps and calls ``die`` at one of them; ``die_at`` 0 is never."""

    def __init__(self, die_at: int, die: Callable[[], None] = _raise) -> None:
        self.die_at = die_at
        self.die = die
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.die_at:
            self.die()


@contextmanager
def watched(engine: Engine, steps: Steps) -> Iterator[None]:
    """Count before and after every append, and before, in and after every transaction."""
    lake: Any = engine.lake
    records: Any = engine.records
    append, opened = lake.append, records.transaction

    def appended(*args: Any, **kwargs: Any) -> Any:
        steps.step()
        found = append(*args, **kwargs)
        steps.step()
        return found

    lake.append = appended
    records.transaction = lambda **kwargs: _Watched(opened(**kwargs), steps)
    try:
        yield
    finally:
        del lake.append, records.transaction


class _Watched:
    def __init__(self, inner: Any, steps: Steps) -> None:
        self.inner = inner
        self.steps = steps

    def __enter__(self) -> Any:
        self.steps.step()
        return self.inner.__enter__()

    def __exit__(self, *error: Any) -> Any:
        try:
            self.steps.step()
        except Died:
            self.inner.__exit__(*sys.exc_info())
            raise
        found = self.inner.__exit__(*error)
        self.steps.step()
        return found
