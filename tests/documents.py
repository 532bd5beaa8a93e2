"""Documents that run: every marked example of a page, where it runs, and what must come out.

A block is marked by a comment on the line before its fence::

    <!-- runs in: page -->        one empty folder for the whole page, one shell, in order
    <!-- runs in: fresh -->       an empty folder and a shell of its own
    <!-- runs in: first -->       beside a copy of the market that the README's quick start made
    <!-- runs in: checkout -->    in a copy of the repository's sources
    <!-- runs -->                 before a ``python`` block: it runs, whatever it asserts

``, measured`` after the place: numbers in its output are measured, so they may move a little on
another processor. In a ``console`` block a line that starts with ``$ `` is a command, ``> `` goes
on with it, and what follows is what it prints. A command that fails fails the example.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ROOT", "Block", "blocks", "differences", "links", "pages", "rewrite", "run", "stable",
]  # fmt: skip

ROOT = Path(__file__).parents[1]
_MARK = re.compile(r"<!-- runs(?: in: (?P<place>page|fresh|first|checkout))?(?P<m>, measured)? -->")
_END = "\x1edone "
_PORT = "8765"

VOLATILE = {
    "seconds": r"\b\d+(\.\d+)? (s|秒)\b|\b\d+(\.\d+)? (?=秒)",
    "instant": r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?",
    "version": r"\b20\d{6}T\d{6}Z-\w+(\+[0-9a-f]{8}|-[0-9a-f]+-[0-9a-f]+)?",
    "id": r"\b(?:[a-z]{2,5})_[A-Za-z0-9_-]{16,}",
    "secret": r"\bwhsec_[A-Za-z0-9+/=]+|\beyJ[A-Za-z0-9_.-]+",
    "digest": r"\b[0-9a-f]{12,64}\b",
    "month": r"\b20\d\d-\d\d\b(?!-)",
    "day": r"\b20\d\d-\d\d-\d\d\b",
}
"""What differs from run to run, and is compared by its shape alone; docs/points.md says so."""


@dataclass(frozen=True)
class Block:
    """One fenced example. ``line`` is that of its fence, from 1; ``place`` "" is a python block."""

    page: Path
    line: int
    language: str
    place: str
    measured: bool
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def steps(self) -> list[tuple[str, str]]:
        """Return each command of a console block with what it is said to print."""
        made: list[tuple[list[str], list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                made.append(([line[2:]], []))
            elif line.startswith(">") and line[1:2] in ("", " ") and made and not made[-1][1]:
                made[-1][0].append(line[2:])
            elif made:
                made[-1][1].append(line)
            else:
                raise AssertionError(f"{self.name}: output before a command")
        return [("\n".join(command), "\n".join(said)) for command, said in made]


def pages() -> list[Path]:
    """Return every page that people read: the top ones and all of ``docs/``."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the examples of a page that are marked to run, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        mark = _MARK.fullmatch(line.strip())
        if mark is None:
            continue
        fence = lines[number + 1]
        assert fence.startswith("```"), f"{page}:{number + 2}: a mark without a block"
        end = lines.index("```", number + 2)
        text = "\n".join(lines[number + 2 : end])
        place = mark["place"] or ""
        found.append(Block(page, number + 2, fence[3:], place, bool(mark["m"]), text))
    return found


# -- running ----------------------------------------------------------------------------------


def run(examples: Sequence[Block], folder: Path, *, first: Path | None = None) -> list[list[str]]:
    """Return what each command of console blocks printed, run in one shell in ``folder``.

    ``first``: the quick start's market, of which a copy is put into the folder. Raises
    AssertionError, with everything printed, when a command fails.
    """
    place = examples[0].place
    folder.mkdir(parents=True, exist_ok=True)
    environ = _environ(folder.parent)
    if place == "first" and first is not None:
        shutil.copytree(first, folder / "first")
        environ["JINQIAO_WORKSPACE"] = "first"
    if place == "checkout":
        _checkout(folder)
        environ["PYTHONPATH"] = str(folder / "src")
    port = str(_free_port())
    steps = [step for block in examples for step in block.steps()]
    script = "".join(f"{command}\nprintf '{_END}%s\\n' $?\n" for command, _ in steps)
    done = subprocess.run(
        ["bash"], input=script.replace(_PORT, port), cwd=folder, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False,
    )  # fmt: skip
    said = done.stdout.replace(port, _PORT).replace(str(folder), "…")
    return _dealt(examples, said)


