"""What every policy captured against the truth. The only reader of ``synthetic.truth``.

From the same state after the random log each naive policy and reference lives its own days: same
visits, same luck, same limits, same shelf rules as the product's own path. Everything is valued by
the one formula with true numbers; nothing is scored by what happened to be drawn.

The bound: each week's visits as a linear programme with true chances, places and limits, nothing
worn by what a policy itself shows. Its Lagrangian dual at any prices ≥ 0 is worth at least as much
as any policy can capture in expectation; the best of many prices is taken.

Letters: s visits, p products, n people, K places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.catalog import Catalog
from jinqiao.domain.time import DAY_US
from jinqiao.engines.ordered import Places
from jinqiao.errors import InputError
from jinqiao.flow.baselines import Caps, Units, shelves
from jinqiao.flow.bound import limit_rows, lowest_bound
from jinqiao.shelf import Requests, Serving
from jinqiao.shelf.scoring import candidates
from jinqiao.shelf.scoring import score as score_pairs
from jinqiao.synthetic import Life, Market
from jinqiao.synthetic.truth import BESIDE, POSITION, ClickedPairs, Shown, Truth

__all__ = [
    "BASELINES", "REFERENCES", "Captured", "Evaluation", "Inputs", "Told", "calibration",
    "captured_by_plan", "frauds_of", "ladder", "shown_of", "told_of", "true_of", "weekly_bound",
]  # fmt: skip

BASELINES = (
    "random_eligible", "popularity", "highest_payout", "expected_payout", "chain_greedy",
)  # fmt: skip
REFERENCES = ("true_prices", "static_best")
_TICKS = 12

Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What an evaluation starts from.

    Parameters
    ----------
    market, life : the market and its life after the log; the life is forked, never changed.
    catalog : the catalog in force. serving : the snapshot after the log at free prices: masks,
        chances and worths as learnt from the log.
    customer : (n,) each person's row of the serving's profiles, −1 without one.
    consent : (n,) whether each person's consent to personalise stands.
    first_day, days : the stretch to live.
    """

    market: Market
    life: Life
    catalog: Catalog
    serving: Serving
    customer: NDArray[np.int32]
    consent: NDArray[np.bool_]
    first_day: int = 28
    days: int = 28
    seed: int = 1

    def __post_init__(self) -> None:
        if self.serving.product_ids != self.market.goods.product_id:
            raise InputError("the serving is of other products than the market", field="serving")
        if self.days < 1:
            raise InputError(f"{self.days} days", field="days", fix="1 or more")

    @property
    def from_us(self) -> int:
        return self.market.start_us + self.first_day * DAY_US

    @property
    def until_us(self) -> int:
        return self.from_us + self.days * DAY_US

    @property
    def weeks(self) -> tuple[range, ...]:
        """The days of each calendar week (from Monday) that the stretch touches."""
        zero = self.market.spec.day_zero.weekday()
        last = self.first_day + self.days
        starts = [d for d in range(self.first_day, last) if (d + zero) % 7 == 0]
        edges = sorted({self.first_day, *starts, last})
        return tuple(range(a, b) for a, b in pairwise(edges))


@dataclass(frozen=True)
class Captured:
    """What one life captured: minor units whole and by week, and what came of its applications.

    ``refused_per_100`` : true expected refusals a hundred applications. ``by_segment`` : value a
    thousand visits of each kind of person. ``over_units`` : reports that found no free unit.
    """

    name: str
    value_minor: float
    by_week: tuple[float, ...]
    refused_per_100: float
    payout_minor: float
    by_segment: Mapping[str, float]
    over_units: int = 0


