"""Approvals: an institution approved exactly these words; other words are another piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jinqiao.domain.content import Material
from jinqiao.errors import InputError
from jinqiao.store.base import Tx

__all__ = ["approve", "approved", "disapprove"]

_TABLE = "content_approvals"


def approve(tx: Tx, piece: Material, *, institution_id: str, actor: str, now_us: int) -> bool:
    """Record that an institution approved a piece's exact text; return False when it had already.

    The digest is what is approved: an edited piece has another digest and no approval.
    """
    if not actor.strip() or not institution_id.strip():
        raise InputError("an approval names an institution and a person", field="actor")
    key = {"digest": piece.digest, "institution_id": institution_id}
    found = tx.get(_TABLE, key, lock=True)
    if found is not None and found["withdrawn_at"] is None:
        return False
    row = {
        "content_id": piece.content_id,
        "actor": actor,
        "approved_at": now_us,
        "withdrawn_at": None,
        "withdrawn_by": None,
    }
    tx.upsert(_TABLE, [key | row])
    return True


def disapprove(tx: Tx, piece: Material, *, institution_id: str, actor: str, now_us: int) -> bool:
    """Withdraw an institution's approval of a piece; return False when there was none."""
    where = {"digest": piece.digest, "institution_id": institution_id, "withdrawn_at": None}
    return bool(tx.update(_TABLE, where, {"withdrawn_at": now_us, "withdrawn_by": actor}))


def approved(
    tx: Tx, pieces: Sequence[Material], *, institutions: Iterable[str] | None = None
) -> tuple[Material, ...]:
    """Return the pieces whose exact text has a standing approval, in the order given.

    ``institutions``: only approvals of these count (None: of any).
    """
    where: dict[str, object] = {"withdrawn_at": None, "digest": [one.digest for one in pieces]}
    if institutions is not None:
        where["institution_id"] = list(institutions)
    standing = {row["digest"] for row in tx.find(_TABLE, where)} if pieces else set()
    return tuple(one for one in pieces if one.digest in standing)
