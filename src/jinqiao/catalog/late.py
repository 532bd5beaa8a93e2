"""What is kept back of a limit for reports on holds that have expired.

Every expired hold that nobody has answered may still be, with a chance that dies out with its age;
an open hold may be answered or not. Of a limit so many units stay unreserved that both together
pass it only rarely. What is kept back comes free by itself as the holds grow old.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jinqiao.domain.catalog import Limit, Measure
from jinqiao.domain.late import AGE_HOURS, LateReports
from jinqiao.domain.stage import Stage

__all__ = ["RARELY", "SPANS_KEPT", "Claims", "Waiting", "claims_of", "free_units", "span_of"]

RARELY = 0.0003
"""How often, by the chances known, a limit may be passed once its last unit is reserved."""
SPAN_HOURS = 2
"""Expired holds are counted by the stretch of so many hours in which they were reserved."""
SPANS_KEPT = AGE_HOURS[-1] // SPAN_HOURS + 1
"""Stretches older than this, counted from a counter's newest, are forgotten: their chance is 0."""
_HOUR_US = 3_600_000_000
_SPAN_US = SPAN_HOURS * _HOUR_US
_MANY = 64.0

Waiting = Sequence[Sequence[int]]
"""``[stretch, holds, what they held]`` of each stretch, ascending; held: units or minor units."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What may still be claimed of a limit. ``late``: reports expected on expired holds.

    ``holds``: how many of these have a chance left. ``each``: what one of them takes, units or
    minor units. ``open_chance``: that an open hold is answered (1 where more than a report counts).
    """

    late: float = 0.0
    holds: int = 0
    each: int = 1
    open_chance: float = 1.0


def span_of(reserved_us: int) -> int:
    """Return the stretch of hours an instant falls in."""
    return reserved_us // _SPAN_US


def claims_of(
    late: LateReports, institution_id: str, limit: Limit, waiting: Waiting, now_us: int
) -> Claims:
    """Return what the expired holds of a limit may still claim at an instant.

    A stretch is taken to be as young as its youngest hold. Open holds of limits that count
    applications are answered by the institution's chance for a fresh click; the others are open
    because of a report, and are taken for sure.
    """
    chances = late.of(institution_id)
    expected, holds, held = 0.0, 0, 0
    for span, number, amount in waiting:
        hours = min(max((now_us - (span + 1) * _SPAN_US) // _HOUR_US, 0), AGE_HOURS[-1])
        if number and chances[hours] > 0:
            expected += number * chances[hours]
            holds += number
            held += amount
    counted = limit.measure is Measure.COUNT and limit.stage is Stage.APPLICATION
    each = 1 if limit.measure is Measure.COUNT else -(-held // max(holds, 1))
    return Claims(expected, holds, each, chances[0] if counted else 1.0)


def free_units(unposted: int, reserved: int, claims: Claims) -> int:
    """Return how much more of a limit may be reserved: units, or minor units.

    ``unposted``: the limit less what is posted. Never more than ``unposted − reserved``.
    """
    free = max(unposted - reserved, 0)
    most = min(units_for(claims.late), claims.holds)
    if not most or not free:
        return free
    if claims.open_chance < 1.0:
        for kept in range(min(most, free)):
            if _passed(unposted, unposted - kept, claims) <= RARELY:
                return free - kept
    return max(free - most * claims.each, 0)


def units_for(expected: float) -> int:
    """Return the least m such that more than m of rare, independent claims come only ``RARELY``.

    ``expected`` is their expected number. Beyond it the tail of a sum of unlike chances lies below
    that of a Poisson count of the same mean (Hoeffding 1956); of a large mean, below a normal's
    three deviations out.
    """
    if expected > _MANY:
        return math.ceil(expected + 3.0 * math.sqrt(expected)) + 1
    term, m = math.exp(-expected), 0
    reached = term
    while 1.0 - reached > RARELY:
        m += 1
        term *= expected / m
        reached += term
    return m


def _passed(unposted: int, holds: int, claims: Claims) -> float:
    """Return the chance that answers to open holds and late reports exceed what is not posted."""
    p, late = claims.open_chance, claims.late
    expected = holds * p + late
    if unposted > expected + 8.0 * math.sqrt(expected):
        return 0.0
    term, chance = math.exp(-late), 0.0
    reached = term
    for number in range(1, unposted + 1):
        term *= late / number
        if term < 1e-9 and number > late:
            return chance
        chance += term * _at_least(unposted - number + 1, holds, p)
        reached += term
    return chance + max(1.0 - reached, 0.0)


def _at_least(number: int, of: int, p: float) -> float:
    """Return the chance that so many, or more, of some holds are answered."""
    return sum(math.comb(of, i) * p**i * (1.0 - p) ** (of - i) for i in range(number, of + 1))
