"""Approval odds that may be said beside an offer: measured daily, carried by the snapshot.

Counted are applications for credit whose chance was logged when the offer was shown, by a model
that could not know the answer; older than the age at which 99 % of the institution's approvals have
been heard, so that no slow answer is missing: what is still open then counts as not approved. A
bound that holds over all of them is withdrawn when the newest answers contradict it.

Everything is as of an instant: shown, answered and heard by then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.decision import Reason
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.domain.time import DAY_US, from_us
from jinqiao.store.base import Lake

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine
    from jinqiao.propensity import ApprovalOdds, OddsBound
    from jinqiao.propensity.delay import Cases

__all__ = ["LEAST", "Odds", "badge", "measure", "odds_as_of", "read_odds", "told", "write_odds"]

WINDOW_DAYS = 91
_LEAN = 20.0
_HEARD = 0.99
LEAST = 200
"""Fewer applications at or above a chance carry no promise."""

_APPLIED_SQL = """
select d.trace_id, d.position, d.institution_id, d.product_id,
       epoch_us(d.occurred_at) as shown_us, d.p_approval
from decisions d join (
  select distinct trace_id, position from outcomes
  where stage <> 'click' and received_at <= make_timestamp($as_of_us)
) o on d.trace_id = o.trace_id and d.position = o.position
where d.received_at <= make_timestamp($as_of_us) and epoch_us(d.occurred_at) > $since_us
  and d.personalised and d.model_version <> 'none'
order by d.trace_id, d.position
"""


@dataclass(frozen=True)
class Odds:
    """What may be said by institution; ``fallen``: what held until the newest answers."""

    as_of_us: int
    found: ApprovalOdds
    fallen: tuple[OddsBound, ...] = ()


@dataclass(frozen=True, eq=False)
class _Answers:
    """m applications: chance, approved by now, house, whether old enough, when it was heard."""

    chance: NDArray[np.float64]
    approved: NDArray[np.bool_]
    house: NDArray[np.object_]
    mature: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    heard_us: NDArray[np.int64]


def odds_as_of(engine: Engine, as_of_us: int) -> Odds:
    """Return what may be said of each institution, from what was known at an instant."""
    catalog = engine.catalog(as_of_us)
    credit = [str(p.product_id) for p in catalog.products() if p.product_class in CREDIT_CLASSES]
    return measure(engine.lake, credit, as_of_us)


def measure(lake: Lake, credit: list[str], as_of_us: int) -> Odds:
    """Return the same of a lake; ``credit`` names the products that lend."""
    from jinqiao.propensity import ApprovalOdds, approval_odds

    seen = _answers(lake, credit, as_of_us)
    old = seen.mature
    if not old.any():
        return Odds(as_of_us, ApprovalOdds((), {}, 0.95))
    found = approval_odds(seen.chance[old], seen.approved[old], seen.house[old].tolist())
    gone = tuple(bound for bound in found.bounds if _contradicted(seen, bound))
    kept = tuple(bound for bound in found.bounds if bound not in gone)
    return Odds(as_of_us, ApprovalOdds(kept, found.cases_by_group, found.confidence), gone)


def _answers(lake: Lake, credit: list[str], as_of_us: int) -> _Answers:
    from jinqiao.propensity.outcomes import OUTCOMES_SQL, fold, stage_cases

    since = as_of_us - WINDOW_DAYS * DAY_US
    rows = lake.query(_APPLIED_SQL, as_of_us=as_of_us, since_us=since)
    lent = np.isin(np.array(rows["product_id"].to_pylist(), dtype=object), credit)
    rows = rows.filter(pa.array(lent))
    folded = fold(rows, lake.query(OUTCOMES_SQL, as_of_us=as_of_us))
    names = rows["institution_id"].combine_chunks().dictionary_encode()
    code = names.indices.to_numpy().astype(np.int64)
    at, cases = stage_cases(folded, 2, code, as_of_us)
    late = _latest(cases)
    house = np.array([*names.dictionary.to_pylist(), ""], dtype=object)[code[at]]
    decided = cases.end >= 0
    began = as_of_us - cases.age_us
    heard = began + np.where(decided, cases.after_us, late)
    chance = rows["p_approval"].to_numpy().astype(np.float64)[at]
    return _Answers(chance, cases.end == 1, house, cases.age_us >= late, decided, heard)


def _latest(cases: Cases) -> NDArray[np.int64]:
    """Return for each case the age by which 99 % of its institution's approvals are heard.

    One with few leans on all of them; nobody's: the age of the oldest case.
    """
    from jinqiao.propensity.delay import incidence

    after = np.where(cases.end == -1, cases.age_us, cases.after_us)
    out = np.full(len(after), int(after.max(initial=0)), np.int64)
    if not (cases.end == 1).any():
        return out
    pool = _nearly_all(*incidence(after, cases.end)[:2])
    for house in np.unique(cases.institution):
        rows = np.flatnonzero(cases.institution == house)
        yes = int((cases.end[rows] == 1).sum())
        own = _nearly_all(*incidence(after[rows], cases.end[rows])[:2]) if yes else pool
        lean = yes / (yes + _LEAN)
        out[rows] = int(lean * own + (1 - lean) * pool)
    return out


def _nearly_all(times: NDArray[np.int64], share: NDArray[np.float64]) -> int:
    return int(times[np.searchsorted(share, _HEARD * share[-1])])


def _contradicted(seen: _Answers, bound: OddsBound) -> bool:
    """Return whether the newest answers at or above a bound's chance fall short of its share."""
    from jinqiao.propensity.fallen import fallen

    known = seen.mature | seen.decided
    rows = np.flatnonzero(known & (seen.house == bound.group) & (seen.chance >= bound.threshold))
    order = rows[np.argsort(seen.heard_us[rows], kind="stable")]
    return fallen(seen.approved[order], bound.level)