@dataclass(frozen=True)
class Evaluation:
    """The ladder. Percentages are of the weekly bound, which no policy can pass."""

    bound_by_week: tuple[float, ...]
    captured: Mapping[str, Captured]
    lives: Mapping[str, Life] = field(default_factory=dict, repr=False)
    scarce: tuple[NDArray[np.bool_], ...] = field(default=(), repr=False)
    """Of each week, the products whose units the bound puts a price on, (p,)."""

    @property
    def bound_minor(self) -> float:
        return sum(self.bound_by_week)

    @property
    def baselines_pct(self) -> dict[str, float]:
        """Return each naive policy's value as a percentage of the oracle."""
        return {name: self.of_oracle_pct(self.captured[name].value_minor) for name in BASELINES}

    @property
    def references(self) -> dict[str, float]:
        """Return the references in minor units."""
        found = {name: self.captured[name].value_minor for name in REFERENCES}
        return {"bound": self.bound_minor, **found}

    def of_oracle_pct(self, value_minor: float) -> float:
        """Return a value as a percentage of the oracle: true chances and online prices."""
        return 100.0 * value_minor / self.captured["true_prices"].value_minor

    def of_static_pct(self, value_minor: float) -> float:
        """Return a value as a percentage of the best policy on static facts."""
        return 100.0 * value_minor / self.captured["static_best"].value_minor

    def of_bound_pct(self, value_minor: float) -> float:
        """Return a value as a percentage of the bound."""
        return 100.0 * value_minor / self.bound_minor

    def regret_by_week(self, captured: Captured) -> list[float]:
        """Return what each week fell short of its bound, minor units."""
        pairs = zip(self.bound_by_week, captured.by_week, strict=True)
        return [bound - got for bound, got in pairs]


def ladder(inputs: Inputs, progress: Progress | None = None) -> Evaluation:
    """Return the ladder: every naive policy and reference lived, and the weekly bound."""
    tell = progress or (lambda _step, _share: None)
    truth = Truth(inputs.market)
    stage = _Stage(inputs, truth)
    tell("bound", 0.0)
    bound, prices = weekly_bound(inputs, truth)
    policies = _policies(inputs, truth, prices)
    players = {name: _Player(inputs, policy) for name, policy in policies.items()}
    for day in range(inputs.first_day, inputs.first_day + inputs.days):
        tell(f"day {day}", (day - inputs.first_day + 1) / (inputs.days + 1))
        today = stage.day(day)
        for player in players.values():
            player.play(today)
    captured = {
        name: captured_of(name, inputs, truth, player.life, player.units.over)
        for name, player in players.items()
    }
    lives = {name: player.life for name, player in players.items()}
    return Evaluation(tuple(bound), captured, lives, tuple(count > 0 for count, _ in prices))


def captured_of(
    name: str, inputs: Inputs, truth: Truth, life: Life, over_units: int = 0
) -> Captured:
    """Return what a life captured in the stretch: also that of the product's own path."""
    shown = truth.shown(life, inputs.from_us, inputs.until_us)
    reached = np.cumprod(shown.chances, axis=1)
    applied, approved = reached[:, 1].sum(), reached[:, 2].sum()
    payout, stage = truth.goods_payout
    paid = reached[np.arange(len(shown)), stage[shown.product]] * payout[shown.product]
    per_person = np.bincount(shown.person, shown.value, minlength=inputs.market.size)
    top = shown.position == 1
    visits = np.bincount(shown.person[top], minlength=inputs.market.size)
    segments = {
        label: 1_000 * per_person[rows].sum() / max(visits[rows].sum(), 1)
        for label, rows in truth.segments().items()
    }
    begin = inputs.market.start_us
    by_week = [
        truth.captured(life, begin + week.start * DAY_US, begin + week.stop * DAY_US)
        for week in inputs.weeks
    ]
    return Captured(
        name, sum(by_week), tuple(by_week), float(100 * (applied - approved) / max(applied, 1e-9)),
        float(paid.sum()), segments, over_units,
    )  # fmt: skip


def captured_by_plan(inputs: Inputs, life: Life) -> Captured:
    """Return what the life under the plan captured in the same stretch."""
    return captured_of("plan", inputs, Truth(inputs.market), life)


@dataclass(frozen=True, eq=False)
class Told:
    """When a life's accepted clicks were first heard to go on, (c, 3): applied, approved, active.

    Far beyond any run where that never happens.
    """

    at_us: NDArray[np.int64]

    def seen_share(self, now_us: int) -> list[float]:
        """Return, stage by stage, what is heard by now of all that will be heard.

        Of clicks; of applications heard of by now; of approvals heard of by now.
        """
        base, out = np.ones(len(self.at_us), bool), []
        for stage in range(3):
            at = self.at_us[:, stage]
            coming = base & (at < 2**60)
            base = base & (at <= now_us)
            out.append(float(base.sum() / coming.sum()) if coming.any() else 1.0)
        return out


