"""What the shelf said beside what came, by stage, institution, segment, and on the shown set.

Each offer was logged with its chances before anybody knew; what became of it is heard late, so open
cases are in by their institution's delays and never a no. What rank put on a shelf (``chosen``) is
told apart from what was drawn by lot (``drawn``): to choose by a noisy number picks what it
flatters, and only drawn offers show whether the model or the choosing is off. A click that found no
unit left is a click; of what would have followed its institution's rates are expected.

Letters: n logged offers, m cases of a stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine
    from jinqiao.insight import Heard, Reliability
    from jinqiao.propensity.delay import Delays

__all__ = ["STAGES", "Calibrations", "ShownRatio", "calibration_of", "shown_of"]

STAGES = ("click", "application", "approval", "activation")
GROUPS = ("institution_id", "product_class", "city_tier", "channel")
LEAST = 50
"""A group of fewer cases is not told: its noise floor would be all there is."""
_MOST = 200_000
_BY_LOT = 0.5
_DRAWS = 400

_SHOWN_SQL = """
select trace_id, position, customer_id, epoch_us(occurred_at) as shown_us, product_id,
       institution_id, channel, cast(city_tier as varchar) as city_tier, policy,
       display_probability, p_click, p_application, p_approval, p_activation
from decisions
where received_at <= make_timestamp($as_of_us) and epoch_us(occurred_at) > $after_us
  and personalised and model_version <> 'none'
order by occurred_at desc, trace_id, position limit $most
"""


@dataclass(frozen=True)
class ShownRatio:
    """Of what rank put on shelves: the offers expected to come this far ÷ those that do.

    ``lower`` to ``upper``: 95 %, by drawing customers again. None where nothing came.
    """

    stage: str
    said: float
    came: float
    ratio: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Calibrations:
    """By stage: in all, by set (``chosen``, ``drawn``) and by group; and the shown set's ratios.

    ``whole`` and ``by_set`` map a stage (and a set) to its figures; ``by_group`` a stage and a kind
    of group to the figures of each group of 50 cases or more. A stage without a case is absent.
    """

    as_of_us: int
    window_days: int
    offers: int
    whole: dict[str, Reliability]
    by_set: dict[str, dict[str, Reliability]]
    by_group: dict[str, dict[str, dict[str, Reliability]]]
    shown: tuple[ShownRatio, ...]


@dataclass(frozen=True, eq=False)
class _Shown:
    """n offers: ``said`` (n, 4), the groups they are in, and whether rank put them there."""

    rows: pa.Table
    said: NDArray[np.float64]
    groups: dict[str, NDArray[np.object_]]
    chosen: NDArray[np.bool_]


def calibration_of(
    engine: Engine, *, window_days: int = 28, as_of_us: int | None = None, seed: int = 0
) -> Calibrations:
    """Return how what was said in a window came true, as known at an instant.

    Of more than 200,000 offers the newest count.
    """
    from jinqiao.conversion import sold_out
    from jinqiao.flow import daily
    from jinqiao.propensity.delay import fit_delays
    from jinqiao.propensity.outcomes import OUTCOMES_SQL, fold, offers_at, stage_cases

    as_of = engine.clock() if as_of_us is None else as_of_us
    daily.drain_outcomes(engine)
    shown = _shown(engine, as_of, window_days)
    folded = fold(shown.rows, engine.lake.query(OUTCOMES_SQL, as_of_us=as_of))
    names = shown.rows["institution_id"].combine_chunks().dictionary_encode()
    house = names.indices.to_numpy().astype(np.int64)
    with engine.records.reading() as tx:
        lost = offers_at(
            shown.rows, sold_out(tx, from_us=as_of - window_days * DAY_US, until_us=as_of)
        )
    reached = np.zeros_like(shown.said)
    reached[:, 0] = folded.reached[:, 0]
    reached[lost, 0] = 1.0
    cases = [(np.arange(len(house)), _at_once(reached[:, 0]))]
    for place in (1, 2, 3):
        at, found = stage_cases(folded, place, house, as_of)
        delays = fit_delays(found)
        cases.append((at, _heard(delays)))
        reached[:, place] = _expected(reached[:, place - 1], (at, delays), house, lost)
    out = Calibrations(as_of, window_days, len(house), {}, {}, {}, shown_of(shown, reached, seed))
    for place, (at, heard) in enumerate(cases):
        if len(at):
            _judge(out, STAGES[place], (shown, at, shown.said[at, place], heard), seed)
    return out


def _shown(engine: Engine, as_of_us: int, window_days: int) -> _Shown:
    rows = engine.lake.query(
        _SHOWN_SQL, as_of_us=as_of_us, after_us=as_of_us - window_days * DAY_US, most=_MOST
    )
    kind = {
        str(product.product_id): product.product_class.value
        for product in engine.catalog(as_of_us).products()
    }
    rows = rows.append_column(
        "product_class", pa.array([kind.get(p, "") for p in rows["product_id"].to_pylist()])
    )
    groups = {
        name: np.array([one or "" for one in rows[name].to_pylist()], dtype=object)
        for name in GROUPS
    }
    said = np.column_stack([rows[f"p_{stage}"].to_numpy() for stage in STAGES]).astype(np.float64)
    by_plan = np.array([one != "random" for one in rows["policy"].to_pylist()], bool)
    chosen = by_plan & (rows["display_probability"].to_numpy() >= _BY_LOT)
    return _Shown(rows, said, groups, chosen)


def _at_once(clicked: NDArray[np.float64]) -> Heard:
    from jinqiao.insight import Heard

    return Heard.at_once(clicked)


def _heard(delays: Delays) -> Heard:
    """Return what is known; an institution's silence that has lasted is heard as a no."""
    from jinqiao.insight import Heard

    told = np.where((delays.label == 0) & (delays.no_by == 0), 1.0, delays.no_by)
    return Heard(delays.label, delays.yes_by, told)


