"""Documents that cannot lie: every page is run, linked, and equal to what was measured."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from documents import ROOT, Block, blocks, differences, links, pages, run

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
EVERY = [block for page in pages() for block in blocks(page)]
ALONE = [block for block in EVERY if block.place in ("fresh", "first", "checkout")]
PYTHON = [block for block in EVERY if not block.place]
TOGETHER = sorted({block.page for block in EVERY if block.place == "page"} - {README, CHINESE})


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder in which the README's quick start ran: once, for every worker."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "quick-start"
    with (folder.parent / "quick-start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "printed.json").exists():
            printed = run([b for b in blocks(README) if b.place == "page"], folder)
            (folder / "printed.json").write_text(json.dumps(printed))
    return folder


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    """Return xdist's name of this process, "master" where there is one process only."""
    return getattr(request.config, "workerinput", {}).get("workerid", "master")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# -- what runs --------------------------------------------------------------------------------


def test_the_quick_start_prints_what_the_readme_says(start: Path) -> None:
    """The README's first commands run, and print its first screen."""
    mine = [b for b in blocks(README) if b.place == "page"]
    printed = json.loads((start / "printed.json").read_text())
    told = [differences(block, got) for block, got in zip(mine, printed, strict=True)]
    assert not any(told), "\n".join(told)


def test_the_quick_start_logs_every_day(start: Path) -> None:
    """Each of the 28 random days and the 7 under the plan is in the decision log."""
    from jinqiao.flow.wiring import open_engine

    with open_engine(start / "first") as engine:
        days = engine.lake.query(
            "select cast(occurred_at + interval 8 hour as date) as day, min(policy) as policy,"
            " max(policy) as other from decisions group by day order by day"
        ).to_pylist()
    assert [row["policy"] for row in days] == ["random"] * 28 + ["plan"] * 7
    assert all(row["policy"] == row["other"] for row in days)


@pytest.mark.parametrize("block", ALONE, ids=lambda block: block.name)
def test_an_example_prints_what_its_page_says(block: Block, start: Path, tmp_path: Path) -> None:
    """Each marked command of a page, the rows of docs/points.md among them, prints just that."""
    (printed,) = run([block], tmp_path / "here", first=start / "first")
    assert not (told := differences(block, printed)), told


@pytest.mark.parametrize("page", TOGETHER, ids=lambda page: page.stem)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """The commands of a tutorial or how-to, one after another in one shell, print what it says."""
    mine = [block for block in blocks(page) if block.place == "page"]
    printed = run(mine, tmp_path / "here")
    told = [differences(block, got) for block, got in zip(mine, printed, strict=True)]
    assert not any(told), "\n".join(told)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_a_python_example_runs(block: Block) -> None:
    """Each marked Python example runs as it stands."""
    exec(compile(block.text, block.name, "exec"), {"__name__": "example"})


def test_points_has_every_point_with_one_command() -> None:
    """docs/points.md has points 1 to 13 in order, each with one command that runs."""
    text = (DOCS / "points.md").read_text(encoding="utf-8")
    numbers = [int(found) for found in re.findall(r"^## (\d+)\. ", text, flags=re.M)]
    assert numbers == list(range(1, 14))
    rows = [block for block in ALONE if block.page == DOCS / "points.md"]
    assert [len(block.steps()) for block in rows] == [1] * 13
    heads = [text.splitlines().index(line) for line in re.findall(r"^## \d+.*$", text, flags=re.M)]
    for block, head, following in zip(rows, heads, [*heads[1:], 10**9], strict=True):
        assert head < block.line <= following


def test_the_comparison_notices_a_lie() -> None:
    """A word, a figure or an id in another place is a difference; seconds and ids are not."""
    page = ROOT / "README.md"
    text = "$ run\nworth 10.00 CNY, app_0123456789abcdef01234567 in 3.1 s"
    block = Block(page, 1, "console", "fresh", False, text)
    same = "worth 10.00 CNY, app_ffffffffffffffffffffffff in 41.0 s"
    assert not differences(block, [same])
    assert differences(block, [same.replace("10.00", "10.01")])
    assert differences(block, [same.replace("worth", "cost")])
    measured = Block(page, 1, "console", "first", True, text.replace("10.00", "1000.00"))
    assert not differences(measured, [same.replace("10.00", "1003.00")])
    assert differences(measured, [same.replace("10.00", "1300.00")])


# -- figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_the_table_of_figures_is_the_committed_results(page: Path) -> None:
    """The table is made from benchmarks/results: ``python scripts/readme_figures.py``."""
    figures = script("readme_figures")
    text = page.read_text(encoding="utf-8")
    assert text == figures.with_table(text, RESULTS, "zh" if page == CHINESE else "en")


