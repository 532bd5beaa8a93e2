"""Compiled forests say bit for bit what LightGBM says."""

from __future__ import annotations

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


def score(forest: Forest, x: NDArray[np.float32]) -> NDArray[np.float64]:
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
            seen[int(node["split_feature"])].append(float(node["threshold"]))  # type: ignore[call-overload,arg-type]
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


@pytest.mark.parametrize("leaves", [2, 31, 32])
def test_equal_for_any_size_up_to_32_leaves(leaves: int) -> None:
    """Stumps and full words alike; ten thousand rows."""
    model = booster(9, leaves=leaves)
    forest = read_forest(model.model_to_string(), WIDTHS)
    x = adversarial(model, np.random.default_rng(1), 10_000)
    assert score(forest, x).tolist() == model.predict(x, raw_score=True).tolist()


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


def test_what_a_word_cannot_hold_is_refused() -> None:
    """More than 32 leaves, a categorical test, zero as missing, and an unknown column."""
    many = booster(1, leaves=40)
    with pytest.raises(SchemaError, match="leaves"):
        read_forest(many.model_to_string(), WIDTHS)
    zero = booster(1, zero_as_missing=True)
    with pytest.raises(SchemaError, match="zero"):
        read_forest(zero.model_to_string(), WIDTHS)
    with pytest.raises(SchemaError, match="beyond"):
        read_forest(booster(1).model_to_string(), (1, 1, 1, 1))
    rng = np.random.default_rng(3)
    x = rng.integers(0, 6, (800, K)).astype(np.float32)
    data = lightgbm.Dataset(x, (x[:, 0] % 2), categorical_feature=[0])
    settings = {"objective": "binary", "verbose": -1, "min_data_per_group": 1, "cat_smooth": 1}
    model = lightgbm.train(settings, data, 3)
    with pytest.raises(SchemaError, match="categorical"):
        read_forest(model.model_to_string(), WIDTHS)
