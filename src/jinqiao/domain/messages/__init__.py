"""Sentences in Chinese and English, one TOML file a topic, rendered from a code and its numbers.

A file holds tables ``[code]`` with ``zh`` and ``en``. A placeholder is ``{name}`` or
``{name:kind}``: ``money`` (minor units; the ``currency`` number, CNY when absent), ``percent`` (a
ratio), ``bps`` (basis points as a percentage), ``int``, ``one`` (one decimal), ``quantity`` (by the
``unit`` number: money, a percentage, or a number with its word ``[unit_…]``), ``of WORD`` (so many
of an English word: 1 day, 2 days). A value that is a mapping of languages is written in the
language asked for.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jinqiao.domain.decision import Reason
from jinqiao.domain.money import Money
from jinqiao.errors import InputError, NotFound

__all__ = ["LANGUAGES", "codes", "counted", "render", "sentence"]

LANGUAGES = ("zh", "en")


class _Numbers(string.Formatter):
    def __init__(self, language: str, currency: str, unit: str) -> None:
        self.language = language
        self.currency = currency
        self.unit = unit

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "–"
        if isinstance(value, Mapping):
            value = value[self.language]
        if format_spec.startswith("of "):
            return counted(round(value), format_spec.removeprefix("of "))
        match format_spec:
            case "quantity":
                return self._quantity(value)
            case "money":
                return str(Money(round(value), self.currency))
            case "percent":
                return f"{float(value) * 100:.1f}%"
            case "bps":
                return f"{float(value) / 100:.2f}%"
            case "int":
                return f"{round(value):,}"
            case "one":
                return f"{float(value):,.1f}"
            case "":
                return str(value)
        raise InputError(f"unknown placeholder kind {format_spec!r}")

    def _quantity(self, value: Any) -> str:
        """Return a number as people say it in its unit; a text as it is."""
        if isinstance(value, bool | str):
            return str(value)
        if self.unit == "minor":
            return str(Money(round(value), self.currency))
        if self.unit == "ratio":
            return f"{float(value) * 100:.1f}%"
        number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
        word = _catalogue().get(f"unit_{self.unit}", {}).get(self.language, self.unit)
        gap = " " if word and word[0].isascii() else ""
        return f"{number}{gap}{word}"


@cache
def _catalogue() -> Mapping[str, Mapping[str, str]]:
    merged: dict[str, Mapping[str, str]] = {}
    for entry in sorted(resources.files(__package__).iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            for code, texts in tomllib.loads(entry.read_text(encoding="utf-8")).items():
                if code in merged:
                    raise InputError(f"message {code!r} is written twice", record=entry.name)
                merged[code] = texts
    return merged


def counted(count: int, word: str) -> str:
    """Return so many of an English word that takes an s: ``1 day``, ``2 days``, ``0 days``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def codes() -> tuple[str, ...]:
    """Return every message code."""
    return tuple(_catalogue())


def render(code: str, language: str, numbers: Mapping[str, object] | None = None) -> str:
    """Return the sentence of a code in ``zh`` or ``en``; raise NotFound for an unknown code.

    A number may be a name in both languages, ``{"zh": …, "en": …}``: the one asked for is said.
    """
    texts = _catalogue().get(code)
    if texts is None or language not in texts:
        raise NotFound(f"no {language} message {code!r}")
    values = {
        name: value[language] if isinstance(value, Mapping) and language in value else value
        for name, value in (numbers or {}).items()
    }
    formatter = _Numbers(language, str(values.get("currency", "CNY")), str(values.get("unit", "")))
    return formatter.vformat(texts[language], (), values)


def sentence(reason: Reason, language: str) -> str:
    """Return a reason as a plain sentence."""
    return render(reason.code, language, reason.numbers)
