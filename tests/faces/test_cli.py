"""The command line, over a workspace in which a small market lived."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jinqiao.faces.cli import app
from tests_faces import Lived, commands

RUN = CliRunner()


def call(market: Lived, *words: str, code: int = 0) -> Any:
    """Run a command with --json on the market's workspace and return what it printed."""
    result = plainly("--workspace", str(market.root), "--json", words=words)
    assert result.exit_code == code, result.output + result.stderr
    return json.loads(result.stdout) if code == 0 else json.loads(result.stderr)["error"]


def plainly(*options: str, words: tuple[str, ...]) -> Result:
    return RUN.invoke(app, [*words, *options])


def said(market: Lived, *words: str, language: str = "en") -> str:
    result = plainly("-w", str(market.root), "--lang", language, words=words)
    assert result.exit_code == 0, result.output + result.stderr
    return result.stdout


# -- first steps ------------------------------------------------------------------------------


def test_from_an_empty_folder_to_a_snapshot(tmp_path: Path) -> None:
    """init, check, catalog apply and publish, one after another, end in a snapshot."""
    root = str(tmp_path / "mine")
    for words in (("init", root), ("check",), ("catalog", "apply"), ("publish",)):
        more = () if words[0] == "init" else ("-w", root)
        result = RUN.invoke(app, [*words, *more])
        assert result.exit_code == 0, result.output + result.stderr
    again = RUN.invoke(app, ["catalog", "apply", "-w", root, "--json"])
    assert json.loads(again.stdout) == {"changed": []}
    assert (tmp_path / "mine/snapshots/current").is_file()


def test_check_names_file_line_field_and_fix(tmp_path: Path) -> None:
    """Each fault of a workspace comes with its place and its fix, and the exit code says so."""
    root = tmp_path / "mine"
    assert RUN.invoke(app, ["init", str(root)]).exit_code == 0
    settings = root / "jinqiao.toml"
    settings.write_text(settings.read_text().replace("slots = 4", "slots = 99"))
    bank = root / "institutions/qinghe_bank.yaml"
    bank.write_text(bank.read_text().replace("licence: bank", "licence: circus"))
    result = RUN.invoke(app, ["check", "-w", str(root), "--json"])
    assert result.exit_code == 3
    faults = json.loads(result.stdout)["faults"]
    by_file = {fault["file"]: fault for fault in faults}
    assert by_file["jinqiao.toml"]["path"] == "shelf.slots"
    assert by_file["jinqiao.toml"]["line"] > 0
    assert by_file["qinghe_bank.yaml"]["path"] == "licence"
    assert by_file["qinghe_bank.yaml"]["line"] > 0
    assert by_file["qinghe_bank.yaml"]["fix"]
    text = RUN.invoke(app, ["check", "-w", str(root)]).stdout
    assert "qinghe_bank.yaml:" in text


def test_an_error_is_one_line_with_its_exit_code(tmp_path: Path) -> None:
    """No workspace: one line on stderr, no traceback, the code of the table."""
    result = RUN.invoke(app, ["publish", "-w", str(tmp_path)])
    assert result.exit_code == 4
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert "jinqiao init" in result.stderr
    debugged = RUN.invoke(app, ["publish", "-w", str(tmp_path), "--debug"])
    assert "Traceback" in debugged.stderr


