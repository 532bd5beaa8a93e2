"""A small funnel whose truth is known: customers, products, shown offers and late outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from jinqiao import propensity
from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.domain.tables import DECISIONS, OUTCOMES
from jinqiao.propensity import ContextColumns
from jinqiao.store.memory import MemoryLake

START_US = 1_754_006_400_000_000
DAY_US = 86_400_000_000
_CLASSES = ("loan", "credit_card", "deposit", "fund", "insurance", "bnpl")
_STAGES = ("click", "application", "approval", "activation")
NUMBERS = (
    "age", "monthly_income_minor", "income_cv_180d", "balance_mean_30d_minor", "debt_service_ratio",
    "credit_views_30d", "wealth_views_30d", "insurance_views_30d", "credit_clicks_30d",
    "wealth_clicks_30d", "insurance_clicks_30d", "risk_tolerance", "payday_day", "city_tier",
    "savings_rate", "spend_mean_90d_minor",
)  # fmt: skip


def dictionary(
    purposes: frozenset[Purpose] = frozenset({Purpose.PERSONALISE}),
) -> FeatureDictionary:
    """Return the features of the small funnel."""
    found = [
        Feature(
            name, "float", "minor" if name.endswith("minor") else "", frozenset({"transactions"}),
            purposes, name.replace("_", " "), f"特征{i}", "0",
        )
        for i, name in enumerate(NUMBERS)
    ]  # fmt: skip
    job = Feature(
        "occupation", "category", "", frozenset({"attributes"}), purposes, "occupation", "职业",
        "0", values=("salaried", "gig", "student"),
    )  # fmt: skip
    return FeatureDictionary((*found, job), "test1")


@dataclass(frozen=True, eq=False)
class World:
    """Everything a funnel leaves behind, and the true chances (m, 4) of each shown offer."""

    profiles: pa.Table
    products: pa.Table
    decisions: pa.Table
    outcomes: pa.Table
    truth: NDArray[np.float64]
    customer: NDArray[np.int64]
    product: NDArray[np.int64]
    end_us: int

    def lake(self, *, upto_us: int | None = None) -> MemoryLake:
        """Return a lake of what had arrived by an instant (None: all of it)."""
        lake = MemoryLake()
        for schema, table in ((DECISIONS, self.decisions), (OUTCOMES, self.outcomes)):
            if upto_us is not None:
                keep = table["received_at"].cast(pa.int64()).to_numpy() <= upto_us
                table = table.filter(pa.array(keep))
            lake.append(schema, table, batch_id="all")
        return lake

    def training(self, as_of_us: int | None = None) -> propensity.TrainingSet:
        """Return the training set as of an instant (None: the end of showing)."""
        return propensity.training_set(
            self.lake(), {START_US - DAY_US: self.profiles}, self.products, dictionary(),
            as_of_us=self.end_us if as_of_us is None else as_of_us,
        )  # fmt: skip


def products(p: int = 18) -> pa.Table:
    """Return p products of six classes and six institutions."""
    rows = np.arange(p)
    return pa.table({
        "product_id": [f"p{i:02d}" for i in rows],
        "institution_id": [f"bank{i % 6}" for i in rows],
        "product_version": pa.array(np.ones(p), pa.int32()),
        "product_class": [_CLASSES[(i // 2) % 6] for i in rows],
        "licence": ["bank" if i % 2 else "consumer_finance" for i in rows],
        "customer_kind": ["person"] * p,
        "risk_level": pa.array(1 + rows % 4, pa.int8()),
        "rate_bps": pa.array(300 + 70 * rows, pa.int32()),
        "all_in_bps": pa.array([None if i % 5 == 4 else 400 + 80 * i for i in rows], pa.int32()),
        "all_in_cost_minor": pa.array(2_000 + 900 * rows, pa.int64()),
        "reference_amount_minor": pa.array(500_000 + 100_000 * rows, pa.int64()),
        "reference_term_days": pa.array(np.full(p, 365), pa.int32()),
        "amount_max_minor": pa.array(np.full(p, 5_000_000), pa.int64()),
        "payout_basis": ["CPA"] * p,
        "payout_stage": ["activation"] * p,
        "payout_amount_minor": pa.array(np.full(p, 5_000), pa.int64()),
        "hold_hours": pa.array(np.full(p, 48), pa.int32()),
        "launch_at": pa.array([None] * p, pa.timestamp("us")),
        "withdraw_at": pa.array([None] * p, pa.timestamp("us")),
        "stopped": [False] * p,
    })  # fmt: skip


def profiles(n: int, rng: np.random.Generator) -> pa.Table:
    """Return n customers with the features of ``dictionary``, one in ten values missing."""
    columns: dict[str, pa.Array] = {"customer_id": pa.array([f"c{i:06d}" for i in range(n)])}
    for name in NUMBERS:
        if name.endswith("minor"):
            values = np.exp(rng.normal(13.5, 0.7, n))
        elif name.endswith("30d"):
            values = rng.poisson(1.0, n).astype(float)
        else:
            values = rng.normal(3.0, 1.0, n)
        columns[name] = pa.array(values, mask=rng.random(n) < 0.1)
    columns["occupation"] = pa.array(
        np.array(["salaried", "gig", "student"])[rng.integers(0, 3, n)], mask=rng.random(n) < 0.1
    )
    return pa.table(columns)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def make_world(n: int = 1_500, sessions: int = 9_000, days: int = 28, seed: int = 3) -> World:
    """Return a funnel of ``sessions`` shelves of four offers drawn evenly over so many days."""
    rng = np.random.default_rng(seed)
    people, goods = profiles(n, rng), products()
    p = goods.num_rows
    who = np.repeat(rng.integers(0, n, sessions), 4)
    what = np.concatenate([rng.permutation(p)[:4] for _ in range(sessions)])
    position = np.tile(np.arange(1, 5), sessions)
    at = np.repeat(np.sort(rng.integers(0, days * DAY_US, sessions)) + START_US, 4)
    income = np.nan_to_num(np.log(people["monthly_income_minor"].to_numpy()) - 13.5)[who]
    views = np.nan_to_num(people["credit_views_30d"].to_numpy())[who]
    debt = np.nan_to_num(people["debt_service_ratio"].to_numpy() - 3.0)[who]
    taste, strict = rng.normal(0, 0.4, p)[what], rng.normal(0, 0.7, 6)[what % 6]
    credit = np.isin((what // 2) % 6, (0, 1, 5))
    seen = np.log(np.array([1.0, 0.65, 0.45, 0.32]))[position - 1]
    truth = np.column_stack((
        _logistic(-2.6 + taste + 0.5 * views * credit - 0.3 * income * credit + seen),
        _logistic(-1.0 + 0.5 * taste + 0.4 * np.tanh(views - 1)),
        _logistic(0.1 + strict + 0.8 * income - 0.6 * debt),
        _logistic(0.8 + 0.4 * taste + 0.2 * debt),
    ))  # fmt: skip
    hit = np.cumprod(rng.random(truth.shape) < truth, axis=1).astype(bool)
    decisions = _decisions((who, what, position, at), people, goods)
    outcomes = _outcomes(hit, at, what, decisions, rng)
    return World(people, goods, decisions, outcomes, truth, who, what, START_US + days * DAY_US)


def _decisions(rows: tuple[NDArray[np.int64], ...], people: pa.Table, goods: pa.Table) -> pa.Table:
    who, what, position, at = rows
    m = len(who)
    zero, when = np.zeros(m), pa.array(at).cast(pa.timestamp("us"))
    session = [f"s{i // 4:06d}" for i in range(m)]
    flat = {name: pa.array(zero, pa.float32()) for name in
            ("p_click", "p_application", "p_approval", "p_activation")}  # fmt: skip
    money = {name: pa.array(zero) for name in ("value_minor", "price_minor", "score_minor")}
    columns = {
        "trace_id": pa.array([f"t{i // 4:06d}" for i in range(m)]),
        "position": pa.array(position, pa.int8()),
        "customer_id": people["customer_id"].take(pa.array(who)).combine_chunks(),
        "session_id": pa.array(session), "occurred_at": when, "received_at": when,
        "product_id": goods["product_id"].take(pa.array(what)).combine_chunks(),
        "product_version": pa.array(np.ones(m), pa.int32()),
        "institution_id": goods["institution_id"].take(pa.array(what)).combine_chunks(),
        "policy": pa.array(["random"] * m), "personalised": pa.array([True] * m),
        "channel": pa.array(["app"] * m), "scene": pa.array(["home"] * m),
        "source": pa.array(["own"] * m), "visit_cost_minor": pa.array(zero, pa.int64()),
        "city_tier": pa.array([2] * m, pa.int8()), **flat, **money,
        "display_probability": pa.array(zero + 1 / 18),
        "n_candidates": pa.array(zero + 18, pa.int32()),
        "feature_as_of": pa.array([None] * m, pa.timestamp("us")),
        "snapshot_version": pa.array(["s"] * m), "model_version": pa.array([""] * m),
        "plan_version": pa.array([""] * m), "catalog_version": pa.array(["c"] * m),
        "consent_version": pa.array(["v1"] * m),
        "region": pa.nulls(m, pa.string()), "branch_id": pa.nulls(m, pa.string()),
        "closed": pa.nulls(m, pa.string()), "arms": pa.nulls(m, pa.string()),
    }  # fmt: skip
    return pa.table({name: columns[name] for name in DECISIONS.names})


def _outcomes(
    hit: NDArray[np.bool_], at: NDArray[np.int64], what: NDArray[np.int64], shown: pa.Table,
    rng: np.random.Generator,
) -> pa.Table:  # fmt: skip
    """Return reports: yes after days, no sooner; institutions 4 and 5 never report a refusal."""
    rows: list[tuple[int, int, str, int]] = []
    mean_days = (0.002, 0.3, 4.0, 8.0)
    for i in np.flatnonzero(hit[:, 0]):
        when = int(at[i])
        for place in range(4):
            wait = rng.exponential(mean_days[place])
            if hit[i, place]:
                when += int(wait * DAY_US)
                rows.append((i, place, "reached", when))
                continue
            if place == 1:
                rows.append((i, place, "expired", when + 2 * DAY_US))
            elif place == 2 and what[i] % 6 < 4:
                rows.append((i, place, "refused", when + int(0.4 * wait * DAY_US)))
            break
    m = len(rows)
    index = pa.array([row[0] for row in rows])
    when = pa.array([row[3] for row in rows]).cast(pa.timestamp("us"))
    columns = {
        "outcome_id": pa.array([f"o{i:07d}" for i in range(m)]),
        "click_id": pa.array([f"k{row[0]}" for row in rows]),
        "application_id": pa.array([f"a{row[0]}" for row in rows]),
        "stage": pa.array([_STAGES[row[1]] for row in rows]),
        "polarity": pa.array([row[2] for row in rows]),
        "occurred_at": when, "received_at": when,
        "amount_minor": pa.array([None] * m, pa.int64()),
        "corrects": pa.array([None] * m, pa.string()),
        "sequence": pa.array([1] * m, pa.int32()),
    }  # fmt: skip
    same = ("trace_id", "position", "customer_id", "product_id", "institution_id")
    columns |= {name: shown[name].take(index).combine_chunks() for name in same}
    return pa.table({name: columns[name] for name in OUTCOMES.names})


@pytest.fixture(scope="session")
def world() -> World:
    """Return a small funnel."""
    return make_world()


@pytest.fixture(scope="session")
def rows(world: World) -> propensity.TrainingSet:
    """Return its training set as of the end of showing."""
    return world.training()


@pytest.fixture(scope="session")
def chain(rows: propensity.TrainingSet) -> propensity.ChainModel:
    """Return the chain trained on it."""
    return propensity.train(rows, seed=7)


@pytest.fixture
def noon() -> ContextColumns:
    """Return one moment of an ordinary day."""
    return ContextColumns.single(START_US + 30 * DAY_US + 4 * 3_600_000_000)
