"""Topics and pieces, only in the words that were approved."""

from __future__ import annotations

from jinqiao.domain.content import Material
from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine

__all__ = ["one_piece", "topics"]


def topics(engine: Engine) -> tuple[Material, ...]:
    """Return every approved piece, by class and topic; general ones first."""
    from jinqiao.flow.pieces import approved_pieces

    return tuple(
        sorted(
            approved_pieces(engine), key=lambda p: (p.product_class or "", p.topic, p.content_id)
        )
    )


def one_piece(engine: Engine, content_id: str) -> Material:
    """Return one approved piece; raise NotFound for any other."""
    for piece in topics(engine):
        if piece.content_id == content_id:
            return piece
    raise NotFound("no such piece", record=content_id)
