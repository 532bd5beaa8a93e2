"""Compiled forests say bit for bit what LightGBM says."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from jinqiao.engines.forest import Forest, Pairing, read_forest
from jinqiao.errors import SchemaError

WIDTHS = (5, 4, 3, 3)
K = sum(WIDTHS)


def booster(
    seed: int, *, leaves: int = 15, missing: bool = True, rounds: int = 40, **params: object
) -> lightgbm.Booster:
    """Return a small trained model on skewed columns with ties, zeros and missing values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3_000, K)).astype(np.float32)
    x[:, ::3] = np.round(x[:, ::3])
    x[:, 1] = np.exp(8 * x[:, 1])
    if missing:
        x[rng.random(x.shape) < 0.15] = np.nan
    y = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 6]) * np.nan_to_num(x[:, 13]) > 0.3
    settings = {
        "objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1,
        "seed": seed, "num_threads": 1, **params,
    }  # fmt: skip
    return lightgbm.train(settings, lightgbm.Dataset(x, y.astype(float)), rounds)


def score(forest: Forest, x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the raw score of full rows through the pair form, each side its own row."""
    cuts = np.cumsum(WIDTHS)
    parts = np.split(x, cuts[:-1], axis=1)
    index = np.arange(len(x), dtype=np.int32)
    words = [forest.words(i, parts[i]) for i in range(3)]
    return forest.score(words, Pairing(index, index, index), parts[3])


def adversarial(
    model: lightgbm.Booster, rng: np.random.Generator, rows: int
) -> NDArray[np.float32]:
    """Return rows that stand on thresholds, just beside them, at zeros, infinities and NaN."""
    frame = model.dump_model()["tree_info"]
    seen: list[list[float]] = [[] for _ in range(K)]

    def walk(node: dict[str, object]) -> None:
        if "split_feature" in node:
            at = [float(part) for part in str(node["threshold"]).split("||")]
            seen[int(node["split_feature"])] += at  # type: ignore[call-overload]
            walk(node["left_child"])  # type: ignore[arg-type]
            walk(node["right_child"])  # type: ignore[arg-type]

    for tree in frame:
        walk(tree["tree_structure"])
    tiny = np.float32(1e-40)
    special = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, tiny, -tiny, 3e38, -3e38], np.float32)
    x = np.empty((rows, K), np.float32)
    for j in range(K):
        at = np.clip(seen[j] or [0.0], -3e38, 3e38).astype(np.float32)
        near = np.concatenate((at, np.nextafter(at, np.float32(-9e9)),
                               np.nextafter(at, np.float32(9e9)), special))  # fmt: skip
        x[:, j] = rng.choice(near, rows)
    return x


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("missing", [True, False])
def test_equal_on_random_and_adversarial_rows(seed: int, missing: bool) -> None:
    """On 6,000 rows a model, with NaN and exact thresholds among them, every bit is the same."""
    model = booster(seed, missing=missing)
    forest = read_forest(model.model_to_string(), WIDTHS)
    rng = np.random.default_rng(seed + 50)
    plain = rng.normal(size=(2_000, K)).astype(np.float32) * 3
    plain[rng.random(plain.shape) < 0.2] = np.nan
    x = np.vstack((plain, adversarial(model, rng, 4_000)))
    assert score(forest, x).tolist() == model.predict(x, raw_score=True).tolist()


@pytest.mark.parametrize("leaves", [2, 31, 32, 33, 200])
def test_equal_for_any_number_of_leaves(leaves: int) -> None:
    """Stumps, full words and trees of many words alike; ten thousand rows."""
    model = booster(9, leaves=leaves)
    forest = read_forest(model.model_to_string(), WIDTHS)
    assert (forest.n_words > forest.n_trees) == (leaves > 32)
    x = adversarial(model, np.random.default_rng(1), 10_000)
    assert score(forest, x).tolist() == model.predict(x, raw_score=True).tolist()


def any_booster(rng: np.random.Generator) -> lightgbm.Booster:
    """Return a model of any shape: depth, leaves, missing kinds, categories, boosting."""
    x = rng.normal(size=(1_500, K)) * 10.0 ** rng.integers(-2, 4, K)
    x[:, ::3] = np.round(x[:, ::3])
    categories = sorted(rng.choice(K, int(rng.integers(0, 8)), replace=False).tolist())
    for j in categories:
        x[:, j] = rng.integers(0, rng.choice([2, 30, 90]), len(x))
    x[rng.random(x.shape) < rng.choice([0.0, 0.2])] = np.nan
    x[rng.random(x.shape) < 0.1] = 0.0
    signal = np.nan_to_num(x).argmax(axis=1) % 2 + (np.nan_to_num(x) % 3 < 1) @ rng.normal(size=K)
    leaves = int(rng.choice([2, 5, 31, 64, 150]))
    settings: dict[str, Any] = {
        "objective": rng.choice(["binary", "regression"]), "num_leaves": leaves, "verbose": -1,
        "max_depth": int(rng.choice([-1, 3, 12])), "min_data_in_leaf": int(rng.choice([1, 10])),
        "min_data_per_group": 1, "cat_smooth": 1, "max_cat_to_onehot": int(rng.choice([1, 4])),
        "use_missing": bool(rng.random() < 0.8), "zero_as_missing": bool(rng.random() < 0.4),
        "num_threads": 1, "seed": int(rng.integers(1 << 30)),
    }  # fmt: skip
    if rng.random() < 0.3:
        settings |= {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    y = (signal > np.median(signal)).astype(float)
    data = lightgbm.Dataset(x, y, categorical_feature=categories, params=settings)
    return lightgbm.train(settings, data, int(rng.choice([1, 12, 30])))


def any_rows(model: lightgbm.Booster, rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Return rows around thresholds, with odd zeros and categories nobody has seen."""
    x = adversarial(model, rng, rows).astype(np.float64)
    odd = np.array([1e-35, -1e-35, 1.1e-35, -1.1e-35, float(np.float32(1e-35)), -0.5, -1.0, -7.0,
                    2.9, 31.0, 32.0, 63.99, 64.0, 4e9, -4e9, 2147483647.5, 1e300])  # fmt: skip
    some = rng.random(x.shape) < 0.3
    x[some] = rng.choice(odd, int(some.sum()))
    whole = rng.random(x.shape) < 0.4
    x[whole] = rng.integers(0, 95, int(whole.sum()))
    return x


@pytest.mark.parametrize("seed", range(12))
def test_equal_for_boosters_of_every_shape(seed: int) -> None:
    """Any depth, categories, missing kind, and averaged forests, in float32 and float64 alike."""
    rng = np.random.default_rng(seed)
    model = any_booster(rng)
    forest = read_forest(model.model_to_string(), WIDTHS)
    x = any_rows(model, rng, 2_000)
    short = np.clip(x, -3e38, 3e38).astype(np.float32)
    for rows in (x, short):
        assert score(forest, rows).tolist() == model.predict(rows, raw_score=True).tolist()
    if model.params["objective"] == "binary":
        chance = 1.0 / (1.0 + np.exp(-score(forest, x) / forest.divisor))
        assert np.allclose(chance, model.predict(x), rtol=1e-12)


def test_pairs_share_the_words_of_their_sides() -> None:
    """Words made once a customer, product and moment give what full rows give."""
    model = booster(4)
    forest = read_forest(model.model_to_string(), WIDTHS)
    rng = np.random.default_rng(2)
    sides = [
        rng.normal(size=(n, w)).astype(np.float32) for n, w in zip((7, 5, 3), WIDTHS, strict=False)
    ]
    index = [rng.integers(0, len(side), 400).astype(np.int32) for side in sides]
    own = rng.normal(size=(400, WIDTHS[3])).astype(np.float32)
    words = [forest.words(i, side) for i, side in enumerate(sides)]
    full = np.hstack([*(side[i] for side, i in zip(sides, index, strict=True)), own])
    found = forest.score(words, Pairing(*index), own)
    assert found.tolist() == model.predict(full, raw_score=True).tolist()


def test_trees_that_do_not_split_are_constants() -> None:
    """A model that found nothing, or one with no tree, is a constant."""
    x = np.ones((60, K), np.float32)
    data = lightgbm.Dataset(x, np.arange(60) % 2)
    model = lightgbm.train({"objective": "binary", "verbose": -1}, data, 2)
    forest = read_forest(model.model_to_string(), WIDTHS)
    assert np.allclose(score(forest, x), model.predict(x, raw_score=True), rtol=1e-12)
    none = read_forest(model.model_to_string(num_iteration=0).split("\nTree=")[0], WIDTHS)
    assert score(none, x).tolist() == [0.0] * 60


def test_what_is_no_sum_of_leaves_is_refused() -> None:
    """Linear leaves, several classes, and an unknown column."""
    linear = booster(1, missing=False, rounds=3, linear_tree=True)
    with pytest.raises(SchemaError, match="linear"):
        read_forest(linear.model_to_string(), WIDTHS)
    with pytest.raises(SchemaError, match="beyond"):
        read_forest(booster(1).model_to_string(), (1, 1, 1, 1))
    x = np.random.default_rng(3).normal(size=(300, K))
    data = lightgbm.Dataset(x, np.arange(300) % 3)
    settings = {"objective": "multiclass", "num_class": 3, "verbose": -1}
    with pytest.raises(SchemaError, match="classes"):
        read_forest(lightgbm.train(settings, data, 2).model_to_string(), WIDTHS)
