"""One row group as arrays, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError
from jinqiao.match.files.layout import PairFiles, Place

__all__ = ["Group", "checked", "decoded"]

_RANGE = {
    "value": (-1e15, 1e15, "drop the pair or give it a finite number"),
    "use": (0.0, 1e15, "use 0 or more"),
    "cost": (-1e15, 1e15, "give it a finite number"),
    "approval": (0.0, 1.0, "use a chance in [0, 1]"),
    "slots": (0, 2**31 - 1, "use 0 or more"),
    "segment": (0, 2**31 - 1, "number segments from 0"),
}


@dataclass(frozen=True, eq=False)
class Group:
    """The columns of a row group, and where its customers begin (the first at 0)."""

    columns: dict[str, NDArray[Any]]
    starts: NDArray[np.int64]

    @property
    def n_pairs(self) -> int:
        return len(self.columns["product"])


def decoded(files: PairFiles, place: Place, file: Any, threads: bool = True) -> Group:
    """Return a row group; products as uint16 where they fit, numbers as they are stored.

    Raises SchemaError for a column of another kind, InputError for a null.
    """
    import pyarrow as pa

    try:
        table = file.read_row_group(place.group, columns=list(files.columns), use_threads=threads)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read: {error}", record=files.name(place)) from error
    columns = {name: _array(files, place, name, table[name]) for name in files.columns}
    customer = columns["customer"]
    new = np.flatnonzero(customer[1:] != customer[:-1]) + 1
    first = np.zeros(min(len(customer), 1), np.int64)
    return Group(columns, np.concatenate((first, new)))


def _array(files: PairFiles, place: Place, name: str, column: Any) -> NDArray[Any]:
    if column.null_count:
        row = next(i for i, value in enumerate(column) if not value.is_valid)
        raise InputError(
            "a null", record=f"{files.name(place)}, row {row}", field=name,
            fix="drop the row or fill it in",
        )  # fmt: skip
    array: NDArray[Any] = column.combine_chunks().to_numpy(zero_copy_only=False)
    kinds = "iu" if name in ("customer", "product", "slots", "segment") else "iuf"
    if array.dtype.kind not in kinds:
        raise SchemaError(
            f"{column.type} where {'whole numbers' if kinds == 'iu' else 'numbers'} belong",
            record=files.name(place), field=name,
        )  # fmt: skip
    if name == "customer":
        return array.astype(np.int64, copy=False)
    if name in ("slots", "segment"):
        return _narrowed(array, np.int32)
    if name == "product":
        return _narrowed(array, np.uint16 if files.n_products <= 2**16 else np.int32)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _narrowed(array: NDArray[Any], kind: Any) -> NDArray[Any]:
    """Return the array in a smaller kind; what does not fit stays, to be found."""
    if array.dtype == kind or not array.size:
        return array.astype(kind, copy=False)
    limits = np.iinfo(kind)
    if array.min() < limits.min or array.max() > limits.max:
        return array.astype(np.int64)
    return array.astype(kind)


def checked(files: PairFiles, place: Place, group: Group) -> None:
    """Refuse what is out of its range, naming file, row group, row and field."""
    columns = group.columns

    def refuse(bad: NDArray[np.bool_], name: str, told: str, fix: str) -> None:
        row = int(np.argmax(bad))
        who = columns["customer"][row]
        raise InputError(
            told.format(columns[name][row]), field=name, fix=fix,
            record=f"{files.name(place)}, row {row} (customer {who})",
        )  # fmt: skip

    if not group.n_pairs:
        return
    customer, product = columns["customer"], columns["product"]
    if int(customer[group.starts][:-1].size) and (np.diff(customer[group.starts]) < 0).any():
        fall = np.concatenate(([False], customer[1:] < customer[:-1]))
        refuse(fall, "customer", "customer {} after a higher one", "sort the rows by customer")
    if product.min() < 0 or product.max() >= files.n_products:
        bad = (product < 0) | (product >= files.n_products)
        refuse(bad, "product", "unknown product {}", f"use 0…{files.n_products - 1}")
    for name in columns:
        if name in _RANGE:
            low, high, fix = _RANGE[name]
            part = columns[name]
            if not (part.min() >= low and part.max() <= high):
                bad = ~((part >= low) & (part <= high))
                refuse(bad, name, f"{{}} is not a number in [{low:g}, {high:g}]", fix)
    twice = _twice(group)
    if twice is not None:
        refuse(twice, "product", "product {} twice for one customer", "keep one pair of the two")
    for name in ("slots", "segment"):
        if name in columns:
            own = np.repeat(group.starts, np.diff(group.starts, append=group.n_pairs))
            other = columns[name] != columns[name][own]
            if other.any():
                refuse(other, name, "{} beside another of the same customer", "one a customer")


def _twice(group: Group) -> NDArray[np.bool_] | None:
    """Return which rows have a product that their customer had before, or None."""
    product = group.columns["product"]
    fall = np.zeros(group.n_pairs, bool)
    fall[1:] = product[1:] <= product[:-1]
    fall[group.starts] = False
    if not fall.any():
        return None  # ascending within each customer, so none can be there twice
    owner = np.repeat(np.arange(len(group.starts)), np.diff(group.starts, append=group.n_pairs))
    order = np.lexsort((product, owner))
    same = (np.diff(owner[order]) == 0) & (np.diff(product[order].astype(np.int64)) == 0)
    found = np.zeros(group.n_pairs, bool)
    found[order[1:][same]] = True
    return found if found.any() else None
