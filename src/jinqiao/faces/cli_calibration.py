"""report --calibration: what was said beside what came, and beside chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinqiao.faces.command import Call
from jinqiao.faces.output import Output

if TYPE_CHECKING:
    from jinqiao.flow.calibration import Calibrations

__all__ = ["show"]


def show(call: Call, days: int) -> None:
    """Show what was said in a window beside what came, and beside chance."""
    from jinqiao.flow.calibration import calibration_of

    with call.engine() as engine:
        found = calibration_of(engine, window_days=days)
    call.out.value({"calibration": found}, lambda: _say(call.out, found))


def _say(out: Output, found: Calibrations) -> None:
    rows = [
        {
            "stage": stage, "set": name, "cases": one.cases, "open": one.open,
            "error": f"{one.error:.4f}", "noise": f"{one.noise:.4f} (≤ {one.noise_most:.4f})",
            "ratio": "–" if one.ratio is None else f"{one.ratio:.3f}",
        }
        for stage, whole in found.whole.items()
        for name, one in [("", whole), *found.by_set[stage].items()]
    ]  # fmt: skip
    both = out.both
    out.table(rows, [
        ("stage", both("步骤", "stage")), ("set", both("范围", "set")),
        ("cases", both("案例", "cases")), ("open", both("未决", "open")),
        ("error", both("误差", "error")), ("noise", both("噪声底", "noise floor")),
        ("ratio", both("估计 ÷ 结果", "said ÷ came")),
    ])  # fmt: skip
    for one in found.shown:
        told = "–" if one.ratio is None else f"{one.ratio:.3f}"
        between = "" if one.lower is None else f" ({one.lower:.3f} – {one.upper:.3f})"
        head = both("按排名上架，估计 ÷ 结果", "put there by rank, said ÷ came")
        out.say(f"{head}, {one.stage}: {told}{between}")
