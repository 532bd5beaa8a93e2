"""Numbers and codes as people read them, in the language of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from jinqiao.domain.decision import Reason
from jinqiao.domain.messages import codes, render
from jinqiao.domain.money import CURRENCIES

__all__ = ["Wording"]

_SIGNS = {"CNY": "¥", "EUR": "€", "GBP": "£", "HKD": "HK$", "JPY": "JP¥", "USD": "US$"}
_MONEY = re.compile(r"([-−]?)([\d,]+)(\.\d+)? ?(" + "|".join(CURRENCIES) + r")\b")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


class Wording:
    """Every way a page writes a code, an amount, a rate or a date."""

    def __init__(self, language: str, zone: str) -> None:
        self.language = language
        self.zone = ZoneInfo(zone)

    def t(self, code: str, /, **numbers: object) -> str:
        """Return a text of the page."""
        return _signed(render(code, self.language, numbers))

    def said(self, reason: Reason) -> str:
        """Return a reason as a plain sentence."""
        return _signed(render(reason.code, self.language, self._listed(reason.numbers)))

    def known(self, code: str) -> bool:
        """Return whether there is a text of this code."""
        return code in _codes()

    def either(self, code: str, otherwise: str, /, **numbers: object) -> str:
        """Return the text of a code, or of another where there is none."""
        return self.t(code if code in _codes() else otherwise, **numbers)

    def of(self, thing: Any, field: str) -> str:
        """Return a field that is written in both languages, such as ``name``."""
        return str(getattr(thing, f"{field}_{self.language}", ""))

    def money(self, amount_minor: int, currency: str = "CNY") -> str:
        """Return an amount: whole units without decimals.

        >>> Wording("en", "UTC").money(1_234_500), Wording("en", "UTC").money(-50)
        ('¥12,345', '−¥0.50')
        """
        digits = CURRENCIES.get(currency, 2)
        amount = abs(Decimal(amount_minor).scaleb(-digits))
        text = f"{amount:,.{0 if amount == amount.to_integral_value() else digits}f}"
        minus = "−" if amount_minor < 0 else ""
        sign = _SIGNS.get(currency)
        return f"{minus}{sign}{text}" if sign else f"{minus}{text} {currency}"

    def exact(self, amount_minor: int, currency: str = "CNY") -> str:
        """Return an amount with all its decimals, so that a column lines up.

        >>> Wording("en", "UTC").exact(25_000)
        '¥250.00'
        """
        digits = CURRENCIES.get(currency, 2)
        text = f"{abs(Decimal(amount_minor).scaleb(-digits)):,.{digits}f}"
        minus, sign = "−" if amount_minor < 0 else "", _SIGNS.get(currency)
        return f"{minus}{sign}{text}" if sign else f"{minus}{text} {currency}"

    def plain(self, amount_minor: int, currency: str = "CNY") -> str:
        """Return an amount as a form takes it: digits and a point.

        >>> Wording("en", "UTC").plain(1_234_500), Wording("en", "UTC").plain(150)
        ('12345', '1.50')
        """
        kept = re.sub(r"[^\d.−]", "", self.money(amount_minor, currency))
        return kept.replace("−", "-")

    def signed(self, text: str) -> str:
        """Return a text made elsewhere with its amounts written as this page writes them."""
        return _signed(text)

    def count(self, number: float, unit: str = "") -> str:
        """Return a figure of an indicator in its unit."""
        if unit == "minor":
            return self.money(round(number))
        if unit == "ratio" and not float(number).is_integer():
            return self.share(number)
        return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.2f}"

    def whole(self, number: float) -> bool:
        """Return whether a number counts things."""
        return float(number).is_integer()

    def dimension(self, label: str) -> str:
        """Return the name of one part of a breakdown."""
        for prefix in ("page_class_", "value_", "purpose_", "page_stage_"):
            if f"{prefix}{label}" in _codes():
                return self.t(f"{prefix}{label}")
        return label

    def limit(self, one: Any) -> str:
        """Return what a limit counts, and over which period."""
        parts = [self.t(f"page_report_measure_{one.measure}")]
        if one.stage:
            parts.append(self.t(f"page_stage_{one.stage}"))
        if one.period:
            parts.append(self.t(f"page_period_{one.period}"))
        return " · ".join(parts)

    def rate(self, bps: float | None) -> str:
        """Return basis points as a percentage, "–" for None."""
        return "–" if bps is None else f"{bps / 100:.2f}%"

    def share(self, ratio: float) -> str:
        """Return a ratio as a percentage."""
        return f"{ratio * 100:.1f}%"

    def term(self, days: int) -> str:
        """Return a length of time: years and months where they come out even."""
        for unit, length in (("years", 365), ("months", 30)):
            if days % length == 0:
                count = days // length
                one = "_one" if count == 1 else ""
                return self.t(f"page_term_{unit}{one}", **({} if one else {"count": count}))
        return self.t("page_term_days_one") if days == 1 else self.t("page_term_days", count=days)

    def day(self, at: datetime) -> str:
        """Return a calendar day of the marketplace."""
        here = at.astimezone(self.zone)
        if self.language == "zh":
            return f"{here.year} 年 {here.month} 月 {here.day} 日"
        return f"{here.day} {_MONTHS[here.month - 1]} {here.year}"

    def moment(self, at: datetime) -> str:
        """Return a day with its hour and minute."""
        return f"{self.day(at)} {at.astimezone(self.zone):%H:%M}"

    def _listed(self, numbers: Mapping[str, object]) -> dict[str, object]:
        """Return the numbers with lists of names as names: their words, where there are some."""
        return {name: self._words(name, value, numbers) for name, value in numbers.items()}

    def _words(self, name: str, value: object, numbers: Mapping[str, object]) -> object:
        if isinstance(value, tuple):
            return self.t("page_or").join(str(self._words(name, one, numbers)) for one in value)
        if name in ("wanted", "got") and isinstance(value, bool):
            return self.t("page_yes" if value else "page_no")
        if name in ("wanted", "got") and isinstance(value, str):
            words = [self._word(one.strip()) for one in value.split(",")]
            return self.t("page_or").join(words)
        if name == "day" and isinstance(value, str):
            return self.day(datetime.fromisoformat(value).replace(tzinfo=self.zone))
        if name in ("purpose",) and isinstance(value, str):
            return self.either(f"purpose_{value}", "page_plain", text=value)
        if name == "stage" and isinstance(value, str):
            return self.either(f"page_stage_{value}", "page_plain", text=value)
        return value

    def _word(self, text: str) -> str:
        return self.either(f"value_{text}", "page_plain", text=text)


def _codes() -> frozenset[str]:
    global _KNOWN
    if _KNOWN is None:
        _KNOWN = frozenset(codes())
    return _KNOWN


_KNOWN: frozenset[str] | None = None


def _signed(text: str) -> str:
    """Return a text with its amounts written as the page writes amounts.

    >>> _signed("costs 1,234.00 CNY, or -0.50 CNY")
    'costs ¥1,234, or −¥0.50'
    """

    def written(found: re.Match[str]) -> str:
        minus, whole, part, currency = found.groups()
        cents = "" if part is None or not part.strip(".0") else part
        sign = _SIGNS.get(currency)
        number = f"{sign}{whole}{cents}" if sign else f"{whole}{cents} {currency}"
        return f"{'−' if minus else ''}{number}"

    return _MONEY.sub(written, text)
