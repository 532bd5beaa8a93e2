"""Problems larger than memory: pairs in Parquet files in, offers in Parquet files out.

In: ``PairFiles``, rows of limits. Out: a ``FilePlan``: prices, certificate, files of offers.
Always: what is kept in memory does not grow with the pairs; a run killed at any moment goes on
where it was and comes out bit for bit the same. From: the solver of ``engines.allocation``, whose
passes read chunks (docs/how-to/solve-from-files.md).
"""

from __future__ import annotations

from jinqiao.match.files.check import certify_files
from jinqiao.match.files.layout import PairFiles
from jinqiao.match.files.plan import FilePlan
from jinqiao.match.files.solve import FilesRun, solve_files
from jinqiao.match.files.source import FilesProgress, Watch

__all__ = [
    "FilePlan",
    "FilesProgress",
    "FilesRun",
    "PairFiles",
    "Watch",
    "certify_files",
    "solve_files",
]
