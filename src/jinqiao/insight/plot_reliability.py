"""What was said against what came, as SVG text: a point a bin, its interval, and chance's own band.

Narrow, so that its letters can be read on a phone. In the same drawing as ``plot``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinqiao.insight.calibration import Bin
from jinqiao.insight.plot import _ACCENT, _image, _text

__all__ = ["Words", "svg_reliability"]

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 52.0, 344.0, 56.0, 300.0
_OFF = "#b4530a"


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of a picture: its title, its two axes, and what its band is."""

    title: str
    said: str
    came: str
    band: str


def svg_reliability(words: Words, bins: Sequence[Bin]) -> str:
    """Return the reliability picture of some bins.

    On the diagonal what was said came true. A grey bar is where chance alone puts a bin; a point
    outside its bar is drawn as a square in another colour.
    """
    far = _round_up(max([max(one.said, one.upper, one.most) for one in bins] + [0.0]))

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_RIGHT - _LEFT) * x / far
        return across, _BOTTOM - (_BOTTOM - _TOP) * y / far

    parts = [_frame(far), _text(_LEFT, _TOP - 16, f"{words.came} ↑"),
             _text(_RIGHT, _BOTTOM + 34, f"{words.said} →", "end"),
             _text(_LEFT, _BOTTOM + 52, words.band)]  # fmt: skip
    for one in bins:
        x, y = at(one.said, one.came)
        ends = at(one.said, one.least)[1], at(one.said, one.most)[1]
        parts.append(
            f'<rect x="{x - 4:.1f}" y="{ends[1]:.1f}" width="8" height="{ends[0] - ends[1]:.1f}"'
            ' fill="currentColor" fill-opacity="0.22"/>'
        )
        low, high = at(one.said, one.lower)[1], at(one.said, one.upper)[1]
        off = not one.least <= one.came <= one.most
        colour = _OFF if off else _ACCENT
        parts.append(
            f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
        )
        parts.append(
            f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{colour}"/>'
            if off
            else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
        )
    told = "; ".join(f"{one.said:.1%} → {one.came:.1%}" for one in bins)
    return _image(words.title, told, _BOTTOM + 62, parts, _WIDTH)


def _frame(far: float) -> str:
    """Return both axes with their ends, and the diagonal."""
    lines = (
        f'<polyline points="{_LEFT},{_TOP} {_LEFT},{_BOTTOM} {_RIGHT},{_BOTTOM}" fill="none"'
        ' stroke="currentColor" stroke-opacity="0.4"/>'
        f'<line x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_TOP}" stroke="currentColor"'
        ' stroke-opacity="0.5" stroke-dasharray="4 3"/>'
    )
    marks = [
        _text(_LEFT - 6, _TOP + 8, f"{far:.0%}", "end"), _text(_LEFT - 6, _BOTTOM, "0", "end"),
        _text(_RIGHT, _BOTTOM + 16, f"{far:.0%}", "end"), _text(_LEFT, _BOTTOM + 16, "0"),
    ]  # fmt: skip
    return lines + "".join(marks)


def _round_up(value: float) -> float:
    """Return the least of 5, 10, 20, 30 … 100 % that holds a share.

    >>> _round_up(0.031), _round_up(0.42), _round_up(0.99)
    (0.05, 0.5, 1.0)
    """
    for step in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        if value <= step:
            return step
    return 1.0
