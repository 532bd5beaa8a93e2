"""Who means harm: rings, made-up people, click bots, lead farms and shops that trade in a circle.

Five kinds, few of each, drawn within a block. What each does is read by ``chances`` (clicks,
applications, decisions), ``fate`` (default), ``visits`` (bursts), ``identity`` (what they share)
and ``ledger`` (money going round). Platforms see traces only; the label is the truth's.

Letters: n people of a block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jinqiao.synthetic.spec import Spec

__all__ = [
    "BOT", "COLLUSION", "FRAUDS", "HONEST", "LEAD", "RING", "SYNTHETIC", "assign_fraud",
    "bad_debt", "bust_days",
]  # fmt: skip

FRAUDS = ("honest", "ring", "synthetic", "bot", "lead", "collusion")
HONEST, RING, SYNTHETIC, BOT, LEAD, COLLUSION = range(6)
_GROUP = {RING: (4, 8), SYNTHETIC: (3, 5), BOT: (1, 1), LEAD: (3, 6), COLLUSION: (5, 5)}
"""Least and most members of a group."""
_SHOPS = 3
_BAD_DEBT = np.array([0.0, 2.0, 5.5, 0.0, 0.0, 3.0])
_NEVER = 1 << 30


def assign_fraud(
    rng: np.random.Generator, spec: Spec, block: int, merchant: NDArray[np.bool_]
) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    """Return each person's kind of fraud and the number of their group, −1 for none, (n,) each.

    A group of shops in collusion is three merchants and two fake buyers; every other group is of
    people. Groups stay within a block, their numbers are the market's.
    """
    n = len(merchant)
    fraud, group = np.zeros(n, np.int8), np.full(n, -1, np.int32)
    shops, others = (iter(rng.permutation(np.flatnonzero(m))) for m in (merchant, ~merchant))
    shares = {
        RING: spec.ring_share, SYNTHETIC: spec.synthetic_share, BOT: spec.bot_share,
        LEAD: spec.lead_share, COLLUSION: spec.collusion_share,
    }  # fmt: skip
    number = 0
    for kind, share in shares.items():
        for size in _sizes(rng, round(n * share), *_GROUP[kind]):
            crooked = _SHOPS if kind == COLLUSION else 0
            rows = [r for r in (next(shops, -1) for _ in range(crooked)) if r >= 0]
            rows += [next(others) for _ in range(size - crooked)]
            fraud[rows], group[rows] = kind, block * 100 + number
            number += 1
    return fraud, group


def _sizes(rng: np.random.Generator, members: int, least: int, most: int) -> list[int]:
    """Return sizes of groups that use up the members; too few for a group are left out."""
    out = []
    while members >= least:
        size = min(int(rng.integers(least, most + 1)), members)
        out.append(size)
        members -= size
    return out


def bust_days(rng: np.random.Generator, spec: Spec, fraud: NDArray[np.int8]) -> NDArray[np.int32]:
    """Return the day on which a made-up person takes the money and is gone; far off for others."""
    day = rng.integers(spec.log_days, spec.log_days + spec.plan_days + 30, len(fraud))
    return np.where(fraud == SYNTHETIC, day, _NEVER).astype(np.int32)


def bad_debt(fraud: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return what fraud adds to the risk of default, on the scale of ``People.risk``."""
    return np.asarray(_BAD_DEBT[fraud])