def test_both_readmes_say_the_same() -> None:
    """Chinese and English show the same commands, and the same numbers in what they print."""
    english, chinese = (
        [b for page in (name,) for b in console_blocks(page)] for name in (README, CHINESE)
    )
    assert [c for b in english for c in b[0]] == [c for b in chinese for c in b[0]]
    for (_, mine), (_, theirs) in zip(english, chinese, strict=True):
        assert numbers(mine) == numbers(theirs)


def console_blocks(page: Path) -> list[tuple[list[str], str]]:
    """Return each console block of a page: its commands but for the language, its output."""
    found = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    made = []
    for text in found:
        lines = [line for line in text.splitlines() if "JINQIAO_LANG" not in line]
        commands = [line.split("#")[0].strip() for line in lines if line.startswith("$ ")]
        made.append((commands, "\n".join(line for line in lines if not line.startswith("$ "))))
    return made


def numbers(text: str) -> list[str]:
    """Return the numbers of a text but for seconds, sorted: languages put them in other order."""
    text = re.sub(r"\d+(\.\d+)? ?(s\b|秒)", "", text)
    return sorted(re.findall(r"(?<![A-Za-z0-9_-])\d[\d,]*(?:\.\d+)?(?:e-\d+)?", text))


# -- pages and links --------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_inner_links_resolve(page: Path) -> None:
    """Every link names a file that is there, and a heading that is in it."""
    for target, path, heading in links(page):
        assert path is not None
        assert path.exists(), f"{page.name}: {target}"
        if heading:
            found = {slug(line) for line in path.read_text(encoding="utf-8").splitlines()}
            assert heading in found, f"{page.name}: {target}"


def slug(line: str) -> str:
    if not line.startswith("#"):
        return ""
    text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
    return text.replace(" ", "-")


def test_every_page_is_reachable_from_the_index() -> None:
    """Following links from docs/index.md finds every page of docs/."""
    seen: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        waiting += [path for _, path, _ in links(page) if path is not None and path.exists()]
    assert not set(DOCS.rglob("*.md")) - seen


def test_the_site_has_every_page() -> None:
    """The navigation of mkdocs.yml names every page of docs/, and no other."""
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(leaves(found["nav"]))
    assert named == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from leaves(value)
    elif isinstance(nav, list):
        for value in nav:
            yield from leaves(value)


def test_every_command_has_its_place_on_the_page_of_commands() -> None:
    """Each command of the program has a heading in docs/reference/cli.md, and none is made up."""
    from jinqiao.faces.cli import app
    from tests_faces import commands

    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    headed = set(re.findall(r"^## jinqiao (.*)$", page, flags=re.M))
    assert {" ".join(words) for words in commands(app)} == headed


def test_every_command_a_page_shows_exists() -> None:
    """No page shows a command that the program does not have."""
    from jinqiao.faces.cli import app
    from tests_faces import commands

    known = {" ".join(words) for words in commands(app)} | {""}
    nouns = {name.split()[0] for name in known if " " in name}
    for page in pages():
        text = "\n".join(re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.S))
        text += "\n".join(re.findall(r"`(jinqiao [^`\n]*)`", page.read_text()))
        for words in re.findall(r"\bjinqiao((?: [a-z][a-z-]*)*)", text):
            first, *more = [*words.split(), "", ""][:2]
            name = f"{first} {more[0]}".strip() if first in nouns else first
            shown = name in known or name in nouns
            assert shown, f"{page.name}: jinqiao {name}"


def test_no_file_names_a_path_of_a_machine() -> None:
    """No page, script, workflow or source says where somebody's checkout or home lies."""
    machine = re.compile(r"/(?:home|Users|root|work|mnt)/[A-Za-z]|[A-Z]:\\\\Users")
    wanted = ("*.md", "*.py", "*.toml", "*.yml", "*.yaml", "*.sh", "Makefile", "run")
    skipped = {".venv", ".git", "node_modules", "__pycache__", ".hypothesis"}
    skipped |= {".peers-venv", "out", "demo"}  # what benchmarks and the demonstration leave
    for pattern in wanted:
        for path in ROOT.rglob(pattern):
            if skipped & set(path.relative_to(ROOT).parts) or path == Path(__file__):
                continue
            found = machine.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"


def test_the_changelog_has_this_version() -> None:
    """CHANGELOG.md tells of the version that the package says it is."""
    import jinqiao

    assert f"## {jinqiao.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "dynamic" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert sys.version_info >= (3, 11)
