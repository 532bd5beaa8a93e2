"""Token buckets in process: who asked how often, and when they may ask again."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

__all__ = ["RateLimits", "Taken"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a request may pass, and the numbers of its rate-limit headers."""

    allowed: bool
    limit: int
    left: int
    retry_after_s: int


@dataclass(slots=True)
class RateLimits:
    """``burst`` requests at once, ``per_second`` refilled; one bucket a name.

    At most ``most_names`` buckets are kept: the longest idle are dropped first, and a dropped name
    starts full again.
    """

    burst: int
    per_second: float
    most_names: int = 100_000
    _buckets: dict[str, tuple[float, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str, *, now_us: int, cost: int = 1) -> Taken:
        """Return whether ``name`` may pass now; a refusal takes nothing."""
        with self._lock:
            tokens, at = self._buckets.pop(name, (float(self.burst), now_us))
            passed_s = max(now_us - at, 0) / 1_000_000
            tokens = min(self.burst, tokens + passed_s * self.per_second)
            allowed = tokens >= cost
            if allowed:
                tokens -= cost
            self._buckets[name] = (tokens, max(now_us, at))
            if len(self._buckets) > self.most_names:
                del self._buckets[next(iter(self._buckets))]
        wait_s = 0 if allowed else math.ceil((cost - tokens) / self.per_second)
        return Taken(allowed, self.burst, int(tokens), wait_s)
