"""The table of learning: ``python -m benchmarks.learning``, from the root of the repository.

QUICK=1 takes fewer repeats, SEED=n other folds and draws, ONLY=module,module some of them. Writes
``benchmarks/out/learning.json`` after every module, so that a run that is stopped keeps its part.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.match.table import Goal, verdict, write, written

OUT = Path(__file__).resolve().parents[1] / "out" / "learning.json"
MODULES = (
    "funnel", "bandit", "credit_files", "bank_marketing", "berka", "uplift",
    "market_policies", "market_chain", "context",
)  # fmt: skip
GOALS = {
    "youngest_cohort_error_28": Goal(0.045, 0.03),
    "youngest_cohort_error_14": Goal(0.084, 0.06),
    "youngest_cohort_error_7": Goal(0.127, 0.09),
    "berka_bad_loan": Goal(0.933, 0.945, more=True),
    "bank_marketing_random": Goal(0.805, 0.81, more=True),
    "bank_marketing_rolling": Goal(0.771, 0.79, more=True),
    "market_ece_click": Goal(0.006, 0.004),
    "market_ece_application": Goal(0.008, 0.006),
    "market_ece_approval": Goal(0.024, 0.015),
    "market_ece_activation": Goal(0.024, 0.015),
    "delay_gap_closed_approval": Goal(97.0, 98.0, more=True),
    "delay_gap_closed_activation": Goal(92.0, 98.0, more=True),
    "value_off_shown": Goal(0.07, 0.05),
    "policy_change_bias": Goal(0.06, 0.04),
    "refit_240k": Goal(5.0, 3.0),
}


def _goal(line: dict[str, Any]) -> Goal:
    """Return what a figure must reach; a credit file must equal its best peer, and pass it."""
    if line["figure"].startswith("auc_") and line.get("peer") is not None:
        return Goal(line["peer"], line["peer"] + 1e-9, more=True)
    return GOALS.get(line["figure"], Goal())


def main() -> None:
    """Measure every module that is here, print the table, write the records."""
    quick, seed = bool(os.environ.get("QUICK")), int(os.environ.get("SEED") or 0)
    asked = [name for name in os.environ.get("ONLY", "").split(",") if name]
    lines: list[dict[str, Any]] = []
    for name in MODULES:
        place = f"benchmarks.learning.{name}"
        if (asked and name not in asked) or importlib.util.find_spec(place) is None:
            continue
        began = time.perf_counter()
        for line in importlib.import_module(place).records(quick=quick, seed=seed):
            goal = _goal(line)
            line |= {"must": goal.must, "moonshot": goal.moonshot}
            line["verdict"] = verdict(line["ours"], goal)
            lines.append(line)
        write(OUT, lines)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(written(lines))


if __name__ == "__main__":
    main()
