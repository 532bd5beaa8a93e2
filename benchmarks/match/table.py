"""Records of measured figures, the verdict on each, and the table that is printed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Goal", "record", "verdict", "write", "written"]


@dataclass(frozen=True)
class Goal:
    """What a figure must reach, and its moonshot; ``more`` where more is better.

    ``holds`` and ``holds_moonshot`` say whether what was asked for beside the figure itself was
    reached too, the gap of a plan, say.
    """

    must: float | None = None
    moonshot: float | None = None
    more: bool = False
    holds: bool = True
    holds_moonshot: bool = True


def verdict(ours: float | None, goal: Goal) -> str:
    """Return moonshot, met, missed, or nothing where no figure is asked for."""
    if goal.must is None:
        return ""
    if ours is None:
        return "not measured"

    def reached(limit: float | None) -> bool:
        return limit is not None and (ours >= limit if goal.more else ours <= limit)

    if reached(goal.moonshot) and goal.holds and goal.holds_moonshot:
        return "moonshot"
    return "met" if reached(goal.must) and goal.holds else "missed"


def record(
    figure: str,
    unit: str,
    ours: float | None,
    size: str,
    *,
    cpu_s: float | None = None,
    goal: Goal | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return one record. ``more``: peer, peer_name, peer_reason, reason, and what else is told."""
    goal = goal or Goal()
    peer = more.pop("peer", None)
    ratio = more.pop("ratio", None)
    if ratio is None and peer is not None and ours:
        ratio = ours / peer if goal.more else peer / ours
    line = {
        "figure": figure, "unit": unit, "ours": ours, "peer": peer,
        "peer_name": more.pop("peer_name", None), "ratio": ratio, "size": size, "cpu_s": cpu_s,
        "must": goal.must, "moonshot": goal.moonshot, "verdict": verdict(ours, goal),
    }  # fmt: skip
    if peer is None:
        line["peer_reason"] = more.pop("peer_reason", "peers run at 100,000 customers only")
    return line | more


_HEADS = ("figure", "size", "ours", "must / moonshot", "", "peer", "ratio")


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    def show(value: Any) -> str:
        if value is None:
            return "–"
        return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1e4 else f"{value:,.0f}"

    asked = line.get("must")
    goal = "" if asked is None else f"{show(asked)} / {show(line.get('moonshot'))}"
    peer = ""
    if line.get("peer") is not None:
        peer = f"{show(line['peer'])} {line.get('peer_name') or ''}"
    ratio = line.get("ratio")
    ours = "–" if line["ours"] is None else f"{show(line['ours'])} {line['unit']}"
    return (
        line["figure"], _size(line["size"]), ours, goal, line.get("verdict", ""), peer,
        "" if ratio is None else f"{ratio:.3g}×",
    )  # fmt: skip


def _size(size: Any) -> str:
    if isinstance(size, dict):
        return ", ".join(f"{value:,} {key}" for key, value in size.items() if _is_number(value))
    return f"{size:,}" if _is_number(size) else str(size)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def written(lines: Sequence[dict[str, Any]]) -> str:
    """Return the table as text, with the reason under a figure that was not measured."""
    cells = [_HEADS, *(_cells(line) for line in lines)]
    width = [max(len(row[i]) for row in cells) for i in range(len(_HEADS))]
    out = []
    for number, row in enumerate(cells):
        text = "  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip()
        out.append(text)
        if number == 0:
            out.append("─" * len(text))
        elif lines[number - 1].get("reason"):
            out.append(f"    {lines[number - 1]['reason']}")
    return "\n".join(out)


def write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(lines), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
