"""The index of keys against plain sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.store.keys import KeyIndex

digests = st.lists(st.integers(-3, 12) | st.sampled_from([2**63 - 1, -(2**63)]), max_size=12)


def array(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@given(st.lists(digests, max_size=6), digests, st.booleans())
def test_hits_name_every_file_that_may_hold_a_key(
    batches: list[list[int]], asked: list[int], merge: bool
) -> None:
    """A digest is there exactly when it was added, and every file it was added with is named."""
    index, files = KeyIndex(), {}
    for number, batch in enumerate(batches):
        index.add(array(batch), np.full(len(batch), number, np.int32))
        for digest in batch:
            files.setdefault(digest, set()).add(number)
    if merge:
        index.moved(dict.fromkeys(range(len(batches)), 99))
        files = {digest: {99} for digest in files}
    there, named = index.hits(array(asked))
    assert there.tolist() == [digest in files for digest in asked]
    assert named == set().union(*(files.get(digest, set()) for digest in asked))


def test_runs_stay_few() -> None:
    """A thousand small additions leave about as many runs as the logarithm of the rows."""
    index = KeyIndex()
    for number in range(1_000):
        index.add(array([number]), np.zeros(1, np.int32))
    assert len(index.runs) <= 10
    assert sum(len(run) for run, _ in index.runs) == 1_000
