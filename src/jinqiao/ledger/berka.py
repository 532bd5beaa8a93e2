"""The Berka bank (PKDD'99): its public ``.asc`` files or Parquet tables, as raw transactions.

Source: Berka and Sochorova 1999. Amounts are CZK; a row is dated, not timed: it happened on its day
and is known when the day is over. Rows of one day are put in the order their balances tell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.tables import RAW_TRANSACTIONS
from jinqiao.domain.time import DAY_US
from jinqiao.engines import tables
from jinqiao.errors import NotFound, SchemaError
from jinqiao.ledger.balance import in_order

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BERKA_COLUMNS", "BERKA_TABLES", "berka_transactions", "category_of", "read_berka", "sign_of",
]  # fmt: skip

BERKA_TABLES = ("account", "card", "client", "disp", "district", "loan", "order", "trans")

_K_SYMBOL = {
    "UROK": "interest_income", "interest credited": "interest_income",
    "DUCHOD": "pension", "old-age pension": "pension",
    "SIPO": "household", "household payment": "household",
    "POJISTNE": "insurance_premium", "insurance payment": "insurance_premium",
    "UVER": "loan_instalment", "loan payment": "loan_instalment",
    "SANKC. UROK": "penalty", "sanction interest": "penalty",
    "SLUZBY": "fee", "payment for statement": "fee",
}  # fmt: skip
_OPERATION = {
    "VKLAD": "cash_in", "credit in cash": "cash_in",
    # one a month from one payer, on the bank's whole ledger
    "PREVOD Z UCTU": "salary", "collection from another bank": "salary",
    "VYBER": "cash_out", "withdrawal in cash": "cash_out",
    "VYBER KARTOU": "cash_out", "credit card withdrawal": "cash_out",
    "PREVOD NA UCET": "transfer_out", "remittance to another bank": "transfer_out",
}  # fmt: skip
ROUNDING_MINOR = 10
"""The bank keeps balances to 10 hellers, amounts to one: a day may be off by that much a row."""

_WENT_OUT = frozenset({"VYDAJ", "VYBER", "withdrawal", "withdrawal in cash"})
_CAME_IN = frozenset({"PRIJEM", "credit"})
BERKA_COLUMNS = (
    "trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol",
)  # fmt: skip
"""Columns ``trans`` must have."""
_CARD = frozenset({"VYBER KARTOU", "credit card withdrawal"})


def read_berka(folder: Path) -> dict[str, pa.Table]:
    """Return the tables found in a folder by name, as they are (``.parquet`` before ``.asc``).

    Raises NotFound when ``trans`` or ``account`` is missing, SchemaError for a damaged file.
    """
    found = {}
    for name in BERKA_TABLES:
        for suffix, read in ((".parquet", _parquet), (".asc", _asc)):
            path = folder / f"{name}{suffix}"
            if path.is_file():
                found[name] = read(path)
                break
    for name in ("trans", "account"):
        if name not in found:
            raise NotFound(
                f"no {name}.parquet or {name}.asc", record=str(folder), fix="name the data's folder"
            )
    return found


def berka_transactions(
    trans: pa.Table,
    *,
    digest: Callable[[str], str],
    user_of: Callable[[int], str] = lambda account: f"berka-{account}",
) -> pa.Table:
    """Return RAW_TRANSACTIONS of the ``trans`` table, accounts in order, days in order.

    Parameters
    ----------
    trans : columns trans_id, account_id, date, type, operation, amount, balance, k_symbol, and the
        partner's bank and account where known; original or translated codes.
    digest : keyed digest of a partner's account.
    user_of : account number → the raw user id that owns it.

    Raises SchemaError for an unknown code or date, naming the row's trans_id.
    """
    import numpy as np
    import pyarrow as pa

    table = _plain(trans)
    days = _days(table)
    order = np.lexsort((_ints(table, "trans_id"), days, _ints(table, "account_id")))
    table, days = table.take(pa.array(order)), days[order]
    accounts = _ints(table, "account_id")
    amounts = _signs(table) * _minor(table, "amount")
    balances = _minor(table, "balance")
    places, seconds = _in_order(accounts, days, amounts, balances)
    table, days = table.take(pa.array(places)), days[places]
    at = days * DAY_US
    columns = {
        "transaction_id": _named(table, "trans_id", lambda number: f"txn_berka_{number}"),
        "user_id": _named(table, "account_id", user_of),
        "account_id": _named(table, "account_id", lambda number: f"acc_berka_{number}"),
        "occurred_at": pa.array(at + seconds * 1_000_000, pa.timestamp("us")),
        "received_at": pa.array(at + DAY_US - 1, pa.timestamp("us")),
        "amount_minor": pa.array(amounts[places]),
        "currency": pa.array(["CZK"] * table.num_rows, pa.string()),
        "balance_minor": pa.array(balances[places]),
        "category": _categories(table),
        "instrument": _coded(table, ("operation",), lambda o: "card" if o in _CARD else "bank"),
        "counterparty_key": _partners(table, digest),
        "memo": pa.nulls(table.num_rows, pa.string()),
    }
    return tables.check(pa.table(columns), RAW_TRANSACTIONS)


def _ints(table: pa.Table, name: str) -> Any:
    """Return a column as whole numbers (n,) int64; null is 0."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pc.fill_null(pc.cast(table[name], pa.int64()), 0)
    except pa.ArrowInvalid as error:
        raise SchemaError("not whole numbers", record="trans", field=name) from error
    return np.asarray(column)


