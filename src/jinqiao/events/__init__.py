"""Intake: what arrives is checked, counted once, and kept; what is refused is kept too.

In: Segment-style messages and batches, CloudEvents, NDJSON, CSV and Parquet files, Arrow tables of
RAW_*. Out: lake rows of BEHAVIOUR, TRANSACTIONS, ATTRIBUTES; ``Received``; refused rows to mend and
replay. Always: received = accepted + rejected + duplicate; any order, repetition or splitting of a
stream gives the same rows; a crash between two steps is mended by the same batch again. From:
Segment's tracking spec, CloudEvents 1.0, idempotent receiver (Hohpe and Woolf 2003).
"""

from jinqiao.events.files import accept_file
from jinqiao.events.intake import accept_messages, accept_table
from jinqiao.events.received import KINDS, Batch, Door, Received
from jinqiao.events.replay import forget, refused_bodies, replay

__all__ = [
    "KINDS",
    "Batch",
    "Door",
    "Received",
    "accept_file",
    "accept_messages",
    "accept_table",
    "forget",
    "refused_bodies",
    "replay",
]
