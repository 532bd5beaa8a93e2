"""Write a generated market to files: ``python -m jinqiao.synthetic FOLDER --size 1000000``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jinqiao.errors import JinqiaoError
from jinqiao.synthetic import market, stream


def main(words: list[str] | None = None) -> int:
    """Write the blocks asked for, those that are not there yet; return the exit code."""
    parser = argparse.ArgumentParser("python -m jinqiao.synthetic", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=20_000, help="people in the market")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spec", default="standard", help="standard or peak")
    parser.add_argument("--ledger", default="features", help="features, rows or none")
    parser.add_argument("--days", type=_span, default=range(0), help="visits of days A:B")
    parser.add_argument("--blocks", type=_span, help="blocks A:B of 1,000 people; all by default")
    asked = parser.parse_args(words)
    try:
        made = market(asked.size, asked.seed, spec=asked.spec)
        done = stream(
            made, asked.folder, blocks=asked.blocks, days=asked.days, ledger=asked.ledger,
            progress=_tell,
        )  # fmt: skip
    except JinqiaoError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    rows = ", ".join(f"{name} {count}" for name, count in done.rows.items())
    sys.stdout.write(f"blocks made {done.made}, found {done.found}; rows: {rows or 'none'}\n")
    return 0


def _span(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def _tell(step: str, share: float) -> None:
    sys.stderr.write(f"\r{step} {share:6.1%}")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
