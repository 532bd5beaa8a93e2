"""What an intake is handed and what it says back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jinqiao.domain.identity import IdentifierLink
from jinqiao.domain.row_fault import RowFault
from jinqiao.domain.tables import (
    ATTRIBUTES,
    BEHAVIOUR,
    RAW_ATTRIBUTES,
    RAW_BEHAVIOUR,
    RAW_TRANSACTIONS,
    TRANSACTIONS,
    TableSchema,
)
from jinqiao.errors import InputError
from jinqiao.store.base import Lake, Records

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FAULTS_SHOWN", "KINDS", "RAW", "Batch", "Door", "Received", "total"]

FAULTS_SHOWN = 100
"""So many faults come back with a result; every one is kept in records."""

RAW: dict[str, tuple[TableSchema, TableSchema]] = {
    "behaviour": (RAW_BEHAVIOUR, BEHAVIOUR),
    "transactions": (RAW_TRANSACTIONS, TRANSACTIONS),
    "attributes": (RAW_ATTRIBUTES, ATTRIBUTES),
}
"""Kind of a table or file → as it arrives, as the lake keeps it."""
KINDS = (*RAW, "messages")


@dataclass(frozen=True, slots=True)
class Door:
    """Where rows go and who resolves and seals them; flow fills it.

    ``subjects`` maps raw user ids (n,) to subject ids (n,); ``seal_memos`` maps (subject ids,
    texts) to binary, null where the text is null; ``seal_body``/``open_body`` keep refused rows
    secret; ``owner_digest`` finds a refused row again when its owner is erased.
    """

    lake: Lake
    records: Records
    rejects: Path
    subjects: Callable[[pa.Array], pa.Array]
    seal_memos: Callable[[pa.Array, pa.Array], pa.Array]
    seal_body: Callable[[bytes], bytes]
    open_body: Callable[[bytes], bytes]
    owner_digest: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One delivery. ``batch_id`` names its content: the same id again changes nothing."""

    batch_id: str
    source: str
    now_us: int

    def part(self, number: int) -> Batch:
        """Return the ``number``-th block of this delivery, an id of its own but for the first."""
        if number == 0:
            return self
        return Batch(f"{self.batch_id}#{number}", self.source, self.now_us)


@dataclass(frozen=True, slots=True)
class Received:
    """The counts of an intake: received = accepted + rejected + duplicate, always.

    ``faults`` holds the first FAULTS_SHOWN refused rows; ``links`` the identifiers that messages
    said belong together, for ``customer.link``. ``repeated``: this very delivery was taken before,
    and these are the counts it was given then.
    """

    received: int
    accepted: int
    rejected: int
    duplicate: int
    faults: tuple[RowFault, ...] = ()
    links: tuple[IdentifierLink, ...] = ()
    repeated: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.received != self.accepted + self.rejected + self.duplicate:
            raise InputError(
                f"{self.received} received is not {self.accepted} accepted + {self.rejected} "
                f"rejected + {self.duplicate} duplicate",
                record="received",
            )


def total(parts: Iterable[Received]) -> Received:
    """Return the sum of several results; none at all is a result of zeros."""
    kept = list(parts)
    return Received(
        sum(part.received for part in kept),
        sum(part.accepted for part in kept),
        sum(part.rejected for part in kept),
        sum(part.duplicate for part in kept),
        tuple(fault for part in kept for fault in part.faults)[:FAULTS_SHOWN],
        tuple(link for part in kept for link in part.links),
        bool(kept) and all(part.repeated for part in kept),
    )
