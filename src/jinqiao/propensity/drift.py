"""What a chain was learnt from, as bins kept with it, and how far later days lie from that.

Features: of each customer who was shown something on a day, once a day. Scores: of every offer that
was shown, each stage's chance as served. A customer counts once in what may be called independent
cases, however many rows are theirs, so that few people with many rows do not look like many.

The index and its noise floor are ``engines.drift``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.engines.drift import Bins, Shift, count_in, find_bins, shift_of
from jinqiao.errors import SchemaError
from jinqiao.propensity.columns import Layout, customers
from jinqiao.propensity.contest import serving_chances

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.training import TrainingSet

__all__ = ["Reference", "read_reference", "reference_of", "write_reference"]

_FILE = "reference.json"
_VISITS, _ROWS = 20_000, 5_000


@dataclass(frozen=True)
class Reference:
    """Bins of every feature and of every stage's chances, as they were in the training rows."""

    layout: Layout
    features: Mapping[str, Bins]
    scores: Mapping[str, Bins]

    def feature_shifts(self, profiles: Iterable[pa.Table]) -> dict[str, Shift]:
        """Return how far each feature of a day lies from training; {} for a day without anybody.

        ``profiles`` hold each customer of the day once. A feature they lack is left out.
        """
        columns = [_columns(self.layout, table) for table in profiles if table.num_rows]
        found = {}
        for name, bins in self.features.items():
            parts = [one[name] for one in columns if name in one]
            cases = sum(len(part) for part in parts)
            if cases:
                found[name] = shift_of(bins, count_in(bins, np.concatenate(parts)), cases)
        return found

    def score_shifts(self, chances: NDArray[np.floating], cases: int) -> dict[str, Shift]:
        """Return how far each stage's served chances of a day, (n, 4), lie from training.

        ``cases`` counts the customers they are of.
        """
        if not len(chances):
            return {}
        return {
            stage: shift_of(bins, count_in(bins, chances[:, place]), cases)
            for place, (stage, bins) in enumerate(self.scores.items())
        }


def reference_of(model: ChainModel, rows: TrainingSet, *, seed: int) -> Reference:
    """Return the bins of a chain's training rows: of 20,000 visits and 5,000 offers at most."""
    rng = np.random.default_rng([seed, 61])
    day, sizes = rows.shown_us // DAY_US, [len(profile.matrix) for profile in rows.profiles]
    one = np.cumsum([0, *sizes])[rows.snapshot] + rows.customer
    _, visits = np.unique((day - day.min()) * sum(sizes) + one, return_index=True)
    if len(visits) > _VISITS:
        visits = visits[np.sort(rng.choice(len(visits), _VISITS, replace=False))]
    snapshot, customer = rows.snapshot[visits], rows.customer[visits]
    matrix = np.concatenate([
        profile.matrix[customer[snapshot == number]] for number, profile in enumerate(rows.profiles)
    ])  # fmt: skip
    people = _people(snapshot, customer)
    features = {
        name: find_bins(column, people, most=max(10, len(values)))
        for (name, values), column in zip(
            rows.layout.features, _decoded(rows.layout, matrix), strict=True
        )
    }
    at = np.sort(rng.choice(len(rows), min(len(rows), _ROWS), replace=False))
    seen = _people(rows.snapshot[at], rows.customer[at])
    scores = {
        stage.stage: find_bins(serving_chances(model, rows, at, place), seen)
        for place, stage in enumerate(model.stages)
    }
    return Reference(rows.layout, features, scores)


def write_reference(reference: Reference, folder: Path) -> None:
    """Write a reference beside its model."""
    told = {
        "features": [[name, list(values)] for name, values in reference.layout.features],
        "feature_bins": {name: asdict(bins) for name, bins in reference.features.items()},
        "score_bins": {name: asdict(bins) for name, bins in reference.scores.items()},
    }
    (folder / _FILE).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def read_reference(folder: Path) -> Reference:
    """Return the reference kept with a model; raise SchemaError where it cannot be read."""
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        layout = Layout(tuple((name, tuple(values)) for name, values in told["features"]))
        return Reference(layout, _bins(told["feature_bins"]), _bins(told["score_bins"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(f"not readable: {error}", record=str(folder / _FILE)) from error


def _bins(told: Mapping[str, Any]) -> dict[str, Bins]:
    return {
        name: Bins(tuple(one["edges"]), tuple(one["shares"]), int(one["cases"]))
        for name, one in told.items()
    }


def _people(snapshot: NDArray[np.integer], customer: NDArray[np.integer]) -> int:
    """Return how many customers there are at least: the most of any one snapshot."""
    counts = [len(np.unique(customer[snapshot == number])) for number in np.unique(snapshot)]
    return max(counts, default=1)


def _columns(layout: Layout, profiles: pa.Table) -> dict[str, NDArray[np.float32]]:
    """Return the features of a table that it has, one column each."""
    known = set(profiles.column_names)
    part = Layout(tuple(one for one in layout.features if one[0] in known))
    names = [name for name, _ in part.features]
    matrix = customers(part, profiles).matrix
    return dict(zip(names, _decoded(part, matrix), strict=True))


def _decoded(layout: Layout, matrix: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return one column a feature: a category as the place of its value, one past for another."""
    found, start = [], 0
    for _, values in layout.features:
        width = max(len(values), 1)
        part = matrix[:, start : start + width]
        if values:
            code = np.where(part.any(axis=1), part.argmax(axis=1), len(values)).astype(np.float32)
            found.append(np.where(np.isnan(part[:, 0]), np.float32("nan"), code))
        else:
            found.append(part[:, 0])
        start += width
    return found
