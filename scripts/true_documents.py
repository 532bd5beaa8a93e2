"""Run every marked example of the pages and write what it printed where a page says otherwise.

``python scripts/true_documents.py [--first FOLDER] [PAGE …]``; without a page, all of them.
``--first`` takes a market that ``jinqiao demo FOLDER --quick`` made lately, to save its time. The
comparison, and what it puts aside, is tests/documents.py; tests/house/test_documents.py fails
where this would change anything.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from documents import ROOT, Block, blocks, pages, rewrite, run


def main(names: list[str]) -> None:
    """Run and rewrite the pages named."""
    kept = None
    if names[:1] == ["--first"]:
        kept, names = Path(names[1]).resolve(), names[2:]
    wanted = [Path(name).resolve() for name in names] or pages()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first = kept
        if kept is None and any(
            block.place == "first" for page in wanted for block in blocks(page)
        ):
            start = [b for b in blocks(ROOT / "README.md") if b.place == "page"]
            run(start, folder / "start")
            first = folder / "start" / "first"
        for page in wanted:
            printed = outputs(page, folder, first)
            if rewrite(page, printed):
                sys.stdout.write(f"rewritten: {page.relative_to(ROOT)}\n")


def outputs(page: Path, folder: Path, first: Path | None) -> list[tuple[Block, list[str]]]:
    """Return each console example of a page with what its commands printed."""
    found = [block for block in blocks(page) if block.language == "console"]
    together = [block for block in found if block.place == "page"]
    numbers = itertools.count()
    made = []
    if together:
        place = folder / f"{page.stem}-{next(numbers)}"
        made += list(zip(together, run(together, place, first=first), strict=True))
    for block in found:
        if block.place != "page":
            place = folder / f"{page.stem}-{next(numbers)}"
            made.append((block, run([block], place, first=first)[0]))
    return made


if __name__ == "__main__":
    main(sys.argv[1:])
