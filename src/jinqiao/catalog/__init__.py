"""Institutions and their products: terms, costs, rules, limits and payouts, version by version.

In: ``institutions/*.yaml`` (or the same as mappings), profiles, click-outs and reported stages.
Out: faults with line and fix, immutable versions, ``PRODUCTS``, eligibility and schedule masks,
decisions with reasons, what is left of each limit. Always: a version never changes; a limit is
never passed; a unit reserved is posted, voided or expired once, in the period it was reserved in.
From: docs/reference/institution-file.md; two-phase transfers as in TigerBeetle's documentation.
"""

from jinqiao.catalog.check import check
from jinqiao.catalog.costs import CostTable, FeeLine, cost_table, payout_minor
from jinqiao.catalog.eligibility import eligibility_mask, explain_eligibility, rules
from jinqiao.catalog.files import CatalogFile, Files, read_files
from jinqiao.catalog.jurisdictions import check_jurisdictions, read_jurisdictions
from jinqiao.catalog.left import (
    OverDelivered,
    exceptions,
    limit_rows,
    over_delivered_units,
    unequal,
)
from jinqiao.catalog.limits import headroom
from jinqiao.catalog.table import offered, product_table, schedule_mask
from jinqiao.catalog.units import Reservation, expire, move, post, reserve, reserve_many, void
from jinqiao.catalog.versions import (
    apply,
    history,
    institution_version,
    load,
    product_version,
    resume,
    stop,
    stopped,
)
from jinqiao.catalog.writing import write_text

__all__ = [
    "CatalogFile",
    "CostTable",
    "FeeLine",
    "Files",
    "OverDelivered",
    "Reservation",
    "apply",
    "check",
    "check_jurisdictions",
    "cost_table",
    "eligibility_mask",
    "exceptions",
    "expire",
    "explain_eligibility",
    "headroom",
    "history",
    "institution_version",
    "limit_rows",
    "load",
    "move",
    "offered",
    "over_delivered_units",
    "payout_minor",
    "post",
    "product_table",
    "product_version",
    "read_files",
    "read_jurisdictions",
    "reserve",
    "reserve_many",
    "resume",
    "rules",
    "schedule_mask",
    "stop",
    "stopped",
    "unequal",
    "void",
    "write_text",
]
