"""One customer's ranked shelf, with reasons: the same code for one session and ten thousand.

In: a snapshot (profiles, products, masks, prices, a scorer), requests, units left.
Out: shelves as DECISIONS rows or records; why this and why not, step by step.
Always: nothing ineligible, unsuitable, stopped or sold out is shown; without consent no profile is
read; every offer carries the exact chance that it stands there; same trace, same shelf.
From: v − dual price ranks (Lagrangian relaxation); greedy diversity; an ε-slot for learning
(Bottou et al., "Counterfactual reasoning and learning systems", JMLR 2013).
"""

from __future__ import annotations

from jinqiao.shelf.explain import explain
from jinqiao.shelf.rank import rank
from jinqiao.shelf.requests import Requests
from jinqiao.shelf.saved import check, read, write
from jinqiao.shelf.serving import Explainers, Schedules, Serving, Settings, Worths
from jinqiao.shelf.shelves import Shelves

__all__ = [
    "Explainers",
    "Requests",
    "Schedules",
    "Serving",
    "Settings",
    "Shelves",
    "Worths",
    "check",
    "explain",
    "rank",
    "read",
    "write",
]
