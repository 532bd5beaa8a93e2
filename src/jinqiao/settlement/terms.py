"""Payout terms, and the claim an application gives rise to under them: pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jinqiao.domain.application import Application
from jinqiao.domain.catalog import Payout, PayoutBasis, PayoutTier
from jinqiao.domain.money import Money
from jinqiao.domain.stage import Stage
from jinqiao.domain.time import DAY_US, local_date, to_us

__all__ = [
    "Claim",
    "PayoutTerms",
    "TermsOf",
    "claim_of",
    "month_of",
    "pays_share",
    "tier_of",
    "unit_minor",
]


@dataclass(frozen=True, slots=True)
class PayoutTerms:
    """What one product version pays, in which currency, by which clock."""

    payout: Payout
    currency: str
    zone: str = "Asia/Shanghai"

    @property
    def stage(self) -> Stage:
        """The stage that is paid for: a CPL pays for the application itself."""
        return Stage.APPLICATION if self.payout.basis == PayoutBasis.CPL else self.payout.stage


TermsOf = Callable[[str, int], PayoutTerms]
"""Returns the terms of a product id and version; raises NotFound when there are none."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One paid unit. ``undone_us``: when a reversal or default took it back, inside the window."""

    paid_us: int
    month: str
    amount_minor: int | None
    undone_us: int | None
    undone_month: str | None


def claim_of(application: Application, terms: PayoutTerms) -> Claim | None:
    """Return what an application entitles the operator to, or None while nothing was earned.

    A stage that was reached and later reversed was earned; one that was retracted was not.
    """
    earned = _earned(application, terms.stage)
    if earned is None:
        return None
    paid_us, amount, reversed_us = earned
    undone = _undone(application, paid_us, reversed_us, terms.payout.clawback_days)
    month = month_of(paid_us, terms.zone)
    return Claim(
        paid_us, month, amount, undone, None if undone is None else month_of(undone, terms.zone)
    )


def tier_of(payout: Payout, rank: int) -> PayoutTier | None:
    """Return the tier the ``rank``-th paid unit of a month (1 = first) falls in, or None."""
    reached = [tier for tier in payout.tiers if tier.from_count <= rank]
    return max(reached, key=lambda tier: tier.from_count, default=None)


def unit_minor(terms: PayoutTerms, rank: int, amount_minor: int | None) -> int:
    """Return what the ``rank``-th paid unit of a month pays, minor units.

    A share of an amount nobody reported is 0.
    """
    tier = tier_of(terms.payout, rank)
    if tier is None:
        return 0
    if tier.amount_minor is not None:
        return tier.amount_minor
    if tier.rate_bps is None or amount_minor is None:
        return 0
    return Money(amount_minor, terms.currency).share_bps(tier.rate_bps).amount_minor


def month_of(us: int, zone: str) -> str:
    """Return the calendar month of an instant in a zone, as ``2026-11``."""
    return local_date(us, zone).isoformat()[:7]


def _earned(application: Application, stage: Stage) -> tuple[int, int | None, int | None] | None:
    for name, at, amount in application.reached:
        if name == stage:
            return to_us(at), amount, None
    for name, at, undone, amount in application.reversals:
        if name == stage:
            return to_us(at), amount, to_us(undone)
    return None


def _undone(
    application: Application, paid_us: int, reversed_us: int | None, clawback_days: int
) -> int | None:
    defaults = [to_us(at) for stage, at, _ in application.reached if stage == Stage.DEFAULT]
    ends = [at for at in (*defaults, reversed_us) if at is not None]
    inside = [at for at in ends if at - paid_us <= clawback_days * DAY_US]
    return min(inside, default=None) if clawback_days else None


def pays_share(terms: PayoutTerms) -> bool:
    """Return whether any tier is a share of an amount."""
    return any(tier.rate_bps is not None for tier in terms.payout.tiers)
