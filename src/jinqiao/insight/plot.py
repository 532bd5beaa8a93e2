"""Plots as SVG text: bars with intervals, a funnel, lines by day. No script, readable in print.

Each is an image with a title and a description for who cannot see it. Colours come from
``currentColor`` and one accent, so that a page's light and dark themes both work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "svg_bars", "svg_curves", "svg_funnel", "svg_trend"]

_ACCENT = "#0b6e69"
_COLOURS = (_ACCENT, "#b4530a", "#4059ad", "#6b4c9a")
_WIDTH, _ROW, _LABEL, _VALUE = 640, 30, 190, 110


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: a label, a value ≥ 0, its text, and the ends of its interval or None."""

    label: str
    value: float
    text: str
    lower: float | None = None
    upper: float | None = None


def svg_bars(title: str, bars: Sequence[Bar]) -> str:
    """Return horizontal bars with their intervals as whiskers."""
    room = _WIDTH - _LABEL - _VALUE
    top = max([b.value for b in bars] + [b.upper or 0.0 for b in bars] + [0.0]) or 1.0
    parts = []
    for place, bar in enumerate(bars):
        y = 34 + place * _ROW
        length = room * max(bar.value, 0.0) / top
        parts.append(_text(_LABEL - 8, y + 14, bar.label, "end"))
        parts.append(
            f'<rect x="{_LABEL}" y="{y}" width="{length:.1f}" height="18" rx="2" fill="{_ACCENT}"'
            ' fill-opacity="0.75"/>'
        )
        end = length
        if bar.lower is not None and bar.upper is not None and bar.upper > bar.lower:
            left, right = (room * max(x, 0.0) / top for x in (bar.lower, bar.upper))
            parts.append(_whisker(_LABEL + left, _LABEL + right, y + 9))
            end = max(length, right)
        parts.append(_text(_LABEL + end + 6, y + 14, bar.text))
    said = "; ".join(f"{bar.label} {bar.text}" for bar in bars)
    return _image(title, said, 44 + len(bars) * _ROW, parts)


def svg_funnel(title: str, steps: Sequence[Bar]) -> str:
    """Return centred bars, each step as wide as its value, with its share of the one before."""
    top = max([step.value for step in steps] + [0.0]) or 1.0
    room = _WIDTH - _LABEL - _VALUE
    parts, before, said = [], 0.0, []
    for place, step in enumerate(steps):
        y = 34 + place * (_ROW + 6)
        width = max(room * step.value / top, 1.0)
        x = _LABEL + (room - width) / 2
        parts.append(_text(_LABEL - 8, y + 17, step.label, "end"))
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="24" rx="2" fill="{_ACCENT}"'
            ' fill-opacity="0.75"/>'
        )
        share = f" ({step.value / before * 100:.1f}%)" if place and before > 0 else ""
        parts.append(_text(_LABEL + room + 6, y + 17, step.text + share))
        said.append(f"{step.label} {step.text}{share}")
        before = step.value
    return _image(title, "; ".join(said), 44 + len(steps) * (_ROW + 6), parts)


def svg_trend(title: str, days: Sequence[str], lines: Mapping[str, Sequence[float]]) -> str:
    """Return lines by day, one colour a name; each line is scaled to its own highest value.

    ``days`` are labels of the n days; ``lines`` maps a name to its n values.
    """
    height, left, right = 200, 12, _WIDTH - 12
    parts = [
        f'<line x1="{left}" y1="{height}" x2="{right}" y2="{height}" stroke="currentColor"'
        ' stroke-opacity="0.4"/>'
    ]
    said = []
    for place, (name, values) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        top = max([*values, 0.0]) or 1.0
        points = " ".join(
            f"{_x(i, len(values), left, right):.1f},{height - 120 * max(value, 0.0) / top:.1f}"
            for i, value in enumerate(values)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        legend = f"{name} (max {max([*values, 0.0]):,.0f})"
        parts.append(
            f'<text x="{left + place * 155}" y="52" font-size="12" fill="{colour}">'
            f"{escape(legend)}</text>"
        )
        said.append(legend)
    if days:
        parts.append(_text(left, height + 18, days[0]))
        parts.append(_text(right, height + 18, days[-1], "end"))
    return _image(title, "; ".join(said), height + 30, parts)


def svg_curves(title: str, lines: Mapping[str, Sequence[tuple[float, ...]]]) -> str:
    """Return curves on one scale with their intervals as bands, one colour a name.

    A point is (x, y, lower, upper), all ≥ 0; points of a line are in order of x.
    """
    height, left, right = 240, 60, _WIDTH - 12
    points = [point for line in lines.values() for point in line]
    far = max([point[0] for point in points] + [0.0]) or 1.0
    top = max([max(point[1:]) for point in points] + [0.0]) or 1.0

    def at(x: float, y: float) -> str:
        return f"{left + (right - left) * x / far:.1f},{height - 170 * y / top:.1f}"

    parts = [
        f'<polyline points="{at(0, top)} {at(0, 0)} {at(far, 0)}" fill="none"'
        ' stroke="currentColor" stroke-opacity="0.4"/>',
        _text(left - 6, height - 166, f"{top:,.0f}", "end"), _text(left - 6, height, "0", "end"),
        _text(right, height + 18, f"{far:,.0f}", "end"),
    ]  # fmt: skip
    said = []
    for place, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        band = [at(x, high) for x, _, _, high in line] + [at(x, low) for x, _, low, _ in line][::-1]
        parts.append(
            f'<polygon points="{" ".join(band)}" fill="{colour}" fill-opacity="0.12"/>'
            f'<polyline points="{" ".join(at(x, y) for x, y, _, _ in line)}" fill="none"'
            f' stroke="{colour}" stroke-width="2"/>'
            f'<text x="{left + 10 + place * 140}" y="48" font-size="12" fill="{colour}">'
            f"{escape(name)}</text>"
        )
        said.append(f"{name}: " + ", ".join(f"{x:,.0f} → {y:,.1f}" for x, y, _, _ in line))
    return _image(title, "; ".join(said), height + 30, parts)


def _x(place: int, n: int, left: float, right: float) -> float:
    return left + (right - left) * (place / (n - 1) if n > 1 else 0.5)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _whisker(x1: float, x2: float, y: float) -> str:
    caps = "".join(f'<line x1="{x:.1f}" y1="{y - 5}" x2="{x:.1f}" y2="{y + 5}"/>' for x in (x1, x2))
    line = f'<line x1="{x1:.1f}" y1="{y}" x2="{x2:.1f}" y2="{y}"/>'
    return f'<g stroke="currentColor" stroke-width="1.5">{line}{caps}</g>'


def _image(title: str, said: str, height: float, parts: Sequence[str], width: int = _WIDTH) -> str:
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {math.ceil(height)}" '
        f'role="img" font-family="system-ui, sans-serif" style="max-width:100%;height:auto">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>"
        f'<text x="0" y="18" font-size="15" font-weight="600" fill="currentColor">{escape(title)}'
        f"</text>{body}</svg>"
    )