def _minor(table: pa.Table, name: str) -> Any:
    """Return a column of crowns as whole hellers (n,) int64."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = np.asarray(pc.cast(table[name], pa.float64()), dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise _fault(table, int(bad[0]), name, "the amount is missing")
    return np.rint(values * 100).astype(np.int64)


def _days(table: pa.Table) -> Any:
    """Return days since 1970 (n,) of dates, datetimes, or the original's yymmdd."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table["date"]
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        number = _ints(table, "date")
        parts = (1900 + number // 10_000, number // 100 % 100, number % 100)
        wrong = np.flatnonzero((parts[1] < 1) | (parts[1] > 12) | (parts[2] < 1) | (parts[2] > 31))
        if len(wrong):
            raise _fault(table, int(wrong[0]), "date", "not a yymmdd date")
        months = (parts[0] - 1970).astype("datetime64[Y]").astype("datetime64[M]") + parts[1] - 1
        return (months.astype("datetime64[D]") + parts[2] - 1).astype(np.int64)
    if column.null_count:
        place = pc.index(pc.is_null(column), True).as_py()
        raise _fault(table, place, "date", "the date is missing")
    return np.asarray(pc.cast(pc.cast(column, pa.date32()), pa.int32())).astype(np.int64)


def _fault(table: pa.Table, place: int, field: str, message: str) -> SchemaError:
    return SchemaError(message, record=f"trans_id {table['trans_id'][place].as_py()}", field=field)


def _coded(table: pa.Table, names: tuple[str, ...], meaning: Callable[..., str | None]) -> pa.Array:
    """Return the meaning of each row's codes, found once for each combination of codes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = np.zeros(table.num_rows, np.int64)
    words: list[list[str]] = []
    for name in names:
        texts = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(table[name], pa.string()), ""))
        encoded = texts.combine_chunks().dictionary_encode()
        words.append(encoded.dictionary.to_pylist())
        codes = codes * len(words[-1]) + np.asarray(encoded.indices)
    distinct, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    meanings = []
    for code, place in zip(distinct.tolist(), first.tolist(), strict=True):
        parts: list[str] = []
        for options in reversed(words):
            code, at = divmod(code, len(options))
            parts.insert(0, options[at])
        found = meaning(*parts)
        if found is None:
            raise _fault(table, place, names[0], f"no meaning for {', '.join(map(repr, parts))}")
        meanings.append(found)
    return pa.array(meanings, pa.string()).take(pa.array(inverse))


def category_of(k_symbol: str, operation: str) -> str | None:
    """Return the category of a row's codes ("" is none), original or translated; None unknown."""
    return _K_SYMBOL.get(k_symbol) if k_symbol else _OPERATION.get(operation)


def sign_of(kind: str) -> int | None:
    """Return +1 for money in, −1 for money out, None for an unknown type."""
    return -1 if kind in _WENT_OUT else 1 if kind in _CAME_IN else None


def _categories(table: pa.Table) -> pa.Array:
    return _coded(table, ("k_symbol", "operation"), category_of)


def _signs(table: pa.Table) -> Any:
    import numpy as np

    def meaning(kind: str) -> str | None:
        sign = sign_of(kind)
        return None if sign is None else "in" if sign > 0 else "out"

    ways = np.asarray(_coded(table, ("type",), meaning).to_numpy(zero_copy_only=False))
    return np.where(ways == "out", -1, 1)


def _named(table: pa.Table, column: str, name: Callable[[int], str]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    distinct, inverse = np.unique(_ints(table, column), return_inverse=True)
    names = pa.array([name(number) for number in distinct.tolist()], pa.string())
    return names.take(pa.array(inverse))


def _partners(table: pa.Table, digest: Callable[[str], str]) -> pa.Array:
    """Return the keyed digest of each row's partner account, null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "partner_account" not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    account = pa.chunked_array([pa.array(_ints(table, "partner_account"))])
    bank = pc.utf8_trim_whitespace(pc.fill_null(pc.cast(table["partner_bank"], pa.string()), ""))
    named = pc.binary_join_element_wise(bank, pc.cast(account, pa.string()), " ")
    known = pc.if_else(pc.not_equal(account, 0), named, pa.scalar(None, pa.string()))
    encoded = known.combine_chunks().dictionary_encode()
    keys = pa.array([digest(one) for one in encoded.dictionary.to_pylist()], pa.string())
    return keys.take(encoded.indices)


def _in_order(accounts: Any, days: Any, amounts: Any, balances: Any) -> tuple[Any, Any]:
    """Return (places, seconds): rows sorted by account and day put in the order of their balances.

    Rows of one account's day come a second apart; a day whose balances have no such order (the
    bank rounds to 10 hellers) stays as it is.
    """
    import numpy as np

    size = len(days)
    places, seconds = np.arange(size), np.zeros(size, np.int64)
    new = np.flatnonzero((np.diff(accounts) != 0) | (np.diff(days) != 0)) + 1
    starts = np.concatenate(([0], new)) if size else new
    ends = np.concatenate((new, [size])) if size else new
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start < 2:
            continue
        some = slice(start, end)
        before = None
        if start and accounts[start - 1] == accounts[start]:
            before = int(balances[places[start - 1]])
        found = in_order(amounts[some].tolist(), balances[some].tolist(), before, ROUNDING_MINOR)
        places[some] = start + np.array(found)
        seconds[some] = np.arange(end - start)
    return places, seconds


def _plain(trans: pa.Table) -> pa.Table:
    names = {"bank": "partner_bank", "account": "partner_account"}
    renamed = [names.get(name, name) for name in trans.column_names]
    table = trans.rename_columns(renamed)
    for name in BERKA_COLUMNS:
        if name not in renamed:
            raise SchemaError("the column is missing", record="trans", field=name)
    return table


def _parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"cannot be read as Parquet: {error}", record=str(path)) from error


def _asc(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pc

    try:
        return pc.read_csv(
            path,
            read_options=pc.ReadOptions(encoding="latin-1"),
            parse_options=pc.ParseOptions(delimiter=";", quote_char='"'),
            convert_options=pc.ConvertOptions(strings_can_be_null=True, null_values=["", " "]),
        )
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"cannot be read: {error}", record=str(path)) from error