def _expected(
    before: NDArray[np.float64],
    case: tuple[NDArray[np.int64], Delays],
    house: NDArray[np.int64],
    lost: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the expected reaching of a stage, (n,): what is open by its institution's rate.

    ``lost`` : offers whose click found no unit, of which no case came.
    """
    at, delays = case
    n = int(house.max(initial=0)) + 1
    count = np.bincount(house[at], minlength=n)
    pool = float(delays.rate.mean()) if len(at) else 0.0
    total = np.bincount(house[at], delays.rate, minlength=n)
    rate = np.where(count > 0, total / np.maximum(count, 1), pool)
    out: NDArray[np.float64] = np.where(before < 1.0, before * rate[house], 0.0)
    out[lost] = before[lost] * rate[house[lost]]
    out[at] = delays.expected(delays.rate)
    return out


def _judge(
    out: Calibrations, stage: str,
    case: tuple[_Shown, NDArray[np.int64], NDArray[np.float64], Heard], seed: int,
) -> None:  # fmt: skip
    """Put one stage's figures where they belong."""
    from jinqiao.insight import reliability

    shown, at, said, heard = case
    out.whole[stage] = reliability(said, heard, seed=seed)
    sets = {"chosen": shown.chosen[at], "drawn": ~shown.chosen[at]}
    out.by_set[stage] = {
        name: reliability(said[some], heard.take(np.flatnonzero(some)), seed=seed)
        for name, some in sets.items()
        if some.sum() >= LEAST
    }
    out.by_group[stage] = {}
    for kind, values in shown.groups.items():
        here = values[at]
        parts = {str(name): np.flatnonzero(here == name) for name in np.unique(here.astype(str))}
        out.by_group[stage][kind] = {
            name: reliability(said[rows], heard.take(rows), seed=seed)
            for name, rows in parts.items()
            if len(rows) >= LEAST and name
        }


def shown_of(shown: Any, reached: NDArray[np.float64], seed: int) -> tuple[ShownRatio, ...]:
    """Return said ÷ came of what rank put on shelves, as far as each stage.

    ``shown`` has ``said`` (n, 4), ``chosen`` (n,) and ``rows`` with ``customer_id``; ``reached``
    (n, 4) is the expected reaching of each stage.
    """
    some = np.flatnonzero(shown.chosen)
    said, came = np.cumprod(shown.said[some], axis=1), reached[some]
    whose = shown.rows["customer_id"].combine_chunks().dictionary_encode().indices.to_numpy()[some]
    rng = np.random.default_rng([seed, 59])
    people, code = np.unique(whose, return_inverse=True)
    found = []
    for place, stage in enumerate(STAGES):
        n = len(people)
        sums = [np.bincount(code, x[:, place], n).astype(np.float64) for x in (said, came)]
        total = [float(one.sum()) for one in sums]
        ratio = total[0] / total[1] if total[1] > 0 else None
        ends = _ends(sums, rng) if ratio is not None else (None, None)
        found.append(ShownRatio(stage, total[0], total[1], ratio, *ends))
    return tuple(found)


def _ends(
    sums: list[NDArray[np.float64]], rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a ratio of sums over people drawn again (Efron 1979)."""
    n = len(sums[0])
    weight = rng.multinomial(n, np.full(n, 1.0 / n), size=_DRAWS)
    above, below = weight @ sums[0], weight @ sums[1]
    good = below > 0
    if not good.any():
        return None, None
    low, high = np.quantile(above[good] / below[good], (0.025, 0.975))
    return float(low), float(high)