def told_of(life: Life) -> Told:
    """Return when a life's clicks were heard to go on."""
    parts = life._tally.fates if life._tally is not None else []
    return Told(np.concatenate(parts) if parts else np.zeros((0, 3), np.int64))


def shown_of(inputs: Inputs, life: Life) -> Shown:
    """Return what a life showed in the stretch, row by row, with true chances and values."""
    return Truth(inputs.market).shown(life, inputs.from_us, inputs.until_us)


def true_of(market: Market, life: Life, shown: pa.Table) -> Shown:
    """Return what some shelves truly are, shown to a life as it stands; it is not changed.

    ``shown`` as ``Life.respond`` takes it, nothing earlier than what the life has seen.
    """
    other = life.fork()
    other.respond(shown)
    at = shown["occurred_at"].cast(pa.int64()).to_numpy()
    return Truth(market).shown(other, int(at.min()), int(at.max()) + 1)


def frauds_of(inputs: Inputs) -> dict[str, NDArray[np.bool_]]:
    """Return masks of people, (n,) each, by what they mean: ``synthetic.fraud.FRAUDS``."""
    return Truth(inputs.market).fraud()


def calibration(inputs: Inputs) -> dict[str, dict[str, float]]:
    """Return how the learnt numbers stand beside the truth, on one day's pairs.

    For every pair that may be shown (``eligible``) and those a greedy shelf would show (``shown``):
    per stage predicted ÷ true chance and the expected calibration error, each pair weighted by the
    true chance of reaching the stage; and predicted ÷ true value (on ``shown``: winner's curse).
    """
    truth, day = Truth(inputs.market), inputs.first_day
    sessions = inputs.market.sessions(day)
    requests = requests_of(inputs, sessions, day)
    found = candidates(inputs.serving, requests, None, None)
    scores = score_pairs(inputs.serving, requests, found.request, found.product)
    allowed = np.zeros((len(requests), inputs.serving.n_products), bool)
    allowed[found.request, found.product] = True
    pairs = truth.pairs(inputs.market.visits(day), allowed, inputs.life.fork())
    dense = np.full(allowed.shape, -np.inf)
    dense[found.request, found.product] = scores.value_minor
    best = shelves(dense, caps_of(inputs.serving), inputs.serving.settings.slots)
    row, place = np.nonzero(best >= 0)
    chosen = np.zeros(allowed.shape, bool)
    chosen[row, best[row, place]] = True
    known = requests.personalised[found.request]
    groups = {"eligible": known, "shown": known & chosen[allowed]}
    return {
        name: _beside_truth(scores.chances[rows], pairs.chances[rows])
        | {"value": float(scores.value_minor[rows].sum() / pairs.value[rows].sum())}
        for name, rows in groups.items()
    }


def _beside_truth(predicted: NDArray[np.floating], true: NDArray[np.float64]) -> dict[str, float]:
    """Return predicted ÷ true and calibration error by stage, weighted by the way there."""
    out: dict[str, float] = {}
    weight = np.ones(len(true))
    for stage, name in enumerate(("click", "application", "approval", "activation")):
        p, t = predicted[:, stage].astype(np.float64), true[:, stage]
        out[name] = float((weight * p).sum() / (weight * t).sum())
        edges = np.quantile(p, np.linspace(0, 1, 11)[1:-1])
        bins = np.searchsorted(edges, p)
        gaps = np.abs(np.bincount(bins, weight * (p - t), minlength=10))
        out[f"{name}_error"] = float(gaps.sum() / weight.sum())
        weight = weight * t
    return out


# -- the stage: one day's visits, the same for every policy ---


@dataclass(frozen=True, eq=False)
class _Day:
    """One day's visits in time order, what each may be shown, and the learnt numbers of pairs."""

    number: int
    sessions: pa.Table
    at_us: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    p_click: NDArray[np.float64]
    value: NDArray[np.float64]
    ticks: tuple[tuple[int, slice], ...]


