"""Trees grown by LightGBM on columns binned once. Bins see columns, never labels.

Source: Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jinqiao.propensity.stage import StageSpec

__all__ = ["Binned"]

_PATIENCE = 15


class Binned:
    """Rows binned once; trees are grown on all of them or on a part."""

    def __init__(
        self,
        columns: tuple[NDArray[np.float32], tuple[str, ...]],
        labels: tuple[NDArray[np.float64], NDArray[np.float64]],
        spec: StageSpec,
        seed: int,
    ) -> None:
        """Take (x, names), (y, weights), the settings and the seed."""
        import lightgbm

        self.params = _params(spec, columns[1], seed)
        params = {"max_bin": spec.max_bin, "bin_construct_sample_cnt": 20_000, "verbose": -1}
        self.data = lightgbm.Dataset(
            columns[0], labels[0], weight=labels[1], params=params, free_raw_data=False
        ).construct()

    def grow(
        self,
        start: float,
        rounds: int,
        part: NDArray[np.int64] | None = None,
        watch: NDArray[np.int64] | None = None,
    ) -> tuple[str, int]:
        """Return trees grown from a logit ``start``, as text, and how many rounds were kept.

        On the rows of ``part`` (None: all); the rows of ``watch`` stop the growth.
        """
        import lightgbm

        data = self._from(start, part)
        valid, callbacks = [], []
        if watch is not None:
            valid = [self._from(start, watch)]
            callbacks = [lightgbm.early_stopping(_PATIENCE, verbose=False)]
        booster = lightgbm.train(self.params, data, rounds, valid_sets=valid, callbacks=callbacks)
        kept = booster.best_iteration if watch is not None else rounds
        return booster.model_to_string(num_iteration=kept), kept

    def _from(self, start: float, rows: NDArray[np.int64] | None) -> Any:
        data = self.data
        if rows is not None:
            data = data.subset(np.sort(rows).tolist()).construct()
        return data.set_init_score(np.full(data.num_data(), start))


def _params(spec: StageSpec, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    params: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": min(spec.leaves, 32),
        "learning_rate": spec.learning_rate,
        "min_data_in_leaf": spec.min_leaf,
        "feature_fraction": spec.feature_fraction,
        "lambda_l2": spec.l2,
        "max_bin": spec.max_bin,
        "num_threads": spec.threads,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_col_wise": True,
        "boost_from_average": False,
        "verbose": -1,
    }
    if spec.monotone:
        params["monotone_constraints"] = [int(spec.monotone.get(name, 0)) for name in names]
    return params
