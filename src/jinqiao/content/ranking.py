"""Which pieces stand beside a shelf: those on what it shows, the top of it first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jinqiao.domain.content import Material
from jinqiao.domain.stage import ProductClass

__all__ = ["rank"]

_GENERAL = 0.2
"""A piece on no class counts as much as an offer at the fifth place."""
_READ = 0.25
"""A piece read before counts a quarter."""


def rank(
    pieces: Sequence[Material],
    classes: Sequence[ProductClass],
    *,
    read: Collection[str] = (),
    count: int = 3,
) -> tuple[Material, ...]:
    """Return up to ``count`` pieces for a shelf, best first; at most one of each topic.

    A piece scores the sum of 1 ÷ position over the offers of its class, less when it was read.

    Parameters
    ----------
    pieces : approved pieces.
    classes : the classes of the offers on the shelf, top first.
    read : content ids the customer has opened.
    """
    weight: dict[ProductClass | None, float] = {None: _GENERAL}
    for position, kind in enumerate(classes, start=1):
        weight[kind] = weight.get(kind, 0.0) + 1.0 / position
    scored = sorted(
        ((_score(piece, weight, read), piece) for piece in pieces),
        key=lambda pair: (-pair[0], pair[1].content_id),
    )
    chosen: dict[str, Material] = {}
    for score, piece in scored:
        if score > 0.0 and piece.topic not in chosen and len(chosen) < count:
            chosen[piece.topic] = piece
    return tuple(chosen.values())


def _score(
    piece: Material, weight: dict[ProductClass | None, float], read: Collection[str]
) -> float:
    score = weight.get(piece.product_class, 0.0)
    return score * _READ if piece.content_id in read else score