class _Stage:
    """Makes days: masks and learnt scores by the very code that serves."""

    def __init__(self, inputs: Inputs, truth: Truth) -> None:
        self.inputs, self.truth = inputs, truth

    def day(self, number: int) -> _Day:
        inputs = self.inputs
        sessions = inputs.market.sessions(number)
        requests = requests_of(inputs, sessions, number)
        found = candidates(inputs.serving, requests, None, None)
        row, product = found.request, found.product
        shape = (len(requests), inputs.serving.n_products)
        allowed = np.zeros(shape, bool)
        allowed[row, product] = True
        p_click, value = np.full(shape, -np.inf), np.full(shape, -np.inf)
        scores = score_pairs(inputs.serving, requests, row, product)
        p_click[row, product] = scores.chances[:, 0]
        value[row, product] = scores.value_minor
        return _Day(
            number, sessions, requests.at_us, allowed, p_click, value,
            _ticks(requests.at_us, inputs.market.start_us + number * DAY_US),
        )  # fmt: skip


def requests_of(inputs: Inputs, sessions: pa.Table, day: int) -> Requests:
    """Return the requests behind one day's sessions, named by their session."""
    person = inputs.market.visits(day).person
    agreed = inputs.consent[person] & (inputs.customer[person] >= 0)
    ids = sessions["session_id"].combine_chunks()
    tier = sessions["city_tier"].cast(pa.float32()).to_numpy()
    channel, scene, source = (
        sessions[name].combine_chunks() for name in ("channel", "scene", "source")
    )
    return Requests(
        customer=inputs.customer[person].astype(np.int32),
        customer_id=pa.array([""] * len(person), pa.string()),
        consent_version=pa.array(
            np.array(["given"] * len(person), object), pa.string(), mask=~agreed
        ),
        session_id=ids,
        trace_id=ids,
        at_us=sessions["occurred_at"].cast(pa.int64()).to_numpy(),
        channel=channel,
        scene=scene,
        source=source,
        visit_cost_minor=sessions["visit_cost_minor"].to_numpy(),
        city_tier=tier.astype(np.float32),
    )


def _ticks(at_us: NDArray[np.int64], begin_us: int) -> tuple[tuple[int, slice], ...]:
    """Return the stretches of a day that have visits: their first instant and rows."""
    length = DAY_US // _TICKS
    edges = np.searchsorted(at_us, begin_us + np.arange(_TICKS + 1) * length)
    edges[0], edges[-1] = 0, len(at_us)
    return tuple(
        (begin_us + t * length, slice(int(edges[t]), int(edges[t + 1])))
        for t in range(_TICKS)
        if edges[t + 1] > edges[t]
    )


# -- policies ---

Policy = Callable[["_Day", slice, Life, NDArray[np.bool_]], NDArray[np.int64]]
"""(day, rows, life so far, products with units left) → shelves (s, K), −1 where empty."""


