"""Laws of every shelf, whatever the rules, limits and scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.shelf.choose import Candidates, Caps, choose, choose_evenly, draws


@st.composite
def cases(draw: st.DrawFn) -> tuple[Candidates, np.ndarray, Caps, int, float, int]:
    """Return random candidates of several requests, their scores, and the rules."""
    p = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = rng.random((draw(st.integers(1, 5)), p)) < draw(st.floats(0, 1))
    start = np.concatenate(([0], np.cumsum(mask.sum(axis=1)))).astype(np.int64)
    found = Candidates(start, np.nonzero(mask)[1].astype(np.int32))
    codes = rng.integers(0, 4, (3, p)).astype(np.int64)
    most = tuple(rng.integers(0, 4, 4).astype(np.int64) for _ in range(3))
    score = np.round(rng.normal(0, 3, len(found.product)))
    slots, share = draw(st.integers(0, 6)), draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    return found, score, Caps(codes, most), slots, share, draw(st.integers(0, 2**40))  # type: ignore[return-value]


@given(cases())
def test_no_rule_of_a_shelf_is_ever_broken(
    case: tuple[Candidates, np.ndarray, Caps, int, float, int],
) -> None:
    """Only candidates, none twice, no cap passed, positions without gaps, chances in (0, 1]."""
    found, score, caps, slots, share, seed = case
    r = len(found.start) - 1
    words = draws([f"t{i}" for i in range(r)], seed)
    shelf = choose(found, score, words, caps, slots=slots, exploration_share=share)
    product = found.product[shelf.candidate]
    assert ((shelf.display_probability > 0) & (shelf.display_probability <= 1)).all()
    assert share == 1.0 or (score[shelf.candidate[~shelf.drawn]] > 0).all()
    for i in range(r):
        mine = shelf.request == i
        own = range(found.start[i], found.start[i + 1])
        assert set(shelf.candidate[mine].tolist()) <= set(own)
        assert shelf.position[mine].tolist() == list(range(1, mine.sum() + 1))
        assert mine.sum() <= slots
        assert len(set(product[mine].tolist())) == mine.sum()
        for kind in range(3):
            counts = np.bincount(caps.codes[kind, product[mine]], minlength=4)
            assert (counts <= caps.most[kind]).all()


@given(cases())
def test_the_shelf_does_not_depend_on_who_else_asks(
    case: tuple[Candidates, np.ndarray, Caps, int, float, int],
) -> None:
    """Each request alone gets what it gets in the batch, by either policy."""
    found, score, caps, slots, share, seed = case
    words = draws([f"t{i}" for i in range(len(found.start) - 1)], seed)
    both = (
        choose(found, score, words, caps, slots=slots, exploration_share=share),
        choose_evenly(found, words, slots=slots),
    )
    for i in range(len(found.start) - 1):
        a, b = found.start[i], found.start[i + 1]
        alone = Candidates(np.array([0, b - a]), found.product[a:b])
        word = words[i : i + 1]
        single = (
            choose(alone, score[a:b], word, caps, slots=slots, exploration_share=share),
            choose_evenly(alone, word, slots=slots),
        )
        for batch, one in zip(both, single, strict=True):
            mine = batch.request == i
            assert (batch.candidate[mine] - a).tolist() == one.candidate.tolist()
            assert batch.display_probability[mine].tolist() == one.display_probability.tolist()
