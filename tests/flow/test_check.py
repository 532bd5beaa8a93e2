"""``check`` names every fault of a workspace's files."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jinqiao.errors import NotFound
from jinqiao.flow.check import check
from jinqiao.flow.workspace import Workspace, init_workspace

ON = date(2026, 11, 5)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "mine")


def faults_of(workspace: Workspace) -> dict[str, str]:
    """Return path → message of every fault."""
    return {fault.path: fault.message for fault in check(workspace, on=ON).faults}


def test_a_fresh_workspace_is_sound(workspace: Workspace) -> None:
    """The samples have no fault, and what was looked at is counted."""
    report = check(workspace, on=ON)
    assert report.sound
    assert (report.institutions, report.products, report.jurisdictions) == (4, 10, 2)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("slots = 4", "slots = 99", "shelf.slots"),
        ("port = 8765", 'port = "door"', "serve.port"),
        ('jurisdiction = "CN"', 'jurisdiction = "XX"', "marketplace.jurisdiction"),
        ('currency = "CNY"', 'currency = "XYZ"', "marketplace.currency"),
        ('zone = "Asia/Shanghai"', 'zone = "Moon/Sea"', "marketplace.zone"),
        ("[plan]", "[plans]", "plans"),
        ("slots = 4", "slotz = 4", "shelf.slotz"),
    ],
)
def test_settings_are_named_by_line_and_field(
    workspace: Workspace, old: str, new: str, path: str
) -> None:
    """A wrong setting is found where it is written."""
    file = workspace.settings_file
    file.write_text(file.read_text().replace(old, new, 1))
    faults = check(workspace, on=ON).faults
    fault = next(one for one in faults if one.path == path)
    assert fault.file == "jinqiao.toml"
    assert file.read_text().splitlines()[fault.line - 1].lstrip().startswith(new.split(" ")[0])


def test_all_settings_faults_come_at_once(workspace: Workspace) -> None:
    """Two wrong settings are two faults."""
    file = workspace.settings_file
    text = file.read_text().replace("slots = 4", "slots = 99").replace("beta = 1.0", "beta = 99.0")
    file.write_text(text)
    assert {"shelf.slots", "plan.beta"} <= set(faults_of(workspace))


def test_a_settings_file_that_is_no_toml_is_one_fault(workspace: Workspace) -> None:
    """Damaged TOML does not hide the faults of the other files."""
    workspace.settings_file.write_text("[[[")
    bank = workspace.institutions / "qinghe_bank.yaml"
    bank.write_text(bank.read_text().replace("licence: bank", "licence: circus"))
    found = check(workspace, on=ON).faults
    assert {fault.file for fault in found} == {"jinqiao.toml", "qinghe_bank.yaml"}


def test_institutions_jurisdictions_and_pieces_are_looked_at(workspace: Workspace) -> None:
    """A fault in any of the folders is named with its file."""
    (workspace.institutions / "bad.yaml").write_text("institution_id: [")
    (workspace.jurisdictions / "XX.yaml").write_text("code: XX\n")
    (workspace.content / "piece.toml").write_text('content_id = "a"\n')
    files = {fault.file for fault in check(workspace, on=ON).faults}
    assert {"bad.yaml", "XX.yaml", "piece.toml"} <= files


def test_a_missing_folder_is_not_found(workspace: Workspace) -> None:
    """A workspace without its folders is no workspace."""
    for path in workspace.institutions.iterdir():
        path.unlink()
    workspace.institutions.rmdir()
    with pytest.raises(NotFound, match="missing"):
        check(workspace, on=ON)
