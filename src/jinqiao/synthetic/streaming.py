"""A market too large to hold, written block by block: in the memory of one block, and resumable.

A block of 1,000 people is a folder of Parquet files that appears whole or not at all, so a run cut
off goes on where it was. Ledgers are written row by row, or reduced to features and not kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.errors import InputError
from jinqiao.synthetic.rows import digits

if TYPE_CHECKING:
    from jinqiao.synthetic.market import Market
    from jinqiao.synthetic.people import People
    from jinqiao.synthetic.rows import Lines

__all__ = ["Streamed", "block_tables", "ledger_features", "stream"]

MANIFEST = "market.json"
LEDGERS = ("features", "rows", "none")
Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a run of ``stream`` wrote: blocks made now, blocks found whole, and rows by table."""

    made: int
    found: int
    rows: dict[str, int]


def stream(
    market: Market,
    root: Path,
    *,
    blocks: range | None = None,
    days: range = range(0),
    ledger: str = "features",
    progress: Progress | None = None,
) -> Streamed:
    """Write a market's blocks under ``root`` and return what was written.

    Parameters
    ----------
    blocks : which blocks; None for all. Several processes may share a root on disjoint blocks.
    days : the days whose sessions and behaviour are written; none by default.
    ledger : "features" (one row a person, see ``ledger_features``), "rows" or "none".
    progress : told "block 17" and the share done.

    Raises
    ------
    InputError : ``root`` holds another market, or ``ledger`` is no known way.
    """
    if ledger not in LEDGERS:
        raise InputError(f"no ledger {ledger!r}", field="ledger", fix=f"use {', '.join(LEDGERS)}")
    wanted = market.blocks if blocks is None else blocks
    _claim(market, root, days, ledger)
    made, found, rows = 0, 0, dict[str, int]()
    for number, block in enumerate(wanted):
        if progress is not None:
            progress(f"block {block}", number / len(wanted))
        folder = root / f"block-{block:05d}"
        if folder.is_dir():
            found += 1
            continue
        for name, count in _write(market, folder, block, (days, ledger)).items():
            rows[name] = rows.get(name, 0) + count
        made += 1
    return Streamed(made, found, rows)


def block_tables(
    market: Market, block: int, days: range = range(0), ledger: str = "features"
) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and table of everything a platform would receive of one block's people."""
    yield "attributes", market.attributes(block)
    yield "identifiers", market.identifiers(block)
    yield "consents", market.consents(block)
    yield "partner", market.partner(block)
    if ledger == "features":
        yield "features", market.ledger_features(block)
    if ledger == "rows":
        yield "transactions", market.transactions(block)
        yield "debts", market.debts(block)
        yield "settlements", market.settlements(block)
        yield "orders", market.orders(block)
    for day in days:
        yield f"sessions-{day:04d}", market.sessions(day, block)
        yield f"behaviour-{day:04d}", market.behaviour(day, block)


def ledger_features(people: People, lines: Lines, until_us: int) -> pa.Table:
    """Return a block's ledger as one row a person: what was received before an instant, summed.

    user_id, transactions, lowest_balance_minor (bank and wallet apart, the lower; null without
    rows) and for each category of ``domain.ledger`` ``<category>_minor``, a sum.
    """
    n, kinds = len(people), len(CATEGORIES)
    here = (lines.received_us < until_us) & (lines.person < n)
    person, category = lines.person[here].astype(np.int64), lines.category[here].astype(np.int64)
    sums = np.zeros(n * kinds, np.int64)
    np.add.at(sums, person * kinds + category, lines.amount[here])
    lowest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(lowest, person, lines.balance[here])
    count = np.bincount(person, minlength=n)
    by_kind = sums.reshape(n, kinds)
    return pa.table(
        {
            "user_id": digits("u", people.index, 8),
            "transactions": pa.array(count),
            "lowest_balance_minor": pa.array(lowest, mask=count == 0),
            **{f"{name}_minor": pa.array(by_kind[:, k]) for k, name in enumerate(CATEGORIES)},
        }
    )


def _write(market: Market, folder: Path, block: int, what: tuple[range, str]) -> dict[str, int]:
    """Write one block beside its place, then move it there whole; return rows by table."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    rows: dict[str, int] = {}
    for name, table in block_tables(market, block, *what):
        pq.write_table(table, scratch / f"{name}.parquet", compression="zstd")
        kind = name.partition("-")[0]
        rows[kind] = rows.get(kind, 0) + table.num_rows
    scratch.rename(folder)
    return rows


def _claim(market: Market, root: Path, days: range, ledger: str) -> None:
    """Say what is in a folder, or hold what is said there against what is asked."""
    told: dict[str, Any] = {
        "market": market.version, "size": market.size, "seed": market.seed,
        "institutions": len(market.institutions), "products": len(market.products),
        "days": [days.start, days.stop], "ledger": ledger,
    }  # fmt: skip
    path = root / MANIFEST
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        for name, value in told.items():
            if kept.get(name) != value:
                raise InputError(
                    f"the folder holds {name} {kept.get(name)!r}, asked is {value!r}",
                    record=str(root), field=name, fix="name another folder",
                )  # fmt: skip
        return
    root.mkdir(parents=True, exist_ok=True)
    files = json.dumps(market.institution_files(), ensure_ascii=False)
    (root / "institutions.json").write_text(files, encoding="utf-8")
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
