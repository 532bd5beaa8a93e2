"""A generated market whose truth is known: people, ledgers, institutions, visits and outcomes.

In: a size, a seed, a spec. Out: everything a platform would receive, with the instants at which it
would arrive; a life that answers to what is shown. Always: same seed, same bytes; a person is the
same at any size; nothing hidden leaves but through ``truth``, which only ``flow.evaluate`` reads.
From: docs/explanation/market.md. It is generated, never presented as real.
"""

from __future__ import annotations

from jinqiao.synthetic.life import Life
from jinqiao.synthetic.market import Market, market
from jinqiao.synthetic.streaming import Streamed, stream

__all__ = ["Life", "Market", "Streamed", "market", "stream", "warm_up"]


def warm_up() -> None:
    """Compile the market's kernels into Numba's cache, by showing one person one offer."""
    import numpy as np
    import pyarrow as pa

    from jinqiao.engines.ordered import Places, ordered_pass

    small = market(1, 1)
    sessions = next(table for day in range(400) if (table := small.sessions(day)).num_rows)
    shown = sessions.select(["session_id", "user_id", "occurred_at"]).slice(0, 1)
    shown = shown.append_column("trace_id", shown["session_id"])
    shown = shown.append_column("position", pa.array([1], pa.int8()))
    life = small.life()
    life.respond(shown.append_column("product_id", small.product_ids.slice(0, 1)))
    life._active.keep(np.zeros(1, np.int64), np.zeros(1, np.int64), latest=False)
    none, one = np.zeros(1), np.zeros(1, np.int64)
    ordered_pass(np.array([0, 1]), one, (none, none, none), (none, none), Places(none, one, 1))
