"""The how-to's example runs as it stands."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_how_to_runs() -> None:
    """The example of ``docs/how-to/solve-your-own-arrays.md`` solves and certifies."""
    text = (DOCS / "how-to" / "solve-your-own-arrays.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    exec(compile(code, "how-to", "exec"), {})