def badge(
    odds: Odds | None, institution_id: str, kind: ProductClass | str, chance: float
) -> Reason | None:
    """Return the sentence that may stand beside an offer, or None."""
    said = told(odds, institution_id, kind, chance)
    return said if said is not None and said.code == "odds_badge" else None


def told(
    odds: Odds | None, institution_id: str, kind: ProductClass | str, chance: float
) -> Reason | None:
    """Return the badge of an offer, or why there is none; None where nothing is lent.

    ``chance`` : of approval, as it is logged with the offer.
    """
    if str(kind) not in {one.value for one in CREDIT_CLASSES}:
        return None
    if odds is None:
        return Reason("odds_unmeasured")
    day = from_us(odds.as_of_us).date().isoformat()
    bound = odds.found.badge(institution_id, chance)
    if bound is not None and bound.cases >= LEAST and bound.lower >= bound.level:
        return Reason("odds_badge", {
            "cases": bound.cases, "in_ten": _in_ten(bound.level), "day": day,
            "level": bound.level, "share": bound.share, "lower": bound.lower,
            "confidence": odds.found.confidence,
        })  # fmt: skip
    return _withheld(odds, institution_id, chance, day)


def _withheld(odds: Odds, institution_id: str, chance: float, day: str) -> Reason:
    """Return why there is no badge: contradicted, too few, no bound, or a lower chance."""
    cases = odds.found.cases_by_group.get(institution_id, 0)
    numbers: dict[str, object] = {"cases": cases, "day": day, "least": LEAST}
    lost = [b for b in odds.fallen if b.group == institution_id and chance >= b.threshold]
    if lost:
        level = _in_ten(max(b.level for b in lost))
        return Reason("odds_fallen", numbers | {"in_ten": level})
    if cases < LEAST:
        return Reason("odds_few", numbers)
    held = [b.threshold for b in odds.found.bounds if b.group == institution_id]
    if held:
        return Reason("odds_below", numbers | {"chance": chance, "from_chance": min(held)})
    return Reason("odds_no_bound", numbers | {"confidence": odds.found.confidence})


def _in_ten(level: float) -> int:
    return int(np.floor(10 * level + 1e-9))


def write_odds(path: Path, odds: Odds) -> None:
    """Write odds as plain JSON."""
    plain = {
        "as_of_us": odds.as_of_us, "confidence": odds.found.confidence,
        "cases": odds.found.cases_by_group,
        "bounds": [asdict(bound) for bound in odds.found.bounds],
        "fallen": [asdict(bound) for bound in odds.fallen],
    }  # fmt: skip
    path.write_text(json.dumps(plain, indent=1, sort_keys=True), encoding="utf-8")


def read_odds(path: Path) -> Odds | None:
    """Return odds that were written, or None for a snapshot that has none."""
    from jinqiao.propensity import ApprovalOdds, OddsBound

    if not path.is_file():
        return None
    plain: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kept, gone = (tuple(OddsBound(**row) for row in plain[name]) for name in ("bounds", "fallen"))
    found = ApprovalOdds(kept, dict(plain["cases"]), float(plain["confidence"]))
    return Odds(int(plain["as_of_us"]), found, gone)
