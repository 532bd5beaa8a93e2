"""Figures of models on real data as plain numbers: rounded, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["rounded", "score_figures"]

_DIGITS = 4


def rounded(value: Any) -> Any:
    """Return numbers rounded to four digits, inside lists and mappings too."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    return value


def score_figures(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a score's card: its area, a logistic's in the same folds, the gain."""
    plain = card["logistic"]
    return {
        f"{name}_auc": rounded(card["auc"]),
        f"{name}_auc_ci": rounded(card["ci"]),
        f"{name}_auc_logistic": rounded(plain["auc"]),
        f"{name}_auc_logistic_ci": rounded(plain["ci"]),
        f"{name}_auc_gain": rounded(plain["gain"]),
        f"{name}_auc_gain_ci": rounded(plain["gain_ci"]),
        f"{name}_ece": rounded(card["ece"]),
        f"{name}_rows": card["rows"],
        f"{name}_yes": card["yes"],
    }