def _policies(
    inputs: Inputs, truth: Truth, prices: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> dict[str, Policy]:
    serving = inputs.serving
    rng = np.random.default_rng([inputs.seed, 77])

    def luck(day: _Day, rows: slice) -> NDArray[np.float64]:
        return rng.random((rows.stop - rows.start, serving.n_products))

    def fixed(order: NDArray[np.float64]) -> Callable[[_Day, slice], NDArray[np.float64]]:
        return lambda day, rows: np.broadcast_to(order, (rows.stop - rows.start, len(order)))

    scores: dict[str, Callable[[_Day, slice], NDArray[np.float64]]] = {
        "random_eligible": luck,
        "popularity": fixed(serving.base_chances[:, 0].astype(np.float64)),
        "highest_payout": fixed(serving.payout_minor),
        "expected_payout": lambda day, rows: day.p_click[rows] * serving.payout_minor,
        "chain_greedy": lambda day, rows: day.value[rows],
    }
    out: dict[str, Policy] = {name: _naive(inputs, score) for name, score in scores.items()}
    out["true_prices"] = _knowing(inputs, truth, prices)
    out["static_best"] = _static(inputs, truth)
    return out


def _naive(inputs: Inputs, score: Callable[[_Day, slice], NDArray[np.float64]]) -> Policy:
    caps, slots = caps_of(inputs.serving), inputs.serving.settings.slots

    def policy(day: _Day, rows: slice, life: Life, open_: NDArray[np.bool_]) -> NDArray[np.int64]:
        may = day.allowed[rows] & open_
        return shelves(np.where(may, score(day, rows), -np.inf), caps, slots)

    return policy


def _knowing(
    inputs: Inputs, truth: Truth, prices: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> Policy:
    """True chances now, wear included, less the week's prices."""
    caps, slots = caps_of(inputs.serving), inputs.serving.settings.slots

    def policy(day: _Day, rows: slice, life: Life, open_: NDArray[np.bool_]) -> NDArray[np.int64]:
        may = day.allowed[rows] & open_
        visits = inputs.market.visits(day.number).take(np.arange(rows.start, rows.stop))
        pairs = truth.pairs(visits, may, life)
        count, money = prices[next(w for w, d in enumerate(inputs.weeks) if day.number in d)]
        return _priced(pairs, may, (count, money), caps, slots)

    return policy


def _priced(
    pairs: ClickedPairs, may: NDArray[np.bool_],
    prices: tuple[NDArray[np.float64], NDArray[np.float64]], caps: Caps, slots: int,
) -> NDArray[np.int64]:  # fmt: skip
    score = np.full(may.shape, -np.inf)
    p = pairs.product
    reduced = pairs.value - prices[0][p] * pairs.use - prices[1][p] * pairs.spend
    score[may] = np.where(reduced > 0, reduced, -np.inf)
    return shelves(score, caps, slots, (BESIDE,))


def _static(inputs: Inputs, truth: Truth) -> Policy:
    """The best that static facts allow: expectations given the facts, less the week's prices."""
    caps, slots = caps_of(inputs.serving), inputs.serving.settings.slots
    middle = inputs.first_day + inputs.days / 2
    allowed = _allowed_people(inputs)
    pairs = truth.static_pairs(allowed, middle)
    prices = static_prices(inputs, truth, pairs)
    reduced = pairs.value - prices[0][pairs.product] * pairs.use
    reduced -= prices[1][pairs.product] * pairs.spend
    whole = np.full(allowed.shape, -np.inf)
    whole[allowed] = np.where(reduced > 0, reduced, -np.inf)

    def policy(day: _Day, rows: slice, life: Life, open_: NDArray[np.bool_]) -> NDArray[np.int64]:
        may = day.allowed[rows] & open_
        person = inputs.market.visits(day.number).person[rows]
        return shelves(np.where(may, whole[person], -np.inf), caps, slots, (BESIDE,))

    return policy


def _allowed_people(inputs: Inputs) -> NDArray[np.bool_]:
    """Return what each person may be shown, calendar aside, (n, p)."""
    known = inputs.consent & (inputs.customer >= 0)
    out = np.empty((len(known), inputs.serving.n_products), bool)
    out[known] = inputs.serving.may_see(inputs.customer[known])
    out[~known] = inputs.serving.open_to_all
    return out


def caps_of(serving: Serving) -> Caps:
    """Return the rules of a shelf: so many of a class, an institution, a risky zone."""
    rule = serving.settings
    risky = np.where(serving.zone_code == 3, 3, -1)
    return Caps(
        (serving.class_code, serving.house_code, risky),
        (rule.class_most, rule.institution_most, rule.risky_most),
    )


# -- a life being lived ---


class _Player:
    """One policy, its life and its book of limits."""

    def __init__(self, inputs: Inputs, policy: Policy) -> None:
        self.policy = policy
        self.life = inputs.life.fork()
        self.units = Units(inputs.catalog)
        self.ids = inputs.market.product_ids
        self._carry(inputs)

    def _carry(self, inputs: Inputs) -> None:
        """Start from the week's beginning: reports of the log's clicks move no unit here."""
        self.life.reports(inputs.from_us)

    def play(self, day: _Day) -> None:
        """Live one day, a stretch at a time."""
        for now, rows in day.ticks:
            arrived = self.life.reports(now)
            self.units.report(arrived, now)
            self.units.expire(now)
            chosen = self.policy(day, rows, self.life, self.units.open(now))
            shown = _shown(day, rows, chosen, self.ids)
            clicks = self.life.respond(shown)
            if clicks.num_rows:
                self._click_out(clicks)

    def _click_out(self, clicks: pa.Table) -> None:
        """Reserve in time order; those that got a unit go on."""
        traces, positions = clicks["trace_id"].to_pylist(), clicks["position"].to_pylist()
        products = clicks["product_id"].to_pylist()
        at = clicks["clicked_at"].cast(pa.int64()).to_pylist()
        ids = [f"{trace}-{position}" for trace, position in zip(traces, positions, strict=True)]
        taken = [
            self.units.reserve(click, product, now)
            for click, product, now in zip(ids, products, at, strict=True)
        ]
        columns = {name: clicks[name] for name in ("trace_id", "position", "product_id")}
        table = pa.table(
            {"click_id": pa.array(ids, pa.string()), **columns, "clicked_at": clicks["clicked_at"]}
        )
        self.life.accept(table.filter(pa.array(np.array(taken, bool))))


def _shown(day: _Day, rows: slice, chosen: NDArray[np.int64], ids: pa.Array) -> pa.Table:
    row, place = np.nonzero(chosen >= 0)
    at = pa.array(row + rows.start)
    sessions = day.sessions["session_id"].combine_chunks().take(at)
    return pa.table(
        {
            "trace_id": sessions,
            "session_id": sessions,
            "user_id": day.sessions["user_id"].combine_chunks().take(at),
            "position": pa.array((place + 1).astype(np.int8)),
            "product_id": ids.take(pa.array(chosen[row, place])),
            "occurred_at": day.sessions["occurred_at"].combine_chunks().take(at),
        }
    )


# -- the bound ---


def weekly_bound(
    inputs: Inputs, truth: Truth
) -> tuple[list[float], list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Return each week's bound, minor units, and its prices of use and spend by product."""
    places = _places(inputs)
    life = inputs.life.fork()
    bounds, prices = [], []
    dual: NDArray[np.float64] | None = None
    for week in inputs.weeks:
        rows = limit_rows(inputs.catalog, len(week))
        pairs = _joined([_day_pairs(inputs, truth, life, day) for day in week])
        bound, dual = lowest_bound(pairs, rows, places, dual)
        bounds.append(bound)
        prices.append(rows.spread(dual, inputs.serving.n_products))
    return bounds, prices


def _places(inputs: Inputs) -> Places:
    settings = inputs.serving.settings
    weight = POSITION[: settings.slots]
    return Places(weight, inputs.serving.class_code, settings.class_most)


def _day_pairs(inputs: Inputs, truth: Truth, life: Life, day: int) -> ClickedPairs:
    """Return every allowed pair of a day, worn by the log alone: no policy is fresher than that."""
    visits = inputs.market.visits(day)
    allowed = _allowed_people(inputs)[visits.person] & truth.open_at(visits.at_us)
    return truth.pairs(visits, allowed, life)


def _joined(parts: list[ClickedPairs]) -> ClickedPairs:
    starts, base = [np.zeros(1, np.int64)], 0
    for part in parts:
        starts.append(part.start[1:] + base)
        base += int(part.start[-1])
    names = ("product", "chances", "value", "use", "spend")
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in names]
    return ClickedPairs(np.concatenate(starts), *columns)


def static_prices(
    inputs: Inputs, truth: Truth, pairs: ClickedPairs
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the prices under which static expectations keep a week's limits, (p,) each."""
    people = inputs.market.everyone
    rate = people.visits * inputs.market.spec.visits_per_week
    weekly = np.repeat(rate, np.diff(pairs.start))
    scaled = ClickedPairs(
        pairs.start, pairs.product, pairs.chances, pairs.value * weekly, pairs.use * weekly,
        pairs.spend * weekly,
    )  # fmt: skip
    rows = limit_rows(inputs.catalog)
    _, dual = lowest_bound(scaled, rows, _places(inputs))
    return rows.spread(dual, inputs.serving.n_products)
