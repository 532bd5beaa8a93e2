"""Money: whole minor units with a currency, never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from jinqiao.errors import InputError

__all__ = ["CURRENCIES", "Money"]

CURRENCIES = {
    "CNY": 2, "CZK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "JPY": 0, "USD": 2,
    "AED": 2, "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CLP": 0, "DKK": 2, "HUF": 2,
    "IDR": 2, "ILS": 2, "INR": 2, "IQD": 3, "ISK": 0, "JOD": 3, "KRW": 0, "KWD": 3, "LYD": 3,
    "MOP": 2, "MXN": 2, "MYR": 2, "NOK": 2, "NZD": 2, "OMR": 3, "PHP": 2, "PLN": 2, "RON": 2,
    "RUB": 2, "SAR": 2, "SEK": 2, "SGD": 2, "THB": 2, "TND": 3, "TRY": 2, "TWD": 2, "UAH": 2,
    "VND": 0, "XAF": 0, "XOF": 0, "ZAR": 2,
}  # fmt: skip
"""ISO 4217 code → digits of its minor unit."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in whole minor units (fen, cent) of one ISO 4217 currency.

    >>> Money(1999, "CNY") + Money(1, "CNY")
    Money(amount_minor=2000, currency='CNY')
    """

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.amount_minor, bool) or not isinstance(self.amount_minor, int):
            raise InputError("money is whole minor units", field="amount_minor")
        if self.currency not in CURRENCIES:
            raise InputError(
                f"unknown currency {self.currency!r}",
                field="currency",
                fix=f"use one of {', '.join(sorted(CURRENCIES))}",
            )

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __str__(self) -> str:
        digits = CURRENCIES[self.currency]
        return f"{Decimal(self.amount_minor).scaleb(-digits):,.{digits}f} {self.currency}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InputError(f"{self.currency} and {other.currency} do not add", field="currency")
        return other.amount_minor

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Return the money of a decimal text ("19.99"); refuse digits the currency lacks."""
        try:
            amount = Decimal(text)
        except InvalidOperation as error:
            raise InputError(f"{text!r} is not an amount", field="amount") from error
        minor = amount.scaleb(CURRENCIES.get(currency, 2))
        if not minor.is_finite() or minor != minor.to_integral_value():
            raise InputError(f"{text!r} has more digits than {currency} has", field="amount")
        return cls(int(minor), currency)

    def share_bps(self, rate_bps: int) -> Money:
        """Return this amount × rate_bps / 10,000, rounded half to even."""
        share = Decimal(self.amount_minor) * rate_bps / 10_000
        return Money(int(share.to_integral_value(ROUND_HALF_EVEN)), self.currency)
