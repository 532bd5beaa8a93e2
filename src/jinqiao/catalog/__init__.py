"""Institutions and their products: terms, costs, rules, limits and payouts, version by version.

In: ``institutions/*.yaml`` (or the same as mappings), profiles, click-outs and reported stages.
Out: faults with line and fix, immutable versions, ``PRODUCTS``, eligibility and schedule masks,
decisions with reasons, what is left of each limit. Always: a version never changes; a limit is
never passed; a unit reserved is posted, voided or expired once, in the period it was reserved in.
From: docs/reference/institution-file.md; two-phase transfers as in TigerBeetle's documentation.
"""

from jinqiao.catalog.files import CatalogFile, Files, read_files
from jinqiao.catalog.writing import write_text

__all__ = ["CatalogFile", "Files", "read_files", "write_text"]
