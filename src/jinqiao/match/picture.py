"""Curves as SVG text: prices through a day, value against disparity. No script, both themes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Curve", "svg_curves"]

_COLOURS = ("#0b6e69", "#b4530a", "#4059ad", "#6b4c9a")
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 40, 66


@dataclass(frozen=True, eq=False)
class Curve:
    """A line: its name (none: not in the legend), its points, its colour, dotted points or not."""

    name: str
    x: ArrayLike
    y: ArrayLike
    colour: int = 0
    dashed: bool = False
    dots: bool = False


def svg_curves(title: str, axes: tuple[str, str], curves: Sequence[Curve]) -> str:
    """Return lines in one frame, their axes named and marked at round numbers."""
    xs = np.concatenate([np.asarray(c.x, float) for c in curves] or [np.zeros(1)])
    ys = np.concatenate([np.asarray(c.y, float) for c in curves] or [np.zeros(1)])
    across, up = _Scale.of(xs, _LEFT, _WIDTH - _RIGHT), _Scale.of(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_axis(across, up, axes)]
    for curve in curves:
        parts += _line(curve, across, up)
    parts += _legend([c for c in curves if c.name])
    said = escape(
        f"{title}: {axes[1]} by {axes[0]}; " + ", ".join(c.name for c in curves if c.name)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title><desc>{said}</desc>'
        + _text(_WIDTH / 2, 20, title, "middle") + "".join(parts) + "</svg>"
    )  # fmt: skip


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    begin: float
    end: float
    step: float

    @classmethod
    def of(cls, values: NDArray[np.float64], begin: float, end: float) -> _Scale:
        low, high = float(values.min()), float(values.max())
        low = 0.0 if 0 < low < 0.5 * high else low
        span = high - low or max(abs(high), 1.0)
        raw = span / 5
        size = 10.0 ** math.floor(math.log10(raw))
        step = size * min((m for m in (1, 2, 5, 10) if m * size >= raw), default=10)
        return cls(math.floor(low / step) * step, math.ceil(high / step) * step or step, begin, end,
                   step)  # fmt: skip

    def at(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.begin + (self.end - self.begin) * share

    def marks(self) -> list[float]:
        n = round((self.high - self.low) / self.step)
        return [self.low + k * self.step for k in range(n + 1)]

    def said(self, value: float) -> str:
        digits = max(0, -math.floor(math.log10(self.step)))
        return f"{value:,.{digits}f}"


def _axis(across: _Scale, up: _Scale, names: tuple[str, str]) -> list[str]:
    foot = _HEIGHT - _BOTTOM
    out = []
    for mark in up.marks():
        y = up.at(mark)
        out.append(_stroke(_LEFT, y, _WIDTH - _RIGHT, y, 0.15))
        out.append(_text(_LEFT - 6, y + 4, up.said(mark), "end"))
    for mark in across.marks():
        x = across.at(mark)
        out.append(_stroke(x, foot, x, foot + 4, 0.6))
        out.append(_text(x, foot + 17, across.said(mark), "middle"))
    out.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, foot + 33, names[0], "middle"))
    out.append(_text(_LEFT, _TOP - 6, names[1]))
    return out


def _line(curve: Curve, across: _Scale, up: _Scale) -> list[str]:
    points = [
        (across.at(float(x)), up.at(float(y)))
        for x, y in zip(np.asarray(curve.x), np.asarray(curve.y), strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    colour = _COLOURS[curve.colour % len(_COLOURS)]
    dash = ' stroke-dasharray="5 3"' if curve.dashed else ""
    out = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>']
    if curve.dots:
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return out


def _legend(curves: Sequence[Curve]) -> list[str]:
    out, y = [], _HEIGHT - 14
    for place, curve in enumerate(curves):
        x = _LEFT + place * (_WIDTH - _LEFT - _RIGHT) / max(len(curves), 1)
        colour = _COLOURS[curve.colour % len(_COLOURS)]
        out.append(f'<rect x="{x:.0f}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        out.append(_text(x + 14, y, curve.name))
    return out


def _stroke(x1: float, y1: float, x2: float, y2: float, opacity: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )
