"""Who sees what under shared limits: plans, prices of every limit, and their pacing.

In: eligible pairs with values and expected use, cost and approval; slots; rows of limits. Out: an
integral `Plan` with a price a row, a certificate, price tables for serving. Always: hard rows hold,
no plan is worth more than the bound says, the same seed gives the same plan. From: Lagrangian
relaxation with a ridge-smoothed dual and projected Newton steps; pacing by dual mirror descent
(Balseiro, Lu & Mirrokni 2023, Operations Research 71(1)); see docs/explanation/matching.md.
"""

from __future__ import annotations

from jinqiao.engines.allocation import (
    Certificate,
    LimitRow,
    Pairs,
    Plan,
    PriceTables,
    certify,
    least_relaxation,
    solve,
)
from jinqiao.match.limits import Horizon, approval_row, limit_rows, segment_row
from jinqiao.match.pairs import pairs_from
from jinqiao.match.prices import LimitPrice, pace, price_report, prices, reprice
from jinqiao.match.steering import SteeringAudit, steering_audit
from jinqiao.match.warm import warm_up

__all__ = [
    "Certificate",
    "Horizon",
    "LimitPrice",
    "LimitRow",
    "Pairs",
    "Plan",
    "PriceTables",
    "SteeringAudit",
    "approval_row",
    "certify",
    "least_relaxation",
    "limit_rows",
    "pace",
    "pairs_from",
    "price_report",
    "prices",
    "reprice",
    "segment_row",
    "solve",
    "steering_audit",
    "warm_up",
]
