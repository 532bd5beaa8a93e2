"""Intervals around no difference, as SVG text: one row each, in the same drawing as ``plot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinqiao.insight.plot import _image, _text

__all__ = ["Span", "svg_intervals"]

_LEFT, _RIGHT, _ROW, _TOP = 230.0, 610.0, 36, 44
_NOTE = 20
_GOOD, _BAD, _OPEN = "#0b6e69", "#b4530a", "currentColor"


@dataclass(frozen=True, slots=True)
class Span:
    """A difference in per cent with the ends of its interval, None before there is one.

    ``better``: decided for the better, for the worse, or None: not decided. ``note`` is a second,
    smaller line of the label.
    """

    label: str
    value: float | None
    lower: float | None
    upper: float | None
    better: bool | None
    note: str = ""


def svg_intervals(title: str, rows: Sequence[Span]) -> str:
    """Return rows of intervals on one scale, no difference in the middle; colour tells better.

    What is decided also has a full mark, so that colour is not needed to read it; a row without a
    line has no interval yet. The numbers stand in the description.
    """
    ends = [abs(x) for row in rows for x in (row.lower, row.upper) if x is not None]
    most = _round_up(max(ends, default=1.0))
    step = _ROW + (_NOTE if any(row.note for row in rows) else 0)
    bottom = _TOP + len(rows) * step

    def at(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (value / most + 1) / 2

    middle = at(0.0)
    parts = [
        f'<line x1="{middle:.1f}" y1="{_TOP - 8}" x2="{middle:.1f}" y2="{bottom}"'
        ' stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="3 3"/>',
        *(
            _text(x, bottom + 22, text, "middle")
            for x, text in ((_LEFT, f"−{most:g}%"), (middle, "0"), (_RIGHT, f"+{most:g}%"))
        ),
    ]  # fmt: skip
    said = []
    for place, row in enumerate(rows):
        y = _TOP + place * step + 12
        parts.append(_text(_LEFT - 16, y + 5, row.label, "end"))
        if row.note:
            parts.append(_text(_LEFT - 16, y + 5 + _NOTE, row.note, "end"))
        text = "–"
        if row.value is not None and row.lower is not None and row.upper is not None:
            text = f"{row.value:+.1f}% ({row.lower:+.1f} … {row.upper:+.1f})"
            parts.append(_mark(row.better, at(row.value), (at(row.lower), at(row.upper)), y))
        said.append(f"{row.label} {row.note}: {text}".replace(" :", ":"))
    return _image(title, "; ".join(said), bottom + 34, parts)


def _mark(better: bool | None, x: float, ends: tuple[float, float], y: float) -> str:
    colour = _OPEN if better is None else _GOOD if better else _BAD
    fill = "none" if better is None else colour
    return (
        f'<g stroke="{colour}" stroke-width="2"><line x1="{ends[0]:.1f}" y1="{y}"'
        f' x2="{ends[1]:.1f}" y2="{y}"/><line x1="{ends[0]:.1f}" y1="{y - 5}"'
        f' x2="{ends[0]:.1f}" y2="{y + 5}"/><line x1="{ends[1]:.1f}" y1="{y - 5}"'
        f' x2="{ends[1]:.1f}" y2="{y + 5}"/><circle cx="{x:.1f}" cy="{y}" r="5" fill="{fill}"/></g>'
    )


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 …"""
    size = 1.0
    while size < value:
        size *= 2.5 if f"{size:.0e}"[0] == "2" else 2.0
    return size