def _dealt(examples: Sequence[Block], said: str) -> list[list[str]]:
    parts = re.split(rf"{_END}(\d+)\n", said)
    outputs, codes = parts[0:-1:2], parts[1::2]
    dealt = []
    for block in examples:
        mine = []
        for command, _ in block.steps():
            assert outputs, f"{block.name}: the shell ended at\n{command}\n{said[-2000:]}"
            out, code = outputs.pop(0), codes.pop(0)
            assert code == "0", f"{block.name}: {command}\nended with {code}:\n{out}"
            mine.append(stripped(out))
        dealt.append(mine)
    return dealt


def _environ(home: Path) -> dict[str, str]:
    here = Path(sys.executable).parent
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JINQIAO_", "PYTEST", "COV"))}
    shims = home / "shims"
    if shutil.which("curl") is None and not shims.exists():
        shims.mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "curl_shim.py", shims / "curl")
        (shims / "curl").chmod(0o755)
    return kept | {
        "PATH": f"{here}:{shims}:{kept.get('PATH', '/usr/bin:/bin')}", "COLUMNS": "160",
        "JINQIAO_ACTOR": "you", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


def _checkout(folder: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", folder)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# -- comparing --------------------------------------------------------------------------------


def stripped(text: str) -> str:
    """Return a text without blanks at the ends of lines and blank lines at its ends."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def stable(text: str) -> str:
    """Return a text with all that differs from run to run put aside, and blanks counted once."""
    for name, pattern in VOLATILE.items():
        text = re.sub(pattern, f"<{name}>", text)
    text = re.sub(r"[─━]{3,}", "───", text)
    return "\n".join(re.sub(r"  +", "  ", line).rstrip() for line in text.splitlines())


def differences(block: Block, printed: Sequence[str]) -> str:
    """Return how what was printed differs from the page, "" when it does not."""
    told = []
    for (command, said), got in zip(block.steps(), printed, strict=True):
        if not _same(stripped(said), got, block.measured):
            told.append(
                f"{block.name}: $ {command}\n-- the page says\n{said}\n-- it printed\n{got}"
            )
    return "\n\n".join(told)


def _same(said: str, got: str, measured: bool) -> bool:
    left, right = stable(said), stable(got)
    if left == right or not measured:
        return left == right
    number = re.compile(r"(?<![A-Za-z0-9_-])\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")
    if re.sub(r" +", " ", number.sub("#", left)) != re.sub(r" +", " ", number.sub("#", right)):
        return False
    pairs = zip(number.findall(left), number.findall(right), strict=True)
    return all(_near(a, b) for a, b in pairs)


def _near(a: str, b: str) -> bool:
    """Return whether two measured numbers are within a tenth, or a few of the smallest shown."""
    left, right = float(a.replace(",", "")), float(b.replace(",", ""))
    least = 0.05 if "." in a or "." in b else 3.0
    return abs(left - right) <= max(0.1 * max(abs(left), abs(right)), least)


def rewrite(page: Path, printed: Sequence[tuple[Block, Sequence[str]]]) -> bool:
    """Put what was printed into a page where it differs; return whether anything did."""
    lines = page.read_text(encoding="utf-8").splitlines()
    changed = False
    for block, outputs in sorted(printed, key=lambda one: -one[0].line):
        made: list[str] = []
        for (command, said), got in zip(block.steps(), outputs, strict=True):
            first, *more = command.split("\n")
            made += [f"$ {first}", *(f"> {line}".rstrip() for line in more)]
            keep = _same(stripped(said), got, measured=False)
            made += (said if keep else got).split("\n") if (said if keep else got) else []
        old = block.text.split("\n")
        if made != old:
            lines[block.line : block.line + len(old)] = made
            changed = True
    if changed:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return changed


# -- links ------------------------------------------------------------------------------------


def links(page: Path) -> Iterator[tuple[str, Path | None, str]]:
    """Yield each inner link of a page: as written, the file it names, the heading it names."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        yield target, (page.parent / name).resolve() if name else page, heading
