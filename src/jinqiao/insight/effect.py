"""Conversion effect: how far clicks go, how long it takes, what it brings, what goes wrong."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.metric import Metric
from jinqiao.insight.delay import incidence, median_days
from jinqiao.insight.facts import Facts
from jinqiao.insight.interval import total
from jinqiao.insight.journeys import CHAIN, Journeys
from jinqiao.insight.measure import Window, figure, share_of

__all__ = ["effect"]

_DEFAULT_DAYS = 180


def effect(facts: Facts, found: Journeys, window: Window, visits: pa.Table) -> tuple[Metric, ...]:
    """Return the six indicators of conversion effect; ``visits`` is the answer of VISITS."""
    names = ("click_to_application", "application_to_approval", "approval_to_activation")
    steps = zip(names, CHAIN, CHAIN[1:], strict=False)
    return (
        *(_step(found, name, before, after, window) for name, before, after in steps),
        _days(found, window),
        _value(facts, visits.to_pylist(), window),
        _delinquency(facts, found, window.longer(max(window.days, _DEFAULT_DAYS))),
    )


def _step(found: Journeys, name: str, before: str, after: str, window: Window) -> Metric:
    rows = found.since(before, window.from_us)
    hit = rows & ~np.isnan(found.reached[after])
    days, end = found.toward(after, before, rows)
    _, chance = incidence(days, end)
    split = [("corrected_for_delay", float(chance[-1]) if chance.size else float("nan"))]
    split += _shares(found.product_class, hit, rows)
    return share_of(name, window, (int(hit.sum()), int(rows.sum())), split)


def _days(found: Journeys, window: Window) -> Metric:
    rows = found.since("click", window.from_us)
    days, end = found.toward("activation", "click", rows)
    answer = median_days(days, end)
    seen = days[end == 1]
    split = [("observed_median", float(np.median(seen)))] if seen.size else []
    parts = (int((end == 1).sum()), int(rows.sum()))
    if answer is None:
        return figure("days_to_convert", window, parts, None, None)
    return figure("days_to_convert", window, parts, answer[0], answer[1], split)


def _value(facts: Facts, visits: list[dict[str, float]], window: Window) -> Metric:
    number = sum(int(row["visits"]) for row in visits)
    moved = [*facts.payouts_minor, *(-amount for amount in facts.clawbacks_minor)]
    net = float(sum(moved))
    if not number:
        return figure("value_per_1000_visits_minor", window, (net, number), None, None)
    lower, upper = (1_000 * end / number for end in total(moved))
    expected = sum(float(row["value"]) for row in visits)
    split = [
        ("paid", 1_000 * sum(facts.payouts_minor) / number),
        ("taken_back", 1_000 * sum(facts.clawbacks_minor) / number),
        ("value_expected_when_shown", 1_000 * expected / number),
    ]
    value = 1_000 * net / number
    return figure(
        "value_per_1000_visits_minor", window, (net, number), value, (lower, upper), split
    )


def _delinquency(facts: Facts, found: Journeys, window: Window) -> Metric:
    rows = found.credit & (found.disbursement > window.from_us)
    late = rows & ~np.isnan(found.default)
    split = _shares(found.product_class, late, rows)
    paid = sum(facts.payouts_minor)
    if paid:
        split.append(("payout_taken_back", sum(facts.clawbacks_minor) / paid))
    return share_of("delinquency_rate", window, (int(late.sum()), int(rows.sum())), split)


def _shares(
    classes: NDArray[np.object_], hit: NDArray[np.bool_], rows: NDArray[np.bool_]
) -> list[tuple[str, float]]:
    return [
        (str(name), float((hit & (classes == name)).sum() / (rows & (classes == name)).sum()))
        for name in sorted(set(classes[rows]))
        if name
    ]
