"""What had run out is read from evenly drawn shelves, or nothing is said."""

from __future__ import annotations

import numpy as np

from jinqiao.flow.soldout import sold_out

R, P, SLOTS = 3_000, 20, 4


def _drawn(closed: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return may, shown and candidates of shelves drawn evenly from what is left."""
    rng = np.random.default_rng(seed)
    may = rng.random((R, P)) < 0.7
    left = may & ~closed
    score = np.where(left, rng.random((R, P)), -1.0)
    best = np.argsort(-score, axis=1)[:, :SLOTS]
    shown = np.zeros((R, P), bool)
    np.put_along_axis(shown, best, np.take_along_axis(score, best, 1) >= 0, axis=1)
    return may, shown, left.sum(axis=1)


def test_what_ran_out_is_found() -> None:
    """Of shelves said to be plain nearly all are right, and most are plain."""
    closed = np.zeros((R, P), bool)
    closed[1_000:, 3] = closed[1_500:2_500, 7] = closed[500:, 11] = True
    may, shown, candidates = _drawn(closed, 0)
    found, plain = sold_out(may, shown, candidates, SLOTS)
    right = (found == (may & closed)).all(axis=1)
    assert plain.mean() > 0.9
    assert right[plain].mean() > 0.98
    assert (may & ~found).sum(axis=1)[plain].tolist() == candidates[plain].tolist()


def test_where_nothing_ran_out_nothing_is_said() -> None:
    """Whole shelves are plain and have nothing sold out."""
    may, shown, candidates = _drawn(np.zeros((R, P), bool), 1)
    found, plain = sold_out(may, shown, candidates, SLOTS)
    assert plain.all()
    assert not found.any()


def test_what_cannot_be_told_is_not() -> None:
    """A few shelves with something missing, all products unseen as long: nothing is plain."""
    may = np.ones((3, P), bool)
    shown = np.zeros((3, P), bool)
    shown[:, :SLOTS] = True
    found, plain = sold_out(may, shown, np.full(3, P - 2), SLOTS)
    assert not plain.any()
    assert not found.any()
