"""The cluster that these tests run on."""

from __future__ import annotations

from spark_cluster import spark

__all__ = ["spark"]
