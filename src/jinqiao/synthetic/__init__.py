"""A generated market whose truth is known: people, ledgers, institutions, visits and outcomes.

In: a size, a seed, a spec. Out: everything a platform would receive, with the instants at which it
would arrive; a life that answers to what is shown. Always: same seed, same bytes; a person is the
same at any size; nothing hidden leaves but through ``truth``, which only ``flow.evaluate`` reads.
From: docs/explanation/market.md. It is generated, never presented as real.
"""

from __future__ import annotations

from jinqiao.synthetic.life import Life
from jinqiao.synthetic.market import Market, market

__all__ = ["Life", "Market", "market"]
