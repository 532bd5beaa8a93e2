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
    certify_infeasible,
    least_relaxation,
    solve,
)
from jinqiao.match.change import Change
from jinqiao.match.fairness import Exposure, FairPoint, Frontier, exposure, fairness_frontier
from jinqiao.match.files import (
    FilePlan,
    FilesProgress,
    FilesRun,
    PairFiles,
    Watch,
    certify_files,
    solve_files,
)
from jinqiao.match.forecast import Expected, ForecastPoint, Launch, forecast
from jinqiao.match.limits import Horizon, approval_row, limit_rows, segment_row
from jinqiao.match.online import Replayed, hindsight, replay
from jinqiao.match.pairs import pairs_from
from jinqiao.match.policies import Pacing, paced, resolved
from jinqiao.match.prices import LimitPrice, pace, price_report, prices, reprice
from jinqiao.match.ranges import PriceRange, price_ranges
from jinqiao.match.spark import pairs_of, solve_spark
from jinqiao.match.standing import Problem, Standing, stand
from jinqiao.match.steering import CustomerSteering, SteeringAudit, own_values, steering_audit
from jinqiao.match.stream import Feedback, Silence, Stream
from jinqiao.match.warm import warm_up
from jinqiao.match.whatif import WhatIf, what_if

__all__ = [
    "Certificate",
    "Change",
    "CustomerSteering",
    "Expected",
    "Exposure",
    "FairPoint",
    "Feedback",
    "FilePlan",
    "FilesProgress",
    "FilesRun",
    "ForecastPoint",
    "Frontier",
    "Horizon",
    "Launch",
    "LimitPrice",
    "LimitRow",
    "Pacing",
    "PairFiles",
    "Pairs",
    "Plan",
    "PriceRange",
    "PriceTables",
    "Problem",
    "Replayed",
    "Silence",
    "Standing",
    "SteeringAudit",
    "Stream",
    "Watch",
    "WhatIf",
    "approval_row",
    "certify",
    "certify_files",
    "certify_infeasible",
    "exposure",
    "fairness_frontier",
    "forecast",
    "hindsight",
    "least_relaxation",
    "limit_rows",
    "own_values",
    "pace",
    "paced",
    "pairs_from",
    "pairs_of",
    "price_ranges",
    "price_report",
    "prices",
    "replay",
    "reprice",
    "resolved",
    "segment_row",
    "solve",
    "solve_files",
    "solve_spark",
    "stand",
    "steering_audit",
    "warm_up",
    "what_if",
]
