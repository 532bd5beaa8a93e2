"""What a row must be to enter the lake, checked a column at a time; only bad rows are touched.

Each rule gives the rows that break it; the first rule a row breaks is its fault.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec

from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.money import CURRENCIES
from jinqiao.domain.tables import TableSchema
from jinqiao.domain.time import DAY_US, from_us
from jinqiao.events.values import Faults

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DIRECT_IDENTIFIERS", "PROPERTIES_BYTES", "check_rows"]

ID_CHARACTERS = 128
PROPERTIES_BYTES = 8 * 1024
AMOUNT_LIMIT_MINOR = 10**15
_DIGEST = r"^[A-Za-z0-9_:.\-]{1,64}$"
_NAME = r"^[a-z][a-z0-9_]{0,63}$"

DIRECT_IDENTIFIERS = frozenset(
    {
        "address", "avatar", "bank_card", "card_number", "email", "first_name", "full_name",
        "id_card", "id_number", "last_name", "mobile", "name", "passport", "phone",
        "phone_number", "real_name", "username", "website",
    }
)  # fmt: skip
"""Names of values that lead to a person: sealed in records or not kept, never in the lake."""

_WORDS: dict[str, Collection[str]] = {
    "type": ("track", "page", "identify", "alias"),
    "currency": tuple(CURRENCIES),
    "category": tuple(CATEGORIES),
    "instrument": ("bank", "card", "wallet"),
}
_LENGTHS = {
    "event": 64, "session_id": ID_CHARACTERS, "channel": 32, "scene": 32, "source": 32,
    "product_id": ID_CHARACTERS, "memo": 1_000, "text": 256, "user_id": 256,
}  # fmt: skip
CITY_TIERS = (1, 6)
LIFE_YEARS = 120
_LEVELS: dict[str, tuple[int, int]] = {"city_tier": CITY_TIERS, "risk_tolerance": (1, 5)}
"""Attributes that are a number in a range; ``birth_year`` is one too, of the last 120 years."""
_IDS = ("transaction_id", "message_id", "attribute_id", "account_id")


def check_rows(table: pa.Table, schema: TableSchema, now_us: int, faults: Faults) -> None:
    """Mark every row of a RAW_* table that may not enter the lake.

    ``table`` has the schema's columns and types, any of them possibly null; ``now_us`` is the
    instant of arrival (nothing happens more than a day after it arrived).
    """
    columns = {name: _whole(table.column(name)) for name in schema.names}
    _missing(columns, schema, faults)
    for name, array in columns.items():
        limit = ID_CHARACTERS if name in _IDS else _LENGTHS.get(name)
        if limit is not None:
            _too_long(array, name, limit, faults)
        if name in _WORDS:
            _unknown_word(array, name, faults)
    _instants(columns, now_us, faults)
    _amounts(columns, faults)
    if "city_tier" in columns:
        _outside(columns["city_tier"], "city_tier", *CITY_TIERS, faults)
    if "counterparty_key" in columns:
        _unmatched(columns["counterparty_key"], _DIGEST, "intake_not_a_digest", faults)
    if "properties" in columns:
        _properties(columns["properties"], faults)
    if "attribute" in columns:
        _attributes(columns, faults)
        _ranges(columns, now_us, faults)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _missing(columns: dict[str, pa.Array], schema: TableSchema, faults: Faults) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in schema.columns:
        array = columns[column.name]
        if column.nullable:
            continue
        if array.null_count:
            faults.mark_all(pc.is_null(array), "intake_missing", column.name)
        if pa.types.is_string(array.type):
            blank = pc.equal(pc.binary_length(array), 0)
            faults.mark_all(_true(blank), "intake_missing", column.name)


def _too_long(array: pa.Array, name: str, limit: int, faults: Faults) -> None:
    import pyarrow.compute as pc

    widest = pc.max(pc.binary_length(array)).as_py()
    if widest is not None and widest > limit:
        bad = pc.greater(pc.utf8_length(array), limit)
        faults.mark_all(_true(bad), "intake_too_long", name, limit=limit)


def _unknown_word(array: pa.Array, name: str, faults: Faults) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.is_in(array, value_set=pa.array(list(_WORDS[name]), pa.string()))
    bad = pc.and_(pc.is_valid(array), pc.invert(known))
    faults.mark_all(bad, "intake_unknown_word", name, known=len(_WORDS[name]))


def _instants(columns: dict[str, pa.Array], now_us: int, faults: Faults) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    latest = pa.scalar(now_us + DAY_US, pa.int64())
    received = pc.cast(columns["received_at"], pa.int64())
    faults.mark_all(_true(pc.greater(received, latest)), "intake_future", "received_at", hours=24)
    occurred = pc.cast(columns["occurred_at"], pa.int64())
    faults.mark_all(_true(pc.less(occurred, 0)), "intake_before_1970", "occurred_at")
    arrived = pc.add(pc.coalesce(received, pa.scalar(now_us, pa.int64())), DAY_US)
    faults.mark_all(_true(pc.greater(occurred, arrived)), "intake_future", "occurred_at", hours=24)


def _amounts(columns: dict[str, pa.Array], faults: Faults) -> None:
    for name in ("amount_minor", "balance_minor"):
        if name in columns:
            _outside(columns[name], name, -AMOUNT_LIMIT_MINOR, AMOUNT_LIMIT_MINOR, faults)


def _outside(array: pa.Array, name: str, low: int, high: int, faults: Faults) -> None:
    import pyarrow.compute as pc

    least, most = pc.min_max(array).as_py().values()
    if least is not None and (least < low or most > high):
        bad = pc.or_(pc.less(array, low), pc.greater(array, high))
        faults.mark_all(_true(bad), "intake_out_of_range", name, low=low, high=high)


def _unmatched(array: pa.Array, pattern: str, code: str, faults: Faults) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    words = array.dictionary_encode()
    good = pc.match_substring_regex(words.dictionary, pattern)
    if good.false_count:
        bad_words = pc.filter(words.dictionary, pc.invert(good))
        bad = pc.is_in(array, value_set=pa.array(bad_words, array.type))
        faults.mark_all(bad, code, "counterparty_key" if "digest" in code else "attribute")


def _properties(array: pa.Array, faults: Faults) -> None:
    import pyarrow.compute as pc

    _too_long_bytes = _true(pc.greater(pc.binary_length(array), PROPERTIES_BYTES))
    faults.mark_all(_too_long_bytes, "intake_too_large", "properties", limit=PROPERTIES_BYTES)
    decode = msgspec.json.Decoder().decode
    for place in pc.indices_nonzero(pc.is_valid(array)).to_pylist():
        if not _is_object(decode, array[place].as_py()):
            faults.mark(place, "intake_not_an_object", "properties")


def _is_object(decode: Any, text: str) -> bool:
    try:
        return isinstance(decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False


def _attributes(columns: dict[str, pa.Array], faults: Faults) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    names = columns["attribute"]
    _unmatched(names, _NAME, "intake_not_a_name", faults)
    direct = pc.is_in(names, value_set=pa.array(sorted(DIRECT_IDENTIFIERS), pa.string()))
    faults.mark_all(direct, "intake_direct_identifier", "attribute")
    nothing = pc.and_(pc.is_null(columns["number"]), pc.is_null(columns["text"]))
    faults.mark_all(nothing, "intake_no_value", "number")
    finite = pc.fill_null(pc.is_finite(columns["number"]), True)
    faults.mark_all(pc.invert(finite), "intake_not_finite", "number")


def _ranges(columns: dict[str, pa.Array], now_us: int, faults: Faults) -> None:
    """Mark attributes that are a number in a range and are no number, or lie outside it."""
    import pyarrow.compute as pc

    year = from_us(now_us).year
    ranges = {**_LEVELS, "birth_year": (year - LIFE_YEARS, year + 1)}
    number = columns["number"]
    for name, (low, high) in ranges.items():
        mine = _true(pc.equal(columns["attribute"], name))
        if not mine.true_count:
            continue
        faults.mark_all(pc.and_(mine, pc.is_null(number)), "intake_wrong_type", "number",
                        type="number")  # fmt: skip
        bad = pc.or_(pc.less(number, low), pc.greater_equal(number, high + 1))
        faults.mark_all(pc.and_(mine, _true(bad)), "intake_out_of_range", "number",
                        low=low, high=high)  # fmt: skip


def _true(mask: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.fill_null(mask, False) if mask.null_count else mask
