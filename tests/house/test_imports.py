"""The import contract holds, and refuses a breach on every floor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINT), "--config", str(root / "pyproject.toml"), "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("house")
    shutil.copytree(
        ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_the_contract_holds(copy: Path) -> None:
    """The package as it stands keeps every import contract."""
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


BREACHES = [
    ("match/planted.py", "import jinqiao.shelf"),
    ("shelf/planted.py", "from jinqiao.settlement import settle"),
    ("profile/planted.py", "import jinqiao.store.records"),
    ("catalog/planted.py", "import sqlalchemy"),
    ("faces/planted.py", "import jinqiao.catalog"),
    ("faces/planted.py", "import jinqiao.synthetic"),
    ("engines/planted.py", "import jinqiao.domain"),
    ("domain/planted.py", "import numpy"),
    ("domain/planted.py", "import jinqiao.engines"),
    ("store/planted.py", "import jinqiao.policy"),
    ("store/planted.py", "import jinqiao.engines"),
    ("policy/planted.py", "import jinqiao.engines"),
    ("synthetic/planted.py", "import jinqiao.match"),
    ("synthetic/planted.py", "import jinqiao.store.base"),
    ("flow/planted.py", "import jinqiao.synthetic.truth"),
    ("propensity/planted.py", "import jinqiao.synthetic"),
    ("errors.py", "import jinqiao.domain"),
]


@pytest.mark.parametrize(("place", "breach"), BREACHES)
def test_a_planted_breach_is_refused(copy: Path, place: str, breach: str) -> None:
    """An import across a floor or between rooms makes the contract fail."""
    path = copy / "src" / "jinqiao" / place
    before = path.read_text() if path.exists() else None
    path.write_text((before or "") + f"\n{breach}\n")
    try:
        result = lint(copy)
    finally:
        path.write_text(before) if before is not None else path.unlink()
    assert result.returncode != 0, f"{place}: {breach} was not refused"
    assert "BROKEN" in result.stdout
