"""A market in files: made whole, resumed, held to what it says it is, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError
from jinqiao.synthetic import Market, market, stream
from jinqiao.synthetic.__main__ import main
from jinqiao.synthetic.recall import FAINT, Marks, Sights


def read(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.parquet")}


def test_a_run_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """Blocks found whole are left, half a block is made anew; the files are those of one run."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    told = stream(market(3_000, 5), whole, days=range(2), ledger="rows")
    assert (told.made, told.found) == (3, 0)
    stream(market(3_000, 5), parts, blocks=range(1, 2), days=range(2), ledger="rows")
    torn = parts / "block-00000.part"
    torn.mkdir()
    (torn / "attributes.parquet").write_bytes(b"half")
    told = stream(market(3_000, 5), parts, days=range(2), ledger="rows")
    assert (told.made, told.found) == (2, 1)
    assert read(parts) == read(whole)
    assert not list(parts.glob("*.part"))


def test_a_folder_of_another_market_is_refused(tmp_path: Path) -> None:
    """Seed, size, days and ledger are held against what the folder says it holds."""
    stream(market(1_000, 5), tmp_path, blocks=range(0))
    for wrong, words in (
        (market(1_000, 6), {}), (market(2_000, 5), {}),
        (market(1_000, 5), {"ledger": "rows"}), (market(1_000, 5), {"days": range(3)}),
    ):  # fmt: skip
        with pytest.raises(InputError, match="the folder holds"):
            stream(wrong, tmp_path, **words)
    with pytest.raises(InputError, match="no ledger"):
        stream(market(1_000, 5), tmp_path, ledger="poem")


def test_features_are_the_ledger_summed(small: Market) -> None:
    """A feature is the sum of its category's rows received before day 0, person by person."""
    rows = small.transactions(0, None, small.start_us)
    sums = rows.group_by(["user_id", "category"]).aggregate([("amount_minor", "sum")])
    found = small.ledger_features(0)
    whole = {
        (user, kind): amount
        for user, kind, amount in zip(
            sums["user_id"].to_pylist(), sums["category"].to_pylist(),
            sums["amount_minor_sum"].to_pylist(), strict=True,
        )
    }  # fmt: skip
    for kind in CATEGORIES:
        wanted = [whole.get((user, kind), 0) for user in found["user_id"].to_pylist()]
        assert found[f"{kind}_minor"].to_pylist() == wanted
    assert pc.sum(found["transactions"]).as_py() == rows.num_rows


def test_the_command_writes_what_the_verb_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``python -m jinqiao.synthetic`` writes blocks and says how many; a wrong word is a fault."""
    words = [str(tmp_path / "out"), "--size", "2000", "--blocks", "1:2", "--days", "0:1"]
    assert main(words) == 0
    assert "blocks made 1, found 0" in capsys.readouterr().out
    assert pq.read_table(tmp_path / "out" / "block-00001" / "features.parquet").num_rows == 1_000
    assert main([*words, "--seed", "2"]) == 2
    assert "another folder" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_market(tmp_path: Path) -> None:
    """The peak of blocks of a market of a million is that of a small one's, within a tenth."""
    peaks = []
    for size, first in ((4_000, 0), (1_000_000, 600)):
        made = market(size, 1)
        made.houses, made.goods  # noqa: B018
        tracemalloc.start()
        stream(made, tmp_path / str(size), blocks=range(first, first + 4), days=range(1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_a_life_s_memory_follows_what_was_shown() -> None:
    """A life of a million people remembers the few it showed something, and no more."""
    made = market(1_000_000, 1)
    life = made.life(tally=False)
    empty = life.bytes
    visits = made.visits(0, 700)
    sessions = made.sessions(0, 700)
    shown = sessions.select(["session_id", "user_id", "occurred_at"])
    shown = shown.append_column("trace_id", shown["session_id"])
    number = np.ones(len(visits), np.int8)
    shown = shown.append_column("position", [number])
    shown = shown.append_column("product_id", made.product_ids.take(number.astype(np.int64)))
    made._keep("visits", 0, lambda: visits)
    life.respond(shown)
    assert empty < 100_000
    assert life.bytes < 100_000
    assert life._tally is None


@settings(max_examples=30, deadline=None)
@given(
    shown=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 15), st.integers(0, 4)), max_size=400
    ),
    seed=st.integers(0, 9),
)
def test_sights_are_those_of_a_plain_book(shown: list[tuple[int, int, int]], seed: int) -> None:
    """What is remembered equals a dictionary that never forgets, whatever order owners come in."""
    shown = sorted(shown)  # in time order; owners are then mixed, each keeping its own order
    rng = np.random.default_rng(seed)
    turn = {owner: rng.random() for _, owner, _ in shown}
    table, book = Sights(), {}
    for day, owner, product in sorted(shown, key=lambda one: (turn[one[1]], one[0])):
        key, more = owner * 5 + product, np.float32(0.65)
        had, at = book.get(key, (0.0, day))
        left = had * 0.5 ** ((day - at) / 5.0)
        book[key] = (float(np.float32((left if left >= FAINT else 0.0) + more)), day)
        table.add(np.array([key]), np.array([day], np.int32), np.array([more]), 5)
    table._rebuild(3_000, 5)
    last = {owner: max(d for d, o, _ in shown if o == owner) for _, owner, _ in shown}
    for key, (had, at) in book.items():
        day = last[key // 5] + 3
        left = had * 0.5 ** ((day - at) / 5.0)
        got = table.strength(np.array([key]), np.array([day], np.int32))[0]
        assert got == pytest.approx(left if left >= FAINT else 0.0, rel=1e-6)


def test_sights_are_let_go(small: Market) -> None:
    """What was shown long before an owner's last visit takes no room once the table is rebuilt."""
    table = Sights()
    for day in range(0, 4_000, 2):
        keys = np.arange(4) + (day % 5) * 7 % 35
        table.add(keys, np.full(4, day, np.int32), np.ones(4, np.float32), 1_000)
    many = Sights()
    for day in range(400):
        keys = np.arange(20) + 20 * day
        many.add(keys, np.full(20, day, np.int32), np.ones(20, np.float32), 1 << 40)
    assert many.bytes < 60_000
    assert table.bytes < 60_000


def test_marks_keep_the_earliest_or_the_latest() -> None:
    """Each key has one instant, whatever the order it was told in, through any growth."""
    rng = np.random.default_rng(3)
    keys, at = rng.integers(0, 3_000, 9_000), rng.integers(0, DAY_US, 9_000)
    first, last = Marks(2**60), Marks(-(2**60))
    for part in np.array_split(np.arange(9_000), 30):
        first.keep(keys[part], at[part], latest=False)
        last.keep(keys[part], at[part], latest=True)
    for key in np.unique(keys)[:200]:
        mine = at[keys == key]
        assert first.of(np.array([key]))[0] == mine.min()
        assert last.of(np.array([key]))[0] == mine.max()
    assert first.copy().of(np.array([5_000]))[0] == 2**60
