"""Models by command: trained after a kill, compared, promoted, rolled back, watched for drift."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faces.test_cli import call, said
from jinqiao.errors import Unavailable
from jinqiao.flow import daily, model_record, models
from jinqiao.flow.live import open_live
from jinqiao.propensity import ChainSpec
from jinqiao.store.snapshot import MANIFEST
from tests_faces import Lived

KILLED = """
import sys, threading, time
from jinqiao.faces.cli import app
from jinqiao.propensity.unfinished import UnfinishedStages
keep, gate, count = UnfinishedStages.keep, threading.Lock(), [0]
def wait_after_two(self, model):
    with gate:
        if count[0] == 2:
            time.sleep(600)
        keep(self, model)
        count[0] += 1
        print(model.stage, flush=True)
UnfinishedStages.keep = wait_after_two
app(["model", "train", "--seed", "5", "-w", sys.argv[1]])
"""


@pytest.fixture
def own(lived: Lived, tmp_path: Path) -> Lived:
    """Return a copy of the lived workspace for one test."""
    root = tmp_path / "workspace"
    shutil.copytree(lived.root, root)
    return Lived(root, lived.logins, lived.consenting, lived.refusing, lived.traces)


def champion(market: Lived) -> str:
    return str(call(market, "model", "show")["model"]["model_id"])


def actions(market: Lived) -> list[tuple[str, str]]:
    decisions = call(market, "model", "list")["decisions"]
    return [(one["model_id"], one["action"]) for one in reversed(decisions)]


def test_a_killed_training_goes_on_to_the_very_same_model(own: Lived, tmp_path: Path) -> None:
    """Killed with two stages done, the command goes on with the others, bit for bit the same."""
    straight = Lived(tmp_path / "straight", (), (), ())
    shutil.copytree(own.root, straight.root)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(own.root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    done = {process.stdout.readline().strip() for _ in range(2)}
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = champion(own)
    run = json.loads((own.root / "models/.work/run.json").read_text())
    found = call(own, "model", "train", "--seed", "5")
    assert set(found["resumed"]) == done
    assert set(found["seconds"]) == {"click", "application", "approval", "activation"}
    assert list((own.root / "models/.work").iterdir()) == []
    with straight.engine() as engine:
        rows = daily.training_rows(engine, run["as_of_us"])
        assert rows is not None
        other = models.train_challenger(engine, rows, seed=5, actor="test")
    assert (other.model_id, other.resumed) == (found["model_id"], ())
    for folder in (own.root, straight.root):
        assert before in {path.name for path in (folder / "models").iterdir()}
    one, two = (
        (root / "models" / found["model_id"] / MANIFEST).read_bytes()
        for root in (own.root, straight.root)
    )
    assert one == two


def test_a_refused_challenger_does_not_serve(own: Lived) -> None:
    """A chain that learnt next to nothing is refused by name of the stage; what is published stays.

    It is promoted only by force, with the reason on record.
    """
    from dataclasses import replace

    call(own, "model", "rollback")
    before = champion(own)
    stages = {
        stage: replace(one, choice="linear", strength=1e-4)
        for stage, one in ChainSpec().stages.items()
    }
    with own.engine() as engine:
        rows = daily.training_rows(engine, engine.clock())
        assert rows is not None
        spec = ChainSpec(stages=stages)
        bad = models.train_challenger(engine, rows, seed=1, actor="test", spec=spec, margin=0.0)
        assert {one.verdict for one in bad.contest} & {"worse"}, bad.contest
        assert {one.margin for one in bad.contest} == {0.0}
        assert (bad.action, bad.champion_id) == ("refused", before)
        daily.daily(engine, seed=7, train=False)
        live = open_live(engine)
        assert live.model is not None
        assert live.model.version == before
    refused = call(own, "model", "promote", bad.model_id, code=2)
    assert "beyond the margin" in refused["detail"]
    assert call(own, "model", "promote", bad.model_id, "--force", code=2)["field"] == "reason"
    call(own, "model", "promote", bad.model_id, "--force", "--reason", "a drill")
    last = call(own, "model", "list")["decisions"][0]
    assert (last["action"], last["forced"], last["reason"]) == ("promoted", True, "a drill")
    assert last["comparison"]["champion"] == before


def test_a_rollback_serves_with_the_next_publish(own: Lived) -> None:
    """The former champion is published again, and a retrain does not undo that by itself."""
    newest, former = [one["model_id"] for one in call(own, "model", "list")["models"][:2]]
    assert champion(own) == newest
    found = call(own, "model", "rollback", "--reason", "refusals doubled")
    assert (found["gone"]["model_id"], found["champion"]["model_id"]) == (newest, former)
    assert call(own, "publish", "--seed", "3")["model"] == former
    told = actions(own)
    held = told[-1][0]
    assert told[-4:-2] == [(newest, "rolled_back"), (former, "restored")]
    assert told[-2:] == [(held, "registered"), (held, "held")]
    assert "promoted by itself" in said(own, "model", "list")
    with own.engine() as engine:
        live = open_live(engine)
        assert live.model is not None
        assert live.model.version == former
    assert call(own, "model", "promote", held)["status"] == "champion"
    assert call(own, "publish", "--seed", "3", "--no-train")["model"] == held


def test_damaged_files_never_serve(own: Lived) -> None:
    """A champion with one byte changed is refused, and so is promoting or restoring such a one."""
    newest, former = [one["model_id"] for one in call(own, "model", "list")["models"][:2]]
    path = own.root / "models" / former / "chain.json"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    assert call(own, "model", "rollback", code=14)["code"] == "unavailable"
    assert champion(own) == newest
    forced = ("--force", "--reason", "x")
    assert call(own, "model", "promote", former, *forced, code=14)["code"] == "unavailable"
    (own.root / "models" / newest / "click.txt").write_text("")
    with own.engine() as engine, pytest.raises(Unavailable):
        model_record.champion_chain(engine)


def test_the_card_is_made_from_the_record(market: Lived) -> None:
    """Data digest, seed, code, purposes, units, intervals and who promoted it stand on the page."""
    found = call(market, "model", "show")
    page = said(market, "model", "show")
    row, card = found["model"], found["card"]
    parts = [row["model_id"], row["data_sha256"], row["code_version"], f"seed {row['seed']}"]
    parts += [f"| {f['name']} | {f['unit'] or '–'} |" for f in card["features"]]
    parts += [one["reason"] for one in found["decisions"]]
    assert all(part in page for part in parts)
    assert {"personalise"} <= set(card["features"][0]["purposes"])
    for name, stage in card["stages"].items():
        assert f"## {name}" in page
        assert row["metrics"][name]["chosen"] == stage["chosen"]
    click = row["metrics"]["click"]
    assert click["log_loss_ci"][0] <= click["log_loss"] <= click["log_loss_ci"][1]
    assert call(market, "model", "show", "none", code=4)["code"] == "not_found"


def test_drift_is_told_by_day(market: Lived) -> None:
    """Each day of the log has its index, floor and count; days learnt from are no alarm."""
    former = call(market, "model", "list")["models"][1]["model_id"]
    found = call(market, "model", "drift", former, "--days", "9")
    assert len(found["days"]) == 9
    assert (found["moderate"], found["major"]) == (0.1, 0.25)
    served = {row["day"] for row in found["rows"] if row["kind"] == "score"}
    assert served == {one["day"] for one in found["days"] if not one["learnt"]}
    assert {row["name"] for row in found["rows"] if row["kind"] == "score"} == {
        "click", "application", "approval", "activation"
    }  # fmt: skip
    count = {one["day"]: one["customers"] for one in found["days"]}
    for row in found["rows"]:
        assert 0 < row["cases"] <= count[row["day"]]
        assert row["verdict"] in ("stable", "too_few", "moderate", "major")
    learnt = {one["day"] for one in found["days"] if one["learnt"]}
    assert not learnt & {alarm["day"] for alarm in found["alarms"]}
    assert "by chance" in said(market, "model", "drift", former)


def test_without_new_rows_a_challenger_waits(own: Lived) -> None:
    """Right after a training there is nothing to compare by: a second one does not serve.

    The same rows and seed once more find it on record; nothing is trained or decided.
    """
    before = champion(own)
    with own.engine() as engine:
        rows = daily.training_rows(engine, engine.clock())
        assert rows is not None
        one, again = (models.train_challenger(engine, rows, seed=2, actor="test") for _ in range(2))
    assert (one.action, one.champion_id) == ("held", before)
    assert again.known
    assert (again.model_id, again.action) == (one.model_id, one.action)
    assert len([name for name, _ in actions(own) if name == one.model_id]) == 2
    refused = call(own, "model", "promote", one.model_id, code=2)
    assert "too few rows" in refused["detail"]
