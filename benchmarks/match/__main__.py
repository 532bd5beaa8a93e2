"""The whole table: ``python -m benchmarks.match``, from the root of the repository.

QUICK=1 takes smaller sizes, SEED=n other instances, ONLY=group,group some of the groups. Writes
``benchmarks/out/match.json`` after every group, so that a run that is stopped keeps what it has;
with ONLY, what the other groups last gave at the same sizes and seed is kept beside it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.match.figures import GROUPS, Failed, Run
from benchmarks.match.table import record, write, written

OUT = Path(__file__).resolve().parents[1] / "out" / "match.json"
OTHERS = ("billion", "files", "spark", "whatif", "online", "fairness", "truth")
"""Modules with ``records(quick, seed) -> list[dict]``."""


def groups() -> dict[str, Callable[[Run], Iterable[dict[str, Any]]]]:
    """Return every group by name: those of ``figures``, then the modules that are here."""
    found: dict[str, Callable[[Run], Iterable[dict[str, Any]]]] = dict(GROUPS)
    for name in OTHERS:
        if importlib.util.find_spec(f"benchmarks.match.{name}") is not None:
            found[name] = _module(name)
    return found


def _module(name: str) -> Callable[[Run], Iterable[dict[str, Any]]]:
    def records(run: Run) -> Iterable[dict[str, Any]]:
        module = importlib.import_module(f"benchmarks.match.{name}")
        found: Iterable[dict[str, Any]] = module.records(quick=run.quick, seed=run.seed)
        return found

    return records


def played(name: str, group: Callable[[Run], Iterable[dict[str, Any]]], run: Run) -> Any:
    """Yield a group's records; one that failed tells its reason."""
    try:
        yield from group(run)
    except Exception as error:
        reason = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        yield record(name, "", None, "", reason=reason, peer_reason="not measured")


def kept(run: Run, asked: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lines of the groups not asked for, as they were last measured for this run."""
    found: dict[str, list[dict[str, Any]]] = {}
    if not asked or not OUT.exists():
        return found
    for line in json.loads(OUT.read_text()):
        same = (line.get("seed"), line.get("quick")) == (run.seed, run.quick)
        if same and line.get("group") not in (None, *asked):
            found.setdefault(line["group"], []).append(line)
    return found


def main() -> None:
    """Measure every group, print the table, write the records."""
    run = Run(bool(os.environ.get("QUICK")), int(os.environ.get("SEED") or 1))
    asked = [name for name in os.environ.get("ONLY", "").split(",") if name]
    told, lines = kept(run, asked), []
    for name, group in groups().items():
        if asked and name not in asked:
            continue
        began = time.perf_counter()
        common = {"group": name, "seed": run.seed, "quick": run.quick}
        told[name] = [common | line for line in played(name, group, run)]
        lines = [line for one in groups() for line in told.get(one, [])]
        write(OUT, lines)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(written(lines))
    if run.quick:
        print("\nQUICK sizes: what must be and the moonshots are those of the full sizes.")
    verdicts = [line.get("verdict") for line in lines]
    kinds = ("moonshot", "met", "missed", "not measured")
    print("\n" + ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds))


if __name__ == "__main__":
    main()
