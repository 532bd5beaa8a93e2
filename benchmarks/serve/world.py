"""A market to serve: n customers × 60 features, 200 products, four models of 200 trees × 31 leaves.

Customers and products are drawn, the models are trained on drawn pairs, so that trees test what
they test in life: the customer most, then the product, the moment, and the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import propensity, shelf
from jinqiao.domain.consent import Purpose
from jinqiao.domain.shelf import Versions
from jinqiao.engines.allocation import PriceTables
from jinqiao.engines.rules import RuleIndex, parse
from jinqiao.propensity.columns import CLASSES, ContextColumns, Layout, pair_columns
from jinqiao.propensity.stage import StageModel

NOW_US = 1_760_000_000_000_000
N_PRODUCTS, N_FEATURES, N_TREES, N_LEAVES = 200, 60, 200, 31
STAGES = ("click", "application", "approval", "activation")
SHIFTS = (-3.0, -1.5, 0.3, 1.0)
PAIRED = (
    "monthly_income_minor", "balance_mean_30d_minor", "credit_views_30d", "wealth_views_30d",
    "insurance_views_30d", "credit_clicks_30d", "wealth_clicks_30d", "insurance_clicks_30d",
    "risk_tolerance", "payday_day", "city_tier",
)  # fmt: skip


@dataclass(frozen=True)
class RuleField:
    """A field that rules may name."""

    name: str
    type: str = "float"
    unit: str = ""
    values: tuple[str, ...] = ()
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, eq=False)
class World:
    """All that is measured: ``serving`` with its scorer, the boosters behind it, the rules."""

    serving: shelf.Serving
    model: propensity.ChainModel
    boosters: tuple[Any, ...]
    index: RuleIndex
    facts: NDArray[np.float64]


def profiles(n: int, rng: np.random.Generator) -> pa.Table:
    """Return n profiles: amounts with long tails, counts, shares, a tenth of some unknown."""
    columns: dict[str, Any] = {"customer_id": pa.array([f"c{i}" for i in range(n)])}
    for j in range(N_FEATURES):
        name = PAIRED[j] if j < len(PAIRED) else f"feature_{j}"
        if j < 2 or j % 4 == 0:
            values = np.exp(rng.normal(12, 1, n))
        elif name == "payday_day":
            values = rng.integers(1, 29, n)
        elif name in ("risk_tolerance", "city_tier"):
            values = rng.integers(1, 6, n)
        else:
            values = rng.poisson(2, n) if j % 4 < 3 else rng.normal(size=n)
        column = np.asarray(values, np.float32)
        if j >= len(PAIRED) and j % 3 == 0:
            column[rng.random(n) < 0.1] = np.nan
        columns[name] = pa.array(column)
    return pa.table(columns)


def products(rng: np.random.Generator) -> pa.Table:
    """Return 200 products of six classes and twenty-five institutions."""
    p, rows = N_PRODUCTS, np.arange(N_PRODUCTS)
    kinds = ("loan", "credit_card", "deposit", "fund", "insurance", "e_account")
    amount = rng.choice([300_000, 1_000_000, 5_000_000], p)
    return pa.table({
        "product_id": [f"p{i:03d}" for i in rows], "institution_id": [f"h{i % 25}" for i in rows],
        "product_version": pa.array(np.ones(p), pa.int32()),
        "product_class": [kinds[i % 6] for i in rows],
        "licence": [("bank", "insurer", "micro_lender")[i % 3] for i in rows],
        "customer_kind": ["person"] * p, "risk_level": pa.array(rng.integers(1, 6, p), pa.int8()),
        "rate_bps": pa.array(rng.integers(150, 2_400, p), pa.int32()),
        "all_in_bps": pa.array(rng.integers(150, 2_400, p), pa.int32()),
        "all_in_cost_minor": pa.array(rng.integers(1_000, 60_000, p), pa.int64()),
        "reference_amount_minor": pa.array(amount, pa.int64()),
        "reference_term_days": pa.array(rng.choice([90, 365, 1_080], p), pa.int32()),
        "amount_max_minor": pa.array(amount * 10, pa.int64()), "payout_basis": ["CPA"] * p,
        "payout_stage": [("application", "approval", "activation")[i % 3] for i in rows],
        "payout_amount_minor": pa.array(rng.integers(1_000, 30_000, p), pa.int64()),
        "hold_hours": pa.array(np.full(p, 48), pa.int32()),
        "launch_at": pa.nulls(p, pa.timestamp("us")),
        "withdraw_at": pa.nulls(p, pa.timestamp("us")),
        "stopped": [False] * p,
    })  # fmt: skip


def rules(rng: np.random.Generator) -> RuleIndex:
    """Return 200 eligibility rules of two to four clauses, an OR here and there."""
    names = [*PAIRED, *(f"feature_{j}" for j in range(len(PAIRED), 30))]
    fields = {name: RuleField(name) for name in names}

    def clause() -> str:
        j = int(rng.integers(len(names)))
        if j < 2 or j % 4 == 0:
            return f"{names[j]} >= {int(np.exp(rng.normal(11.3, 0.5)))}"
        return f"{names[j]} {rng.choice(['>=', '<'])} {rng.integers(0, 4)}"

    def rule() -> str:
        parts = [clause() for _ in range(int(rng.choice([2, 2, 2, 3])))]
        if rng.random() < 0.3:
            parts.append(f"({clause()} or {clause()})")
        return " and ".join(parts)

    return RuleIndex.of([parse(rule(), fields) for _ in range(N_PRODUCTS)])


def moments(rng: np.random.Generator, count: int) -> ContextColumns:
    """Return moments of a year, on every channel."""
    return ContextColumns(
        NOW_US + rng.integers(0, 365 * 86_400_000_000, count),
        pa.array(rng.choice(["app", "web", "mini_program"], count)),
        pa.array(rng.choice(["home", "ledger", "checkout"], count)),
        pa.array(rng.choice(["own", "bought"], count)),
        rng.choice([1, 2, 3, np.nan], count).astype(np.float32),
    )


def chain(people: pa.Table, goods: pa.Table, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the chain and its boosters, trained on 40,000 drawn pairs."""
    import lightgbm

    layout = Layout(tuple((name, ()) for name in people.column_names[1:]))
    p, rates = goods.num_rows, rng.random((goods.num_rows, 8)).astype(np.float32) * 0.2
    empty = _model(layout, [""] * 4, rates)
    some = people.slice(0, 20_000)
    scorer = propensity.Scorer(empty, some, goods)
    m = 40_000
    ci, pi = rng.integers(0, some.num_rows, m), rng.integers(0, p, m)
    at = moments(rng, m)
    matrix = scorer.goods.matrix
    context = at.matrix(rng.integers(1, 5, m))
    own = pair_columns(scorer.people.needs[ci], (matrix[pi], scorer.goods.classes[pi]),
                       (at.day_of_month().astype(np.float32), at.city_tier))  # fmt: skip
    x = np.hstack((scorer.people.matrix[ci], matrix[pi], context, own))
    z = np.argsort(np.argsort(x, axis=0), axis=0) / m - 0.5
    texts, boosters = [], []
    for shift in SHIFTS:
        logit = z @ rng.normal(0, 0.6, x.shape[1]) + 2 * z[:, rng.integers(60)] * z[:, -8] + shift
        y = rng.random(m) < 1 / (1 + np.exp(-logit))
        settings = {"objective": "binary", "num_leaves": N_LEAVES, "learning_rate": 0.05,
                    "feature_fraction": 0.5, "min_data_in_leaf": 20, "verbose": -1,
                    "num_threads": 1, "seed": int(rng.integers(1 << 30))}  # fmt: skip
        booster = lightgbm.train(settings, lightgbm.Dataset(x, y.astype(float)), N_TREES)
        boosters.append(booster)
        texts.append(booster.model_to_string())
    return _model(layout, texts, rates), tuple(boosters)


