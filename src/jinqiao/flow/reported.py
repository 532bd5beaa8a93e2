"""What a run on a generated market reports beside its ladder: formulas, and one plain record.

Everything is of true expectations in the evaluated stretch (``evaluate``). Letters: p products,
n people, w weeks; shares in percent end ``_pct``, money is minor units.

``value_pct``             value ÷ the oracle's, and ÷ that of the best on static facts.
``regret_by_week_minor``  the week's bound − the value captured in it.
``quota_use_pct``         over products whose units the week's bound puts a price on: expected
                          applications, at most the limit, ÷ limit.
``refused_per_100``       expected refusals a hundred expected applications.
``calibration``           on the first day's pairs, ``eligible`` and ``shown`` (a greedy shelf):
                          predicted ÷ true by stage, ``…_error`` the expected calibration error of
                          ten bins, ``value`` predicted ÷ true value (on shown: winner's curse).
``delay_recovered_pct``   by stage: 1 − |1 − predicted ÷ true| ÷ (1 − heard ÷ coming), where heard
                          ÷ coming is what reports by then had told of all they would tell; 100 is
                          no trace of the delay left, below 0 worse than taking silence for no.
``new_products``          days from launch until the share of showings in the last three days is
                          90 % of its share in the oracle's life since launch.
``value_by_segment``      value a thousand visits by customer type and city tier; ÷ the oracle's.
``fraud``                 percent of expected clicks, applications and refusals that frauds make.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.catalog import Measure, Period
from jinqiao.domain.time import DAY_US
from jinqiao.flow import evaluate
from jinqiao.flow.evaluate import Captured, Evaluation, Inputs
from jinqiao.synthetic import Life

__all__ = ["days_to_share", "quota_use", "report_of"]

_STAGES = ("application", "approval", "activation")
_LEAST_SHOWN, _LEAST_DAYS, _WINDOW_DAYS = 20, 7, 3
_LEAST_DELAY = 0.02


def report_of(inputs: Inputs, compared: Evaluation, own: Captured, life: Life) -> dict[str, Any]:
    """Return everything that is reported of one run, as plain numbers: see the module.

    ``own`` and ``life`` are the plan's; the ladder's are in ``compared``.
    """
    every = {**compared.captured, "plan": own}
    lives = {**compared.lives, "plan": life}
    calibrated = evaluate.calibration(inputs)
    oracle = compared.captured["true_prices"]
    return {
        "value_pct": {
            name: {
                "of_oracle": _pct(one.value_minor, oracle.value_minor),
                "of_static": round(compared.of_static_pct(one.value_minor), 2),
            }
            for name, one in every.items()
        },
        "bound_by_week_minor": [round(value) for value in compared.bound_by_week],
        "regret_by_week_minor": {
            name: [round(value) for value in compared.regret_by_week(one)]
            for name, one in every.items()
        },
        "quota_use_pct": {
            name: quota_use(inputs, compared, one) for name, one in lives.items()
        },
        "refused_per_100": {name: round(one.refused_per_100, 2) for name, one in every.items()},
        "calibration": {
            group: {key: round(value, 4) for key, value in found.items()}
            for group, found in calibrated.items()
        },
        "delay_recovered_pct": delay_recovered(inputs, calibrated["eligible"]),
        "new_products": {
            name: days_to_share(inputs, lives[name], compared.lives["true_prices"])
            for name in ("plan", "chain_greedy")
            if name in lives
        },
        "value_by_segment": {
            label: {
                "value_per_1000_visits_minor": round(value),
                "of_oracle_pct": _pct(value, oracle.by_segment[label]),
            }
            for label, value in own.by_segment.items()
        },
        "fraud": _fraud(inputs, life),
    }  # fmt: skip


def quota_use(inputs: Inputs, compared: Evaluation, life: Life) -> float | None:
    """Return the percent of scarce units that a life's expected applications use; None without."""
    shown = evaluate.shown_of(inputs, life)
    applied = shown.chances[:, 0] * shown.chances[:, 1]
    limits = _weekly_limits(inputs)
    used = whole = 0.0
    for week, scarce in zip(inputs.weeks, compared.scarce, strict=False):
        begin = inputs.market.start_us + week.start * DAY_US
        rows = (shown.at_us >= begin) & (shown.at_us < begin + len(week) * DAY_US)
        sent = np.bincount(shown.product[rows], applied[rows], minlength=len(limits))
        told = scarce & np.isfinite(limits)
        used += float(np.minimum(sent, limits)[told].sum())
        whole += float(limits[told].sum())
    return _pct(used, whole) if whole else None


