"""Counters and gauges for Prometheus, one registry an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

if TYPE_CHECKING:
    from jinqiao.flow.serve import Service

__all__ = ["Metrics"]

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What an application counted since it began."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "jinqiao_requests", "Requests answered.", ("method", "path", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "jinqiao_request_seconds", "Seconds to the whole answer.", ("path",),
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.age = Gauge(
            "jinqiao_snapshot_age_seconds", "Age of the current snapshot.", registry=self.registry
        )
        self.checked = Gauge(
            "jinqiao_limits_checked_seconds", "Since limits and stops were last read.",
            registry=self.registry,
        )  # fmt: skip

    def seen(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one answer; ``path`` is the route's template."""
        self.requests.labels(method, path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self, service: Service) -> bytes:
        """Return everything in Prometheus' text format."""
        state = service.state()
        self.age.set(state["age_s"] if state["age_s"] is not None else float("nan"))
        self.checked.set(state["checked_s"])
        return generate_latest(self.registry)
