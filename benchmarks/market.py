"""The generated market, measured: what it is made of, and what making it costs at any size.

``python benchmarks/market.py``: the funnel and the ladder of 20,000 people for three seeds, then
blocks of 200,000 and of 1,000,000 people with seconds a million and the peak of memory, each in a
process of its own. Written to ``benchmarks/results/market.json`` and into the table of
docs/explanation/market.md. ``--table`` or ``--blocks`` for one of the two; QUICK=1 for small sizes
(written to ``out/``), SEED=n for another first seed (to ``out/`` too).
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "explanation" / "market.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SEED = int(os.environ.get("SEED", "1") or 1)
QUICK = bool(os.environ.get("QUICK"))
PEOPLE, DAYS = (2_000, 7) if QUICK else (20_000, 28)
SIZES = (5_000, 20_000) if QUICK else (200_000, 1_000_000)
BANDS = {
    "click_pct": ("click rate of the random log", "4–8 %"),
    "application_pct": ("application given click", "15–30 %"),
    "approval_pct": ("approval given application", "30–55 %"),
    "activation_pct": ("activation given approval", "55–80 %"),
    "credit_pct": ("credit's share of applications", "≥ 60 %"),
    "random_pct": ("random_eligible, of the oracle", "20–40 %"),
    "static_pct": ("static_best, of the oracle", "80–90 %"),
    "oracle_of_bound_pct": ("oracle, of the bound", ""),
}


def bands(seed: int) -> dict[str, float]:
    """Return the funnel of a random log and the ladder after it, without learning."""
    import numpy as np

    sys.path.insert(0, str(HERE.parent / "tests"))
    from jinqiao.domain.time import DAY_US
    from jinqiao.flow import evaluate
    from playing import make_world

    world = make_world(PEOPLE, seed=seed)
    start = world.market.start_us
    shown = world.truth.shown(world.life, start, start + 28 * DAY_US)
    reached = np.cumprod(shown.chances, axis=1)
    click, applied, approved, active = reached.sum(axis=0)
    credit = reached[world.market.goods.credit[shown.product], 1].sum()
    found = evaluate.ladder(world.inputs(days=DAYS))
    static = found.of_oracle_pct(found.captured["static_best"].value_minor)
    oracle = found.of_bound_pct(found.captured["true_prices"].value_minor)
    shares = (
        click / len(shown), applied / click, approved / applied, active / approved,
        credit / applied,
    )  # fmt: skip
    rest = (found.baselines_pct["random_eligible"], static, oracle)
    values = [round(100 * float(s), 1) for s in shares] + [round(float(r), 1) for r in rest]
    return dict(zip(BANDS, values, strict=True))


def blocks(size: int, seed: int) -> dict[str, float]:
    """Return what writing every block of a market costs: seconds and the peak of memory."""
    from jinqiao.synthetic import market, stream, warm_up

    warm_up()
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        done = stream(market(size, seed), Path(folder), days=range(1))
        written = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    cpu = time.process_time() - begun
    return {
        "people": size,
        "cpu_s": round(cpu, 1),
        "cpu_s_per_million": round(cpu / size * 1e6, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "written_mb": round(written / 1e6, 1),
        "rows": sum(done.rows.values()),
    }


def alone(what: str, number: int) -> dict[str, float]:
    """Return one measurement, made in a process of its own."""
    words = [sys.executable, __file__, what, str(number)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(what, number, found, flush=True)
    return found


def doc_table(record: dict[str, Any]) -> str:
    """Return the table of the page, as Markdown."""
    seeds = record["bands"]
    lines = [
        "| figure | " + " | ".join(f"seed {seed}" for seed in seeds) + " | band |",
        "|---|" + "---|" * (len(seeds) + 1),
    ]
    for key, (name, band) in BANDS.items():
        values = " | ".join(f"{seeds[seed][key]:.1f} %" for seed in seeds)
        lines.append(f"| {name} | {values} | {band} |")
    lines += ["", "| people | CPU seconds | a million | peak of memory |", "|---|---|---|---|"]
    lines += [
        f"| {one['people']:,} | {one['cpu_s']:.0f} | {one['cpu_s_per_million']:.0f} |"
        f" {one['peak_rss_mb']:.0f} MB |"
        for one in record["blocks"]
    ]
    return "\n".join(lines)


def with_table(text: str, record: dict[str, Any]) -> str:
    """Return the page with its table made anew."""
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{doc_table(record)}\n{END}{rest.split(END, 1)[1]}"


def main(words: list[str]) -> None:
    """Measure what is asked, keep it beside what was measured before."""
    if words[:1] == ["--seed-table"]:
        print(json.dumps(bands(int(words[1]))))
        return
    if words[:1] == ["--size"]:
        print(json.dumps(blocks(int(words[1]), SEED)))
        return
    kept = HERE / ("out" if QUICK or SEED != 1 else "results")
    kept.mkdir(exist_ok=True)
    path = kept / "market.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "--blocks" not in words:
        seeds = (SEED, SEED + 1, SEED + 2)
        record["bands"] = {str(seed): alone("--seed-table", seed) for seed in seeds}
        record |= {"people": PEOPLE, "days": DAYS}
    if "--table" not in words:
        record["blocks"] = [alone("--size", size) for size in SIZES]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    record |= {
        "benchmark": "market",
        "command": "python benchmarks/market.py",
        "seed": SEED,
        "cpu_s": round(after.ru_utime + after.ru_stime - begun.ru_utime - begun.ru_stime, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "peer": None,
        "peer_reason": "nothing else generates this market",
    }
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if kept.name == "results" and {"bands", "blocks"} <= set(record):
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