def _weekly_limits(inputs: Inputs) -> NDArray[np.float64]:
    """Return each product's own weekly limit on applications, (p,); inf without one."""
    out = []
    for product in inputs.catalog.products():
        found = [
            one.limit
            for one in product.limits
            if one.measure is Measure.COUNT and one.period is Period.WEEK
            if one.stage.value == "application"
        ]
        out.append(float(min(found, default=np.inf)))
    return np.array(out)


def delay_recovered(inputs: Inputs, calibrated: dict[str, float]) -> dict[str, Any]:
    """Return by stage the share of the delay's loss that the learnt chances made good.

    None where less than two percent of the reports were still to come.
    """
    seen = evaluate.told_of(inputs.life).seen_share(inputs.from_us)
    out: dict[str, Any] = {}
    for stage, share in zip(_STAGES, seen, strict=True):
        out[f"{stage}_heard_of_coming"] = round(share, 4)
        loss = 1.0 - share
        known = loss >= _LEAST_DELAY
        out[stage] = round(100 * (1 - abs(1 - calibrated[stage]) / loss), 1) if known else None
    return out


def days_to_share(inputs: Inputs, life: Life, oracle: Life) -> dict[str, Any]:
    """Return how soon products launched in the stretch get 90 % of the oracle's share of showings.

    Of products launched a week or more before the end and shown twenty times or more by the
    oracle: how many, how many got there, and the median of days, None when most did not.
    """
    best, own = (_daily(inputs, one) for one in (oracle, life))
    launch = (inputs.market.goods.launch_us - inputs.from_us) // DAY_US
    new = np.flatnonzero((launch >= 0) & (launch <= inputs.days - _LEAST_DAYS))
    days = []
    for product in new:
        first = int(launch[product])
        if best[first:, product].sum() < _LEAST_SHOWN:
            continue
        goal = 0.9 * best[first:, product].sum() / max(best[first:].sum(), 1)
        found = np.inf
        for day in range(first, inputs.days):
            last = slice(max(first, day + 1 - _WINDOW_DAYS), day + 1)
            if own[last, product].sum() >= goal * max(own[last].sum(), 1):
                found = day + 1 - first
                break
        days.append(found)
    middle = float(np.median(days)) if days else np.inf
    return {
        "products": len(days),
        "reached": int(np.isfinite(days).sum()),
        "median_days": middle if np.isfinite(middle) else None,
    }


def _daily(inputs: Inputs, life: Life) -> NDArray[np.int64]:
    """Return how often each product was shown on each day of the stretch, (days, p)."""
    shown, p = evaluate.shown_of(inputs, life), len(inputs.market.goods)
    day = (shown.at_us - inputs.from_us) // DAY_US
    return np.bincount(day * p + shown.product, minlength=inputs.days * p).reshape(-1, p)


def _fraud(inputs: Inputs, life: Life) -> dict[str, dict[str, float]]:
    """Return what share of a life's clicks, applications and refusals each kind of fraud makes."""
    shown = evaluate.shown_of(inputs, life)
    reached = np.cumprod(shown.chances, axis=1)
    columns = {
        "clicks_pct": reached[:, 0], "applications_pct": reached[:, 1],
        "refusals_pct": reached[:, 1] - reached[:, 2],
    }  # fmt: skip
    return {
        kind: {
            name: _pct(float(column[who[shown.person]].sum()), float(column.sum()))
            for name, column in columns.items()
        }
        for kind, who in evaluate.frauds_of(inputs).items()
        if kind != "honest"
    }


def _pct(part: float, whole: float) -> float:
    return round(100.0 * part / whole, 2) if whole else 0.0