def test_the_help_is_quick_to_load() -> None:
    """``jinqiao --help`` loads no numeric library, no database and no web server."""
    code = (
        "import sys, jinqiao.faces.cli\n"
        "heavy = {'numpy','pyarrow','duckdb','lightgbm','sqlalchemy','fastapi','pydantic'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_completion_is_offered() -> None:
    """The shell completion of typer is there."""
    shown = RUN.invoke(app, ["--help"]).stdout
    assert "--install-completion" in shown
    environ = {**os.environ, "_JINQIAO_COMPLETE": "complete_bash", "COMP_WORDS": "jinqiao pro",
               "COMP_CWORD": "1"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "jinqiao.faces.cli"], env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "product" in done.stdout


@pytest.mark.parametrize("path", list(commands(app)), ids=" ".join)
def test_every_command_has_help_and_the_common_options(path: tuple[str, ...]) -> None:
    """Each command says what it does and takes --workspace, --json, --lang and --debug."""
    shown = RUN.invoke(app, [*path, "--help"], env={"COLUMNS": "200"}).stdout
    for option in ("--workspace", "--json", "--lang", "--debug"):
        assert option in shown


def test_doctor_finds_nothing_wrong_and_says_what_is(market: Lived, tmp_path: Path) -> None:
    """On a whole workspace no fault; a key others may read is one, with its fix."""
    found = call(market, "doctor")["findings"]
    assert not [one for one in found if one["state"] == "fault"]
    names = {one["name"] for one in found}
    assert {"python", "packages", "numba cache", "records", "snapshot", "disk", "port"} <= names
    root = tmp_path / "mine"
    assert RUN.invoke(app, ["init", str(root)]).exit_code == 0
    (root / "keys/click.key").chmod(0o644)
    result = RUN.invoke(app, ["doctor", "-w", str(root), "--json"])
    assert result.exit_code == 1
    fault = next(f for f in json.loads(result.stdout)["findings"] if f["name"] == "click key")
    assert fault["state"] == "fault"
    assert "chmod 600" in fault["fix"]


# -- catalog ----------------------------------------------------------------------------------


def test_products_are_listed_shown_stopped_and_resumed(market: Lived) -> None:
    """A product can be looked at, taken off, and put back; twice changes nothing."""
    products = call(market, "product", "list")["products"]
    assert len(products) == 20
    name = products[0]["product_id"]
    shown = call(market, "product", "show", name)
    assert shown["cost"]["amount_minor"] > 0
    assert shown["limits"]
    assert name in said(market, "product", "show", name)
    assert call(market, "product", "stop", name)["changed"] is True
    assert call(market, "product", "stop", name)["changed"] is False
    assert call(market, "product", "show", name)["stopped"] is True
    assert call(market, "product", "resume", name)["changed"] is True
    assert call(market, "product", "show", "none", code=4)["code"] == "not_found"


def test_catalog_limits_and_content_are_listed(market: Lived) -> None:
    """Institutions, their versions, limits and pieces are listed; a piece can be approved."""
    institutions = call(market, "catalog", "list")["institutions"]
    house = institutions[0]["institution_id"]
    assert call(market, "catalog", "history", house)["versions"][0]["version"] == 1
    limits = call(market, "limit", "list", "--institution", house)["limits"]
    assert all(row["institution_id"] == house for row in limits)
    assert all(row["left"] >= 0 for row in limits)
    assert all(row["over"] >= 1 for row in call(market, "limit", "list", "--over")["limits"])
    piece = call(market, "content", "list")["pieces"][0]["content_id"]
    done = call(market, "content", "approve", piece, "--institution", house)
    assert done["approved"] is True
    listed = call(market, "content", "list")["pieces"][0]
    assert listed["approved_by"] == [house]


def test_features_tags_and_audiences(market: Lived) -> None:
    """The dictionary is told in both languages; a saved rule has a live count."""
    assert len(call(market, "feature", "list")["features"]) >= 40
    assert call(market, "feature", "show", "age")["name"] == "age"
    assert said(market, "feature", "show", "age") != said(
        market, "feature", "show", "age", language="zh"
    )
    assert call(market, "feature", "show", "agee", code=4)["record"] == "agee"
    tags = call(market, "tag", "list")["tags"]
    assert tags
    assert all(isinstance(tag["count"], int) for tag in tags)
    saved = call(market, "audience", "add", "grown_up", "age >= 30", "--zh", "三十以上")
    assert saved["version"] == 1
    count = call(market, "audience", "count", "grown_up")
    assert 0 < count["count"] <= count["customers"]
    assert call(market, "audience", "list")["audiences"][0]["count"] == count["count"]
    assert call(market, "tag", "add", "bad", "agee >= 3", code=3)["code"] == "schema"


# -- customers --------------------------------------------------------------------------------


def test_a_customer_is_shown_exported_and_erased(market: Lived, tmp_path: Path) -> None:
    """What is kept of a customer is told; after erasing nothing finds them again."""
    login = market.consenting[0]
    shown = call(market, "customer", "show", login)
    assert shown["profile"]["customer_id"] == shown["customer_id"]
    assert call(market, "customer", "show", shown["customer_id"]) == shown
    file = tmp_path / "out.json"
    call(market, "customer", "export", login, "--to", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = json.loads(file.read_text())
    assert {"kind": "login", "value": login} in kept["identifiers"]
    assert kept["lake"]["transactions"]
    assert call(market, "customer", "erase", login, code=2)["fix"] == "say --yes"
    assert call(market, "customer", "erase", login, "--yes")["identifiers"] > 0
    assert call(market, "customer", "show", login, code=4)["code"] == "not_found"


def test_customers_merge_and_unmerge(market: Lived) -> None:
    """A merge by hand joins two customers until it is undone."""
    one, other = market.consenting[1], market.consenting[2]
    merge_id = call(market, "customer", "merge", one, other)["merge_id"]
    ids = {call(market, "customer", "show", name)["customer_id"] for name in (one, other)}
    assert len(ids) == 1
    assert call(market, "customer", "unmerge", merge_id)["changed"] is True
    assert call(market, "customer", "unmerge", merge_id)["changed"] is False
    ids = {call(market, "customer", "show", name)["customer_id"] for name in (one, other)}
    assert len(ids) == 2


def test_consent_is_granted_and_withdrawn(market: Lived) -> None:
    """A grant and a withdrawal are told back with the version of the words."""
    login = market.refusing[0]
    made = call(market, "consent", "grant", login, "personalise")
    assert made["text_version"].startswith("personalise@")
    assert _granted(market, login)
    call(market, "consent", "withdraw", login, "personalise")
    assert not _granted(market, login)
    assert call(market, "consent", "grant", login, "everything", code=2)["field"] == "purpose"
    assert {"zh", "en"} <= set(call(market, "consent", "texts")["texts"][0])


def _granted(market: Lived, login: str) -> bool:
    rows = call(market, "consent", "show", login)["consents"]
    return bool(next(row for row in rows if row["purpose"] == "personalise")["granted"])


# -- intake -----------------------------------------------------------------------------------


def test_rows_are_counted_refused_mended_and_replayed(market: Lived, tmp_path: Path) -> None:
    """received = accepted + rejected + duplicate; a refused row, mended, is accepted."""
    login = market.consenting[3]
    good = {"attribute_id": "a-1", "user_id": login, "attribute": "birth_year", "number": 1990.0,
            "occurred_at": "2025-01-01T00:00:00Z"}  # fmt: skip
    bad = good | {"attribute_id": "a-2", "occurred_at": "yesterday"}
    file = tmp_path / "some.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in (good, good, bad)))
    got = call(market, "import", "attributes", str(file))
    counts = [got[name] for name in ("received", "accepted", "rejected", "duplicate")]
    assert counts == [3, 1, 1, 1]
    row = next(r for r in call(market, "rejects", "list")["rejects"] if r["source"] == file.name)
    shown = call(market, "rejects", "show", row["reject_id"])
    assert shown["body"]["attribute_id"] == "a-2"
    assert shown["why"]["zh"]
    assert shown["why"]["en"]
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps({row["reject_id"]: bad | {"occurred_at": good["occurred_at"]}}))
    assert call(market, "rejects", "replay", "--fixed", str(mended))["rows"]["accepted"] == 1


def test_consents_and_reports_come_as_files(market: Lived, tmp_path: Path) -> None:
    """Grants and institutions' reports are taken in bulk; what cannot be read is named."""
    consents = tmp_path / "consents.csv"
    consents.write_text(
        "user_id,purpose,action,occurred_at\n"
        f"{market.refusing[1]},contact,grant,2025-04-01T00:00:00Z\n"
        f"{market.refusing[1]},nothing,grant,2025-04-01T00:00:00Z\n"
    )
    got = call(market, "import", "consents", str(consents))
    assert (got["accepted"], got["rejected"]) == (1, 1)
    assert got["faults"][0]["field"] == "purpose"
    reports = tmp_path / "reports.ndjson"
    reports.write_text(
        json.dumps({"report_id": "r", "institution_id": "x", "click_id": "clk_none",
                    "stage": "application", "occurred_at": "2025-04-01T00:00:00Z"})
        + "\n" + json.dumps({"report_id": "r2"}) + "\n"
    )  # fmt: skip
    got = call(market, "import", "postbacks", str(reports))
    assert (got["received"], got["accepted"], got["rejected"]) == (2, 0, 2)


STATEMENT = """:20:STMT1
:25:1/2
:60F:C250131EUR1000,
:61:2502030203D12,50NTRFNONREF//B1
:61:2502040204C2500,00NTRFNONREF//B2
:61:badline
:62F:C250228EUR3486,50
"""


def test_a_bill_is_imported_once(market: Lived, tmp_path: Path) -> None:
    """An exported bill becomes transactions; the same bill again adds none."""
    bill = tmp_path / "notabill.csv"
    bill.write_text("a,b\n1,2\n")
    assert call(market, "import", "bill", str(bill), "--user", market.logins[0], code=3)["fix"]
    assert call(market, "import", "events", str(tmp_path / "none.ndjson"), code=2)
    who = ("--user", market.logins[0], "--zone", "Europe/Berlin")
    statement = tmp_path / "statement"
    statement.write_text(STATEMENT)
    got = call(market, "import", "bill", str(statement), *who)
    assert (got["kind"], got["received"], got["accepted"], got["rejected"]) == ("mt940", 3, 2, 1)
    assert got["faults"][0]["code"] == "ledger_bad_line"
    assert (got["balances"][0]["agrees"], got["balances"][0]["difference_minor"]) == (False, -100)
    later = tmp_path / "later.sta"
    later.write_text(STATEMENT.replace("STMT1", "STMT2").replace("badline", "2502060206C7,"))
    got = call(market, "import", "bill", str(later), *who)
    assert (got["accepted"], got["duplicate"], got["rejected"]) == (1, 2, 0)
    old = tmp_path / "old.qif"
    old.write_text("!Type:Bank\nD2/3/2025\nT-5.00\n^\n")
    assert "--day-first" in call(market, "import", "bill", str(old), *who, code=3)["fix"]
    got = call(market, "import", "bill", str(old), *who, "--day-first", "--currency", "EUR")
    assert (got["kind"], got["accepted"]) == ("qif", 1)
    assert call(market, "import", "bill", str(old), *who, "--currency", "XYZ", code=2)["field"]


# -- decisions, plan, model, money ------------------------------------------------------------


def test_a_decision_is_told_whole(market: Lived) -> None:
    """A clicked trace is told from eligibility to what became of it, in both languages."""
    trace = market.traces[0]
    story = call(market, "decision", "explain", trace)
    assert story["trace_id"] == trace
    steps = [step["step"] for step in story["offers"][0]["steps"]]
    assert steps == ["eligibility", "suitability", "propensity", "price", "rank", "quota"]
    outcomes = [r["code"] for offer in story["offers"] for r in offer["outcome"]]
    assert "explain_clicked" in outcomes
    assert "准入" in said(market, "decision", "explain", trace, language="zh")
    assert "eligibility" in said(market, "decision", "explain", trace)
    assert call(market, "decision", "explain", "shf_none", code=4)["code"] == "not_found"


def test_plan_and_model_are_shown(market: Lived) -> None:
    """The plan's certificate, the prices of limits and the model card are told."""
    plan = call(market, "plan", "show")
    assert plan["violation_max"] <= 1e-9
    assert plan["gap"] >= 0
    assert call(market, "plan", "prices")["limits"]
    assert call(market, "model", "show")["card"]["stages"]
    assert "Model card" in said(market, "model", "show")


def test_books_are_closed_and_a_statement_reconciles(market: Lived, tmp_path: Path) -> None:
    """A statement exported agrees with itself; a changed amount is found, with exit code 8."""
    call(market, "settlement", "close")
    state = call(market, "settlement", "show")
    assert state["journal_sum_minor"] == 0
    house = next(row for row in state["owed"] if row["owed_minor"])["institution_id"]
    month = next(m for m in ("2025-03", "2025-04") if _lines(market, house, m))
    file = tmp_path / "theirs.csv"
    call(market, "statement", "export", house, month, "--to", str(file))
    assert call(market, "statement", "reconcile", house, month, str(file))["differences"] == []
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    result = plainly(
        "-w", str(market.root), words=("statement", "reconcile", house, month, str(file))
    )
    assert result.exit_code == 8
    issued = call(market, "statement", "issue", house, month)
    assert issued["version"] == 1
    assert call(market, "statement", "list", house)["statements"][0]["digest"] == issued["digest"]
    again = call(market, "statement", "show", house, month, "--version", "1")
    assert again["digest"] == issued["digest"]


def _lines(market: Lived, house: str, month: str) -> int:
    return len(call(market, "statement", "show", house, month)["lines"])


def test_applications_are_listed_by_page_and_shown(market: Lived) -> None:
    """Pages of an institution's applications do not overlap; one is shown with its reports."""
    house = call(market, "catalog", "list")["institutions"][0]["institution_id"]
    first = call(market, "application", "list", "--institution", house, "--limit", "2")
    assert len(first["applications"]) == 2
    after = call(
        market, "application", "list", "--institution", house, "--limit", "2",
        "--cursor", first["next_cursor"],
    )  # fmt: skip
    ids = [one["application_id"] for one in first["applications"] + after["applications"]]
    assert len(set(ids)) == len(ids)
    shown = call(market, "application", "show", ids[0])
    assert shown["institution_id"] == house
    assert call(market, "application", "list", code=4)["code"] == "not_found"


def test_keys_are_made_once_and_end(market: Lived) -> None:
    """A key is shown once; lists never hold it; rotation and revocation end it."""
    made = call(market, "key", "create", "operator", "--label", "desk")
    listed = call(market, "key", "list")
    assert made["secret"] not in json.dumps(listed)
    fresh = call(market, "key", "rotate", made["key_id"], "--overlap-hours", "0")
    assert fresh["secret"] != made["secret"]
    call(market, "key", "revoke", fresh["key_id"])
    row = next(k for k in call(market, "key", "list")["keys"] if k["key_id"] == fresh["key_id"])
    assert row["revoked_at"]
    assert call(market, "key", "create", "king", code=2)["field"] == "role"
    assert call(market, "key", "create", "institution", "--institution", "no", code=4)


def test_a_session_link_is_made(market: Lived) -> None:
    """An operator makes a sign-in link for a login; the token stands in it."""
    made = call(market, "session", "create", market.logins[5], "--hours", "1")
    assert made["link"].endswith(made["token"])
    assert made["expires_in_s"] == 3600


def test_the_report_speaks_both_languages(market: Lived) -> None:
    """Eighteen indicators, as JSON and as a table."""
    found = call(market, "report")["indicators"]
    assert len(found) == 18
    assert said(market, "report") != said(market, "report", language="zh")
    told = call(market, "report", "--calibration")["calibration"]
    assert told["whole"]["click"]["noise"] > 0
    assert len(told["shown"]) == 4
    assert "noise floor" in said(market, "report", "--calibration")
