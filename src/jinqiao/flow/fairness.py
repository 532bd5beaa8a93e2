"""The published plan's exposure by segment, fairer plans beside it, and what payout displaced.

Asked of the plan and the problem kept beside its snapshot; nothing is changed. Segments are told
apart only by features that may be used to measure.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from jinqiao import match
from jinqiao.domain.consent import Purpose
from jinqiao.errors import InputError
from jinqiao.flow.kept import Kept, read_problem
from jinqiao.flow.segments import Segments, segments_of
from jinqiao.match.picture import Curve, svg_curves

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["fairness", "frontier_svg", "measured_segments", "steering"]

_FEATURE = {"file": "income_months_seen", "income_minor": "monthly_income_minor"}
"""The feature behind a segmentation, where its name is another."""


def measured_segments(engine: Engine, kept: Kept) -> tuple[Segments, ...]:
    """Return the segmentations whose features may be used to measure."""
    allowed = {f.name for f in engine.dictionary.allowed(Purpose.MEASURE).features}
    months = engine.settings.plan.thin_file_months
    found = segments_of(kept.serving.profiles, thin_file_months=months)
    return tuple(s for s in found if _FEATURE.get(s.name, s.name) in allowed)


def fairness(
    engine: Engine, *, segment: str = "file", loss_share: float = 0.01, steps: int = 5
) -> dict[str, Any]:
    """Return exposure by every segment, and the frontier of value against disparity of one.

    Parameters
    ----------
    segment : the segmentation whose disparity is evened out. loss_share : how much of the value
        the plan that is named may give up, in [0, 1]. steps : plans from the present one to even
        shares.

    Raises InputError for a segmentation that is not there, or may not be measured by; Unavailable
    where no plan is kept.
    """
    if not 0 <= loss_share <= 1:
        raise InputError(f"{loss_share} is no share", record="fairness", field="loss")
    if not 1 <= steps <= 50:
        raise InputError(f"{steps} steps", record="fairness", field="steps", fix="use 1 … 50")
    kept = read_problem(engine)
    segments = {s.name: s for s in measured_segments(engine, kept)}
    if segment not in segments:
        raise InputError(
            f"no segmentation {segment!r} to measure by", record="fairness", field="segment",
            fix=f"use one of {', '.join(segments) or 'none'}",
        )  # fmt: skip
    one, plan, pairs = segments[segment], kept.planned.plan, kept.problem.pairs
    first = match.fairness_frontier(kept.problem, plan, one.code, one.groups, levels=())
    start = max(1.0 - first.points[0].disparity, 0.0)
    levels = [start + (1.0 - start) * (k + 1) / steps for k in range(steps)] if start < 1 else []
    found = match.fairness_frontier(kept.problem, plan, one.code, one.groups, levels=levels)
    best = found.within(loss_share)
    told = {
        s.name: [
            _plain(asdict(row))
            for row in match.exposure(pairs, plan.chosen, s.code, s.groups, visits=kept.visits)
        ]
        for s in segments.values()
    }
    return {
        **kept.about(),
        "exposure": told,
        "segment": segment,
        "groups": list(found.groups),
        "loss_share": loss_share,
        "frontier": [_told(point, best) for point in found.points],
    }


def frontier_svg(found: dict[str, Any]) -> str:
    """Return the drawing of a frontier: value kept, in per cent, by disparity."""
    points = sorted(found["frontier"], key=lambda p: p["disparity"])
    x = [100 * p["disparity"] for p in points]
    y = [100 * p["value_share"] for p in points]
    title = f"Value against disparity by {found['segment']}"
    axes = ("least served group below an even share, %", "value kept, %")
    return svg_curves(title, axes, [Curve("plans", x, y, dots=True)])


def steering(engine: Engine, *, most: int = 10) -> dict[str, Any]:
    """Return what payout displaced in the published plan: totals, spread, segments, customers.

    ``loss`` is of customers' own value under the plan, against the plan made with payout 0 under
    the same limits. Raises Unavailable where no plan is kept.
    """
    kept = read_problem(engine)
    pairs, rows, plan = kept.problem.pairs, kept.problem.rows, kept.planned.plan
    value = np.asarray(pairs.value, np.float64)
    own = match.own_values(value, pairs.column("cost"), engine.settings.plan.beta)
    audit = match.steering_audit(
        pairs, kept.problem.slots, rows, plan, own_value=own, gap_target=1e-3
    )
    ids, products = kept.serving.profiles["customer_id"], kept.products
    return {
        **kept.about(),
        "own_value_minor": audit.own_value,
        "own_value_without_payout_minor": audit.own_value_without,
        "loss_share": audit.loss_share,
        "payout_minor": audit.payout,
        "payout_without_minor": audit.payout_without,
        "customers": {
            "all": pairs.n_customers, "moved": audit.displaced, "losing": audit.losing,
            "gaining": audit.gaining,
        },
        "offers_displaced": audit.offers_displaced,
        "loss_minor_by_quantile": {f"{q:g}": loss for q, loss in audit.quantiles().items()},
        "segments": [
            {"segment": s.name, "group": group, "customers": int(number), "mean_loss_minor": loss}
            for s in measured_segments(engine, kept)
            for group, number, loss in zip(
                s.groups, s.count(), audit.by_group(s.code, len(s.groups)).tolist(), strict=True
            )
            if number
        ],
        "examples": [
            {
                "customer_id": ids[c.customer].as_py(), "loss_minor": c.loss,
                "without_payout": [products[p] for p in c.without],
                "instead": [products[p] for p in c.instead],
            }
            for c in audit.customers(most)
        ],
    }  # fmt: skip


def _told(point: match.FairPoint, best: match.FairPoint) -> dict[str, Any]:
    return {
        "level": point.level, "value_minor": point.value, "value_share": point.value_share,
        "disparity": point.disparity, "application_ratios": list(point.ratios),
        "floors_met": point.hard, "gap": point.plan.certificate.gap,
        "named": point is best,
    }  # fmt: skip


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for JSON: what is not a number is nothing."""

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return [one(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: one(np.asarray(v).item() if np.isscalar(v) else v) for key, v in row.items()}
