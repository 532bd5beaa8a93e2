"""A serving on disk: Arrow files and NumPy arrays that are mapped, plain JSON. No pickle.

The chain of models lies beside it, written by whoever trained it; a scorer is handed in at reading.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.shelf import Versions
from jinqiao.engines.allocation import PriceTables
from jinqiao.errors import SchemaError, Unavailable
from jinqiao.shelf.serving import (
    Chances,
    CustomerIndex,
    Moments,
    Schedules,
    Serving,
    Settings,
    Worths,
)

__all__ = ["check", "read", "write"]

_FORMAT = 1
_ARRAYS = (
    "allowed", "open_to_all", "popularity", "base_chances",
    "price_segment", "price_count", "price_cost", "price_approval",
    "benefit_minor", "first_us", "last_us", "from_hour", "to_hour",
    "index_digest", "index_row",
)  # fmt: skip
_FINITE = (
    "popularity", "base_chances", "price_count", "price_cost", "price_approval", "benefit_minor",
)  # fmt: skip
_SAMPLE = 64


def write(directory: Path | str, serving: Serving) -> Path:
    """Write a serving into a directory (made if absent) and return it.

    A sample of scored pairs is written too, so that ``check`` can hold the models against it.
    """
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    _write_table(root / "profiles.arrow", serving.profiles)
    _write_table(root / "products.arrow", serving.products)
    for name, array in _arrays(serving).items():
        np.save(root / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    sample = _sample(serving)
    if sample is not None:
        np.save(root / "sample.npy", sample, allow_pickle=False)
    settings = {
        "format": _FORMAT,
        "customers": serving.profiles.num_rows,
        "products": serving.n_products,
        "settings": asdict(serving.settings),
        "versions": asdict(serving.versions),
        "feature_as_of_us": serving.feature_as_of_us,
        "channels": [list(c) if c else None for c in serving.schedules.channels],
        "offset_us": serving.schedules.offset_us,
        "regions": [list(r) if r else None for r in serving.schedules.regions],
        "zones": list(serving.schedules.zones),
        "scored": sample is not None,
    }
    text = json.dumps(settings, indent=1, sort_keys=True)
    (root / "serving.json").write_text(text, encoding="utf-8")
    return root


def read(directory: Path | str, *, chances: Chances | None = None) -> Serving:
    """Return the serving of a directory, its arrays and profiles mapped read only.

    ``chances`` scores pairs; see ``Serving``. Raises Unavailable when a file is missing or damaged.
    """
    root = Path(directory)
    settings = _settings(root)
    a = {name: _array(root / f"{name}.npy") for name in _ARRAYS}
    profiles, products = _table(root / "profiles.arrow"), _table(root / "products.arrow")
    ids = profiles["customer_id"].combine_chunks()
    try:
        return Serving(
            profiles, products, a["allowed"], a["open_to_all"], a["popularity"],
            a["base_chances"],
            PriceTables(a["price_segment"], a["price_count"], a["price_cost"], a["price_approval"]),
            Worths(a["benefit_minor"]),
            Schedules(
                a["first_us"], a["last_us"], a["from_hour"], a["to_hour"],
                tuple(tuple(c) if c else None for c in settings["channels"]),
                int(settings["offset_us"]),
                tuple(tuple(r) if r else None for r in settings["regions"]),
                tuple(settings["zones"]),
            ),
            Settings(**settings["settings"]), Versions(**settings["versions"]),
            int(settings["feature_as_of_us"]), chances,
            CustomerIndex(ids, a["index_digest"], a["index_row"]),
        )  # fmt: skip
    except (KeyError, TypeError, SchemaError) as error:
        raise Unavailable(f"damaged: {error}", record=str(root), fix="publish again") from error


def check(directory: Path | str, *, chances: Chances | None = None) -> None:
    """Refuse a directory that must not serve.

    Raises
    ------
    Unavailable : a file is missing or damaged, nothing is on sale, a number is not finite, rows do
        not agree, or ``chances`` do not say what was written (when the writer had a scorer).
    """
    root = Path(directory)
    serving, settings = read(root, chances=chances), _settings(root)
    if serving.n_products == 0:
        raise _refused(root, "no product", "products.arrow")
    for name in _FINITE:
        if not np.isfinite(_array(root / f"{name}.npy")).all():
            raise _refused(root, "a number is not finite", f"{name}.npy")
    counts = settings["customers"], settings["products"]
    if counts != (serving.profiles.num_rows, serving.n_products):
        raise _refused(root, "rows are missing", "serving.json")
    for row in _rows_of(serving):
        wanted = serving.profiles["customer_id"][int(row)].as_py()
        if serving.index.find(wanted) != row:
            raise _refused(root, f"customer {wanted} is not found", "index_digest.npy")
    if settings["scored"]:
        if chances is None:
            raise _refused(root, "it was written with models, and none are given", "sample.npy")
        found, wanted_chances = _sample(serving), _array(root / "sample.npy")
        if found is None or not np.array_equal(found, wanted_chances):
            raise _refused(root, "the models do not say what was written", "sample.npy")


def _refused(root: Path, message: str, name: str) -> Unavailable:
    return Unavailable(message, record=str(root / name), fix="publish again")


def _arrays(serving: Serving) -> dict[str, NDArray[Any]]:
    prices, when = serving.prices, serving.schedules
    return {
        "allowed": serving.allowed,
        "open_to_all": serving.open_to_all,
        "popularity": serving.popularity,
        "base_chances": serving.base_chances,
        "price_segment": prices.segment,
        "price_count": prices.count,
        "price_cost": prices.cost,
        "price_approval": prices.approval,
        "benefit_minor": serving.worths.benefit_minor,
        "first_us": when.first_us,
        "last_us": when.last_us,
        "from_hour": when.from_hour,
        "to_hour": when.to_hour,
        "index_digest": serving.index.digest,
        "index_row": serving.index.row,
    }


def _rows_of(serving: Serving) -> NDArray[np.int32]:
    n = serving.profiles.num_rows
    spread = np.linspace(0, max(n - 1, 0), min(n, _SAMPLE))
    return np.unique(spread.astype(np.int32))


class _Then(Moments):
    """One moment, the same for every reader: when the features are of, in the app's home."""

    def __init__(self, at_us: int) -> None:
        self.at = at_us

    at_us = property(lambda self: np.array([self.at], np.int64))
    channel = property(lambda self: pa.array(["app"]))
    scene = property(lambda self: pa.array(["home"]))
    source = property(lambda self: pa.array(["own"]))
    city_tier = property(lambda self: np.array([np.nan], np.float32))


def _sample(serving: Serving) -> NDArray[np.float32] | None:
    """Return the chances of a spread of pairs, or None without a scorer."""
    rows = _rows_of(serving)
    if serving.chances is None or not len(rows) or not serving.n_products:
        return None
    product = (np.arange(len(rows)) * 7 % serving.n_products).astype(np.int32)
    moment = np.zeros(len(rows), np.int32)
    then = _Then(serving.feature_as_of_us)
    return serving.chances(rows, product, then, moment, np.ones(1, np.int8))


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _table(path: Path) -> pa.Table:
    try:
        with pa.memory_map(str(path), "r") as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise _refused(path.parent, f"not readable: {error}", path.name) from error


def _array(path: Path) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _refused(path.parent, f"not readable: {error}", path.name) from error
    return found


def _settings(root: Path) -> dict[str, Any]:
    path = root / "serving.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _refused(path.parent, f"not readable: {error}", path.name) from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise Unavailable("an unknown format", record=str(path), field="format")
    return found
