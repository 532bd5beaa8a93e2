"""Who stands where."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jinqiao.shelf.choose import Candidates, Caps, choose, choose_evenly, draws

P, SLOTS, SHARE = 9, 3, 0.3


def caps(class_most: int = 2) -> Caps:
    codes = np.stack([np.arange(P) % 3, np.arange(P) % 4, np.zeros(P, np.int64)]).astype(np.int64)
    most = (np.full(3, class_most), np.full(4, 2), np.full(1, 99))
    return Caps(codes, most)


def one(size: int = P) -> Candidates:
    return Candidates(np.array([0, size]), np.arange(size, dtype=np.int32))


def by_hand(score: NDArray[np.float64], rules: Caps) -> list[int]:
    """Return the greedy shelf, the plain way."""
    shelf: list[int] = []
    for p in sorted(range(P), key=lambda i: (-score[i], i)):
        fits = all(
            sum(rules.codes[kind, q] == rules.codes[kind, p] for q in shelf)
            < rules.most[kind][rules.codes[kind, p]]
            for kind in range(3)
        )
        if score[p] > 0 and fits and len(shelf) < SLOTS:
            shelf.append(p)
    return shelf


def test_greedy_takes_the_best_that_has_room() -> None:
    """The kernel's shelf is the one made by hand, over random scores with ties and losses."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        score = rng.integers(-3, 6, P).astype(float)
        rules = caps(int(rng.integers(1, 4)))
        found = choose(one(), score, draws(["t"], 0), rules, slots=SLOTS, exploration_share=0.0)
        assert found.candidate.tolist() == by_hand(score, rules)
        assert (found.display_probability == 1.0).all()
        assert not found.drawn.any()


@pytest.mark.parametrize("few", [False, True])
def test_logged_display_probabilities_are_the_true_ones(few: bool) -> None:
    """Over 40,000 traces each product stands at each position as often as its logged chance."""
    score = np.array([5.0, 4, 3, 2, 1, 0.5, -1, -2, 0]) if not few else np.full(P, -1.0)
    score[1] = 4.0
    r = 40_000
    many = Candidates(np.arange(r + 1) * P, np.tile(np.arange(P, dtype=np.int32), r))
    words = draws([f"trace{i}" for i in range(r)], 9)
    found = choose(many, np.tile(score, r), words, caps(), slots=SLOTS, exploration_share=SHARE)
    product = many.product[found.candidate]
    for p in range(P):
        for position in range(1, SLOTS + 1):
            here = (product == p) & (found.position == position)
            logged = np.unique(found.display_probability[here])
            assert len(logged) <= 1
            if len(logged):
                sd = np.sqrt(logged[0] * (1 - logged[0]) / r)
                assert abs(here.sum() / r - logged[0]) <= 4.5 * sd + 1e-12


def test_the_learning_slot_is_the_last_one() -> None:
    """A shelf short of gainful offers may grow by one drawn offer, and the rest stands."""
    score = np.full(P, -1.0)
    score[4] = 2.0
    shown = [
        choose(one(), score, draws([f"x{i}"], 1), caps(), slots=SLOTS, exploration_share=1.0)
        for i in range(50)
    ]
    assert all(f.candidate[0] == 4 and len(f.candidate) == 2 for f in shown)
    assert all(f.drawn.tolist() == [False, True] for f in shown)
    assert len({int(f.candidate[1]) for f in shown}) > 3


def test_nothing_to_choose_from_is_an_empty_shelf() -> None:
    """No candidate, no slot and no gain each leave the shelf empty."""
    none = Candidates(np.array([0, 0]), np.zeros(0, np.int32))
    words = draws(["t"], 0)
    cases = [(none, np.zeros(0), 3), (one(), np.ones(P), 0), (one(), np.full(P, -1.0), 3)]
    for found, score, slots in cases:
        shelf = choose(found, score, words, caps(), slots=slots, exploration_share=0.0)
        assert len(shelf.candidate) == 0
    assert len(choose_evenly(none, words, slots=3).candidate) == 0


def test_an_even_draw_gives_each_product_each_position_alike() -> None:
    """Without replacement, every product stands at every position with chance 1/n."""
    r = 20_000
    many = Candidates(np.arange(r + 1) * P, np.tile(np.arange(P, dtype=np.int32), r))
    found = choose_evenly(many, draws([f"e{i}" for i in range(r)], 2), slots=SLOTS)
    assert (found.display_probability == 1 / P).all()
    counts = np.zeros((P, SLOTS))
    np.add.at(counts, (many.product[found.candidate], found.position - 1), 1)
    assert np.abs(counts / r - 1 / P).max() < 4.5 * np.sqrt(1 / P / r)
    shelves = many.product[found.candidate].reshape(r, SLOTS)
    assert all(len(set(row)) == SLOTS for row in shelves[:500].tolist())


def test_a_draw_depends_on_trace_and_seed_alone() -> None:
    """The same trace and seed give the same number; another seed another."""
    first, again, other = draws(["a", "b"], 5), draws(["b", "a"], 5), draws(["a", "b"], 6)
    assert first.tolist() == again[::-1].tolist()
    assert first.tolist() != other.tolist()
