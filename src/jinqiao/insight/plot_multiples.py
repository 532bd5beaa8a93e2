"""A small plot of one thing by day beside what chance alone shows, made to stand among many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["DayPoint", "svg_days"]

_ACCENT, _WARN = "#0b6e69", "#b4530a"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 320, 150, 34, 44, 126
_LEAST = 0.4


@dataclass(frozen=True, slots=True)
class DayPoint:
    """One day: its value ≥ 0, what chance alone shows, and whether it is marked.

    ``known``: the day is one that what is drawn was made from, and is drawn faint.
    """

    day: str
    value: float
    floor: float
    marked: bool = False
    known: bool = False


def svg_days(title: str, points: Sequence[DayPoint], limits: Sequence[float], said: str) -> str:
    """Return values by day as dots joined, the floor as an area, limits above it as dashed lines.

    Heights are square roots, from 0 to the highest value, so that limits stay apart beside a high
    one. ``said`` describes it in words.
    """
    top = max([p.value for p in points] + [p.floor + max(limits) for p in points] + [_LEAST])

    def place(i: int, value: float) -> tuple[float, float]:
        share = i / (len(points) - 1) if len(points) > 1 else 0.5
        height = math.sqrt(min(max(value, 0.0), top) / top)
        return _LEFT + share * (_WIDTH - _LEFT - 10), _BOTTOM - (_BOTTOM - _TOP) * height

    def line(values: Sequence[float]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*place(i, v)) for i, v in enumerate(values))

    floors = [p.floor for p in points]
    parts = [
        f'<line x1="{_LEFT}" y1="{_BOTTOM}" x2="{_WIDTH - 10}" y2="{_BOTTOM}"'
        ' stroke="currentColor" stroke-opacity="0.4"/>',
        _text(_LEFT - 5, _TOP + 4, f"{top:.2g}", "end"), _text(_LEFT - 5, _BOTTOM, "0", "end"),
    ]  # fmt: skip
    if points:
        first, last = place(0, 0.0), place(len(points) - 1, 0.0)
        parts.append(
            f'<polygon points="{first[0]:.1f},{first[1]:.1f} {line(floors)} {last[0]:.1f},'
            f'{last[1]:.1f}" fill="currentColor" fill-opacity="0.12"/>'
        )
        parts += [
            f'<polyline points="{line([f + limit for f in floors])}" fill="none"'
            ' stroke="currentColor" stroke-opacity="0.45" stroke-dasharray="3 3"/>'
            for limit in limits
        ]
        parts.append(
            f'<polyline points="{line([p.value for p in points])}" fill="none" stroke="{_ACCENT}"'
            ' stroke-width="1.5"/>'
        )
        parts += [_dot(place(i, p.value), p) for i, p in enumerate(points)]
        parts.append(_text(_LEFT, _HEIGHT - 6, points[0].day))
        parts.append(_text(_WIDTH - 10, _HEIGHT - 6, points[-1].day, "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        ' font-family="system-ui, sans-serif" style="max-width:100%;height:auto">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>"
        f'<text x="0" y="14" font-size="13" font-weight="600" fill="currentColor">{escape(title)}'
        f'</text><text x="0" y="31" font-size="11" fill="currentColor" fill-opacity="0.75">'
        f"{escape(said)}</text>{''.join(parts)}</svg>"
    )


def _dot(at: tuple[float, float], point: DayPoint) -> str:
    colour = _WARN if point.marked else _ACCENT
    faint = ' fill-opacity="0.4"' if point.known else ""
    size = 3.5 if point.marked and not point.known else 2.2
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{size}" fill="{colour}"{faint}/>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="currentColor"'
        f' fill-opacity="0.75">{escape(text)}</text>'
    )