def _model(layout: Layout, texts: list[str], rates: NDArray[np.float32]) -> propensity.ChainModel:
    stages = tuple(
        StageModel(stage, "trees", layout.names, 1.0, 0.0, 0.0, None, text, {}, (0.0, 1.0))
        for stage, text in zip(STAGES, texts, strict=True)
    )
    return propensity.ChainModel(
        layout, stages, tuple(f"p{i:03d}" for i in range(len(rates))), (), rates,  # type: ignore[arg-type]
        np.zeros((len(CLASSES), 8), np.float32), np.zeros((0, 8), np.float32),
        Purpose.PERSONALISE, {"version": "bench"},
    )  # fmt: skip


def make(n: int, seed: int) -> World:
    """Return a market of n customers."""
    rng = np.random.default_rng(seed)
    people, goods = profiles(n, rng), products(rng)
    model, boosters = chain(people, goods, rng)
    index = rules(rng)
    facts = index.matrix(people)
    prices = [rng.gamma(1.0, scale, (50, N_PRODUCTS)) for scale in (50.0, 0.1, 50.0)]
    serving = shelf.Serving.of(
        allowed=np.unpackbits(index.masks(facts), axis=1, count=N_PRODUCTS).astype(np.bool_),
        profiles=people, products=goods, open_to_all=np.arange(N_PRODUCTS) % 2 == 0,
        popularity=rng.random(N_PRODUCTS), base_chances=np.full((N_PRODUCTS, 4), 0.1, np.float32),
        prices=PriceTables(rng.integers(0, 50, n).astype(np.int32), *prices),
        worths=shelf.Worths.published(),
        schedules=shelf.Schedules.of(goods, [(7, 23) if i % 9 == 0 else None
                                             for i in range(N_PRODUCTS)]),
        settings=shelf.Settings(exploration_share=0.02, seed=seed),
        versions=Versions("bench", "bench", "bench", "bench", None), feature_as_of_us=NOW_US,
        chances=propensity.Scorer(model, people, goods),
    )  # fmt: skip
    return World(serving, model, boosters, index, facts)


def requests(world: World, count: int, rng: np.random.Generator) -> list[shelf.Requests]:
    """Return single requests of random customers, as they come through one day."""
    at = moments(rng, count)
    at = replace(at, at_us=NOW_US + np.sort(rng.integers(0, 86_400_000_000, count)))
    rows = rng.integers(0, world.serving.profiles.num_rows, count).astype(np.int32)
    text = [f"t{i}" for i in range(count)]
    whole = shelf.Requests(
        rows, pa.array([f"c{i}" for i in rows]), pa.array(["v1"] * count), pa.array(text),
        pa.array(text), at.at_us, at.channel, at.scene, at.source, np.zeros(count, np.int64),
        at.city_tier,
    )  # fmt: skip
    return [whole.take(np.array([i])) for i in range(count)]
