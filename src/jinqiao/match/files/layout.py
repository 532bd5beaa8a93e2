"""Pair files as they lie on a disk: which columns they have, and what holds for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import InputError, SchemaError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["NEEDED", "OPTIONAL", "PairFiles", "Place"]

NEEDED = ("customer", "product", "value")
OPTIONAL = ("use", "cost", "approval", "slots", "segment")


@dataclass(frozen=True, slots=True)
class Place:
    """A row group: ``group`` of the file number ``file``."""

    file: int
    group: int


@dataclass(frozen=True, eq=False)
class PairFiles:
    """Pairs in Parquet files, customer by customer, ascending through the files in their order.

    Columns: ``customer`` (whole numbers, never falling), ``product`` (whole numbers from 0),
    ``value`` (float); if wanted ``use``, ``cost``, ``approval`` of a pair, and ``slots`` and
    ``segment`` of a customer, the same on each of the customer's rows. No nulls. Row groups of one
    to four million rows are read fastest.

    Parameters
    ----------
    path : a folder (its ``*.parquet`` in the order of their names), one file, or files in order.
    n_products : products are numbered 0 … n_products − 1.
    use, cost, approval : a number, or one a product (n_products,), where files lack the column.
    slots : K of every customer, where files lack the column.

    Raises
    ------
    InputError : no files, or a number out of its range, named.
    """

    path: Path | str | Sequence[Path | str]
    n_products: int
    use: float | NDArray[np.float64] = 1.0
    cost: float | NDArray[np.float64] = 0.0
    approval: float | NDArray[np.float64] = 0.0
    slots: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.n_products < 2**31:
            raise InputError(f"{self.n_products} products", field="n_products", fix="use 1 or more")
        if self.slots < 0:
            raise InputError(f"{self.slots} slots", field="slots", fix="use 0 or more")
        for name, low, high in (("use", 0, 1e15), ("cost", -1e15, 1e15), ("approval", 0, 1)):
            object.__setattr__(self, name, self._scalar(name, low, high))

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files in order."""
        if isinstance(self.path, (str, Path)):
            one = Path(self.path)
            found = sorted(one.glob("*.parquet")) if one.is_dir() else [one]
        else:
            found = [Path(path) for path in self.path]
        missing = [path for path in found if not path.is_file()]
        if missing or not found:
            where = missing[0] if missing else self.path
            raise InputError("no Parquet file there", record=str(where), field="path")
        return tuple(found)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every row group in order; checks that all files have the same columns."""
        wanted = self.columns
        places = []
        for number, path in enumerate(self.files):
            file = self.opened(number)
            names = set(file.schema_arrow.names)
            lost = [name for name in wanted if name not in names]
            extra = [n for n in OPTIONAL if n in names and n not in wanted]
            for name in (*lost, *extra):
                raise SchemaError(
                    "a column that not all files have", record=str(path), field=name,
                    fix="write it to every file or to none",
                )  # fmt: skip
            places += [Place(number, g) for g in range(file.metadata.num_row_groups)]
        return tuple(places)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, as the first file has them."""
        names = self.opened(0).schema_arrow.names
        for name in NEEDED:
            if name not in names:
                raise SchemaError("no such column", record=str(self.files[0]), field=name)
        return NEEDED + tuple(name for name in OPTIONAL if name in names)

    @cached_property
    def fingerprint(self) -> str:
        """What tells these files, and what is said of them, from others: names, sizes, times."""
        digest = hashlib.sha256()
        for path in self.files:
            about = path.stat()
            digest.update(f"{path.name} {about.st_size} {about.st_mtime_ns}\n".encode())
        digest.update(f"{self.n_products} {self.slots}".encode())
        for name in ("use", "cost", "approval"):
            digest.update(np.asarray(getattr(self, name), np.float64).tobytes() + b";")
        return digest.hexdigest()

    def opened(self, number: int) -> pq.ParquetFile:
        """Return a file opened to read. Raises InputError when it is no Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(self.files[number], pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            told = str(error).splitlines()[0]
            raise InputError(
                f"not a Parquet file that can be read: {told}", record=str(self.files[number])
            ) from error

    def name(self, place: Place) -> str:
        """Return a row group as an error names it."""
        return f"{self.files[place.file]}, row group {place.group}"

    def _scalar(self, name: str, low: float, high: float) -> Any:
        given = getattr(self, name)
        array = np.asarray(given, np.float64)
        if array.shape not in ((), (self.n_products,)):
            raise InputError(
                f"{array.shape} for {self.n_products} products", field=name,
                fix="one number, or one a product",
            )  # fmt: skip
        good = (array >= low) & (array <= high)
        if not good.all():
            bad = f"product {int(np.argmin(good))}" if array.ndim else "files"
            raise InputError(f"not a number in [{low:g}, {high:g}]", record=bad, field=name)
        return float(array) if array.ndim == 0 else array.reshape(1, -1)
