"""The habits of the house: time and chance are handed down, names are kept, nothing is printed."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jinqiao
from jinqiao import errors

SRC = Path(jinqiao.__file__).parent
ROOMS = (
    "events", "ledger", "customer", "profile", "catalog", "propensity", "match", "shelf",
    "content", "conversion", "settlement", "insight",
)  # fmt: skip
PURE = (*ROOMS, "engines", "policy", "domain", "synthetic")
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time",
    "time.time_ns", "random.random", "random.randint", "random.choice", "random.shuffle",
    "random.seed", "random.sample", "np.random.seed", "np.random.rand", "np.random.randn",
    "np.random.random", "np.random.choice", "np.random.normal", "np.random.uniform",
    "np.random.randint", "np.random.shuffle", "np.random.permutation",
}  # fmt: skip


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from sorted((SRC / room).rglob("*.py"))


@pytest.mark.parametrize("room", PURE)
def test_time_and_chance_are_arguments(room: str) -> None:
    """No room, engine or market reads a clock or a global generator."""
    for path in sources(room):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                name = ".".join(ast.unparse(node).split(".")[-3:])
                assert not any(name == c or name.endswith("." + c) for c in CLOCKS), (
                    f"{path.name}:{node.lineno}: {name}"
                )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is(room: str) -> None:
    """A room's docstring says what comes in, goes out, always holds, and its source."""
    module = importlib.import_module(f"jinqiao.{room}")
    text = (module.__doc__ or "").lower()
    for word in ("in:", "out:", "always:", "from:"):
        assert word in text, f"{room}: no {word!r} line"
    assert module.__all__, f"{room}: no public names"
    for name in module.__all__:
        assert hasattr(module, name), f"{room}.{name} does not exist"


@pytest.mark.parametrize("room", ROOMS)
def test_public_verbs_are_documented(room: str) -> None:
    """Every public function and class of a room has a docstring of its own."""
    module = importlib.import_module(f"jinqiao.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if callable(thing) and getattr(thing, "__module__", "").startswith("jinqiao"):
            assert thing.__doc__, f"{room}.{name} has no docstring"


def test_importing_jinqiao_loads_nothing_heavy() -> None:
    """``import jinqiao`` opens nothing and loads no numeric library."""
    code = (
        "import sys, jinqiao; "
        "sys.exit(any(m in sys.modules for m in ('numpy','duckdb','lightgbm','sqlalchemy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_domain_needs_the_standard_library_only() -> None:
    """The words can be imported where nothing is installed."""
    code = (
        "import sys, pkgutil, importlib, jinqiao.domain as d\n"
        "for m in pkgutil.walk_packages(d.__path__, 'jinqiao.domain.'): "
        "importlib.import_module(m.name)\n"
        "outside = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "outside -= {'jinqiao', '__main__', '__mp_main__', 'sitecustomize', '_virtualenv'}\n"
        "outside = {m for m in outside if not m.startswith(('_', 'distutils'))}\n"
        "assert not outside, outside\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_error_tree_has_one_parent_and_distinct_codes() -> None:
    """Every error descends from JinqiaoError, is public, and has a code of its own."""
    tree = [getattr(errors, name) for name in errors.__all__]
    assert all(issubclass(error, errors.JinqiaoError) for error in tree)
    assert len({error.code for error in tree}) == len(tree)
    drawn = errors.__doc__ or ""
    assert all(error.__name__ in drawn for error in tree)


def test_no_error_is_raised_outside_the_tree() -> None:
    """No module defines an exception class that does not descend from JinqiaoError."""
    for module in pkgutil.walk_packages([str(SRC)], "jinqiao."):
        path = SRC.parent / (module.name.replace(".", "/") + ".py")
        if not path.exists() or path.name == "errors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = {ast.unparse(base) for base in node.bases}
                outside = bases & {"Exception", "ValueError", "RuntimeError", "BaseException"}
                assert not outside, f"{module.name}: {node.name}"


def test_modules_are_nouns() -> None:
    """No module is called utils, helper, manager or common."""
    for path in SRC.rglob("*.py"):
        assert not {"util", "utils", "helper", "helpers", "manager", "common"} & set(
            path.stem.split("_")
        ), path.name


def test_messages_speak_both_languages() -> None:
    """Every message has a Chinese and an English sentence with the same placeholders."""
    import string
    import tomllib

    for path in sorted((SRC / "domain" / "messages").glob("*.toml")):
        for code, texts in tomllib.loads(path.read_text(encoding="utf-8")).items():
            names = [
                {part[1] for part in string.Formatter().parse(texts[language]) if part[1]}
                for language in ("zh", "en")
            ]
            assert names[0] == names[1], f"{path.name}: {code}: {names}"


def test_one_of_a_thing_is_said_as_one() -> None:
    """English counts take an s but for one; a message says so by ``{name:of word}``."""
    from jinqiao.domain.messages import counted, render

    assert [counted(n, "unit") for n in (0, 1, 2, 1_000)] == [
        "0 units", "1 unit", "2 units", "1,000 units"
    ]  # fmt: skip
    assert render("page_report_days", "en", {"days": 1}) == "1 day"
    assert render("page_report_days", "zh", {"days": 1}) == "1 天"
