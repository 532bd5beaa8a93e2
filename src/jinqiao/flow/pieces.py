"""Content at the desk: every piece, who approved its exact words, and those beside a shelf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinqiao.domain.content import Material
from jinqiao.errors import NotFound
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = ["all_pieces", "approve_piece", "approved_pieces", "content_list"]


def all_pieces(engine: Engine) -> tuple[Material, ...]:
    """Return the workspace's pieces and, under ids it does not use, the ones jinqiao ships."""
    from jinqiao import content

    own = content.load(engine.workspace.content) if engine.workspace.content.is_dir() else ()
    mine = {piece.content_id for piece in own}
    shipped = [piece for piece in content.load() if piece.content_id not in mine]
    return tuple(sorted((*own, *shipped), key=lambda piece: piece.content_id))


def content_list(engine: Engine) -> list[dict[str, Any]]:
    """Return every piece with its digest and the institutions that approved exactly its words."""
    pieces = all_pieces(engine)
    with engine.records.reading() as tx:
        rows = tx.find("content_approvals", {"withdrawn_at": None})
    by: dict[str, list[str]] = {}
    for row in rows:
        by.setdefault(row["digest"], []).append(row["institution_id"])
    return [
        {
            "content_id": p.content_id, "topic": p.topic,
            "product_class": p.product_class.value if p.product_class else None,
            "title_zh": p.title_zh, "title_en": p.title_en, "digest": p.digest,
            "approved_by": sorted(by.get(p.digest, ())),
        }
        for p in pieces
    ]  # fmt: skip


def approve_piece(
    engine: Engine, content_id: str, *, institution_id: str, actor: str, withdraw: bool = False
) -> bool:
    """Record that an institution approves a piece's exact words, or no longer does.

    Returns False when that was so already. Raises NotFound for an unknown piece or institution.
    """
    from jinqiao import content

    piece = next((one for one in all_pieces(engine) if one.content_id == content_id), None)
    if piece is None:
        raise NotFound("no such piece", record=content_id, fix="see `jinqiao content list`")
    if engine.catalog().institution(institution_id) is None:
        raise NotFound(
            "no such institution", record=institution_id, fix="see `jinqiao catalog list`"
        )
    verb = content.disapprove if withdraw else content.approve

    def step(tx: Tx) -> bool:
        return verb(tx, piece, institution_id=institution_id, actor=actor, now_us=engine.clock())

    return bool(engine.write(step, durable=True))


def approved_pieces(engine: Engine) -> tuple[Material, ...]:
    """Return the pieces whose exact words some institution approves now."""
    from jinqiao import content

    with engine.records.reading() as tx:
        return content.approved(tx, all_pieces(engine))
