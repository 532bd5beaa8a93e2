"""Topics and pieces, only in the words that were approved."""

from __future__ import annotations

from jinqiao.domain.content import Material
from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine

__all__ = ["one_piece", "topics"]


def topics(engine: Engine) -> tuple[Material, ...]:
    """Return every approved piece, by class and topic; general ones first."""
    from jinqiao import content
    from jinqiao.flow.pieces import all_pieces

    with engine.records.reading() as tx:
        standing = content.approved(tx, all_pieces(engine))
    return tuple(sorted(standing, key=lambda p: (p.product_class or "", p.topic, p.content_id)))


def one_piece(engine: Engine, content_id: str) -> Material:
    """Return one approved piece; raise NotFound for any other."""
    for piece in topics(engine):
        if piece.content_id == content_id:
            return piece
    raise NotFound("no such piece", record=content_id)
