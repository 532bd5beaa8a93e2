"""Snapshots are whole, immutable, and swapped at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jinqiao.errors import Conflict, InputError, JinqiaoError, StoreError, Unavailable
from jinqiao.store.snapshot import DirectorySnapshots, open_snapshots


@pytest.fixture
def snapshots(tmp_path: Path) -> DirectorySnapshots:
    return open_snapshots(tmp_path / "snapshots")


def writing(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "matrix").mkdir()
        (folder / "matrix" / "profiles.bin").write_text(text)
        (folder / "matrix" / "manifest.json").write_text("{}")  # a file like any other
        (folder / "plan.json").write_text("[]")

    return write


def fine(_folder: Path) -> None:
    """Find no fault."""


def text_of(folder: Path | None) -> str:
    assert folder is not None
    return (folder / "matrix" / "profiles.bin").read_text()


def test_nothing_is_current_before_the_first(snapshots: DirectorySnapshots) -> None:
    """An empty store has no current snapshot, no version, and no folder."""
    assert snapshots.current() is None
    assert snapshots.current_version() is None
    assert snapshots.version("v1") is None
    assert snapshots.versions() == ()


def test_what_was_published_last_is_current(snapshots: DirectorySnapshots) -> None:
    """Publishing makes a version current and keeps the ones before it."""
    snapshots.publish("v1", writing("one"), fine)
    path = snapshots.publish("v2", writing("two"), fine)
    assert snapshots.current() == path
    assert text_of(path) == "two"
    assert text_of(snapshots.version("v1")) == "one"
    assert snapshots.make_current("v1") == snapshots.current()
    assert text_of(snapshots.current()) == "one"


def test_only_the_newest_are_kept_and_the_current_always(tmp_path: Path) -> None:
    """Older versions than ``keep`` are dropped."""
    snapshots = open_snapshots(tmp_path, keep=2)
    for number in range(4):
        snapshots.publish(f"v{number}", writing(str(number)), fine)
    assert snapshots.versions() == ("v2", "v3")
    snapshots.make_current("v2")
    snapshots.publish("v4", writing("4"), fine)
    assert snapshots.versions() == ("v3", "v4")
    assert snapshots.version("v0") is None
    assert [p.name for p in sorted(tmp_path.iterdir())] == [".lock", "current", "v3", "v4"]


@pytest.mark.parametrize("error", [InputError("a fault"), RuntimeError("a crash")])
def test_a_refused_snapshot_leaves_the_old_one(
    snapshots: DirectorySnapshots, error: Exception
) -> None:
    """When ``write`` or ``check`` raises, the old version stays current and no trace is left."""
    snapshots.publish("v1", writing("one"), fine)

    def refuse(_folder: Path) -> None:
        raise error

    for write, check in ((writing("two"), refuse), (refuse, fine)):
        with pytest.raises(type(error)):
            snapshots.publish("v2", write, check)
    assert text_of(snapshots.current()) == "one"
    assert snapshots.versions() == ("v1",)
    assert not list(snapshots.root.glob(".draft-*"))


def test_check_sees_the_sealed_directory(snapshots: DirectorySnapshots) -> None:
    """``check`` is called on the files as they will be served, and may not change them unseen."""

    def change(folder: Path) -> None:
        assert (folder / "manifest.json").exists()
        (folder / "plan.json").write_text("changed")

    snapshots.publish("v1", writing("one"), change)
    with pytest.raises(Unavailable, match=r"plan\.json"):
        snapshots.current()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "matrix" / "profiles.bin").write_text("onf"),
        lambda folder: (folder / "matrix" / "profiles.bin").write_text("on"),
        lambda folder: (folder / "plan.json").unlink(),
        lambda folder: (folder / "extra").write_text(""),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
)
def test_a_damaged_snapshot_is_refused(
    snapshots: DirectorySnapshots, damage: Callable[[Path], object]
) -> None:
    """A byte changed, a file cut, lost or added, and a broken manifest are each named."""
    folder = snapshots.publish("v1", writing("one"), fine)
    assert snapshots.current() == folder
    damage(folder)
    for ask in (snapshots.current, lambda: snapshots.version("v1")):
        with pytest.raises(Unavailable, match="v1"):
            ask()
    with pytest.raises(Unavailable):
        open_snapshots(snapshots.root).current()


def test_the_same_version_again_is_the_same_files(snapshots: DirectorySnapshots) -> None:
    """A version published twice with equal files is current; with other files it is refused."""
    snapshots.publish("v1", writing("one"), fine)
    snapshots.publish("v2", writing("two"), fine)
    snapshots.publish("v1", writing("one"), fine)
    assert snapshots.current_version() == "v1"
    with pytest.raises(Conflict, match="v2"):
        snapshots.publish("v2", writing("other"), fine)
    assert text_of(snapshots.version("v2")) == "two"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "current", ".draft", "x" * 200])
def test_a_version_is_a_plain_name(snapshots: DirectorySnapshots, name: str) -> None:
    """A version's name can lead nowhere outside the store."""
    with pytest.raises(StoreError):
        snapshots.publish(name, writing("one"), fine)
    with pytest.raises(JinqiaoError):
        snapshots.version(name)


WRITER = """
import sys
from pathlib import Path
from jinqiao.store.snapshot import open_snapshots
snapshots = open_snapshots(sys.argv[1])
for number in range(1000):
    def write(folder):
        for part in range(3):
            (folder / f"{part}.txt").write_text(str(number) * 1000)
    snapshots.publish(f"v{number}", write, lambda folder: None)
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 5, 12])
def test_a_kill_leaves_a_whole_snapshot_current(tmp_path: Path, lines: int) -> None:
    """After kill -9 the current snapshot is whole and no older than the last one acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    told = [writer.stdout.readline() for _ in range(lines)]
    writer.kill()
    told += [line for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    snapshots = open_snapshots(tmp_path)
    current = snapshots.current()
    assert current is not None
    assert int(current.name.removeprefix("v")) >= int(told[-1])
    assert len({path.read_text() for path in current.glob("*.txt")}) == 1
    snapshots.publish("after", writing("one"), fine)
    assert not list(tmp_path.glob(".draft-*"))
