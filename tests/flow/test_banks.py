"""The Berka import: nothing bypassed, nothing known too early, the same by seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flow.small_bank import SmallBank, small_bank
from jinqiao import catalog
from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.flow.banks import berka
from jinqiao.flow.banks.evidence import Cases, Evidence, refuse_columns, training_table
from jinqiao.flow.banks.ledgers import read_bank
from jinqiao.flow.wiring import open_engine
from jinqiao.flow.workspace import Workspace, init_workspace

NOT_COMPARED = {"seconds", "workspace"}


def _run(tmp_path: Path, bank: SmallBank, name: str = "a", **more: Any) -> dict[str, Any]:
    data = bank.write(tmp_path / f"data_{name}")
    return berka.run(tmp_path / f"ws_{name}", data, repeats=1, **more)


def _figures(told: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in told.items() if k not in NOT_COMPARED}
    plain = json.loads(json.dumps(kept))
    plain["shelf"].pop("customer_id")
    return dict(plain)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[Any]]:
    root = tmp_path_factory.mktemp("berka")
    steps: list[tuple[str, float]] = []
    told = _run(root, small_bank(), progress=lambda step, share: steps.append((step, share)))
    return root, told, steps


def test_a_small_bank_goes_through_the_front_half(
    imported: tuple[Path, dict[str, Any], list[Any]],
) -> None:
    """Every row is counted, every figure has its interval, and the shelf is a real one in CZK."""
    _, told, steps = imported
    assert told["received"] == told["accepted"] + told["rejected"] + told["duplicate"]
    assert told["rejected"] == 0
    assert told["customers"] == 128
    assert told["bad_loan_rows"] == 64
    assert told["loan_rows"] == told["card_rows"] == told["insurance_rows"] == 64
    for name in ("bad_loan", "loan", "card", "insurance"):
        low, high = told[f"{name}_auc_ci"]
        assert low <= told[f"{name}_auc"] <= high
    assert told["bad_loan_auc"] > 0.7
    shelf = told["shelf"]
    assert shelf["currency"] == "CZK"
    assert shelf["personalised"]
    assert shelf["offers"]
    assert all(offer["reasons"] for offer in shelf["offers"])
    assert steps[0][1] == 0.0
    assert steps[-1] == ("done", 1.0)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)


def test_a_chance_is_claimed_only_where_it_was_learnt(
    imported: tuple[Path, dict[str, Any], list[Any]],
) -> None:
    """Loans and cards have a forecast, insurance a likeness that claims nothing, deposits none."""
    for offer in imported[1]["shelf"]["offers"]:
        if offer["product_class"] in ("loan", "credit_card"):
            assert 0 < offer["chance"] < 1
            assert offer["claim"]
        else:
            assert not offer["claim"]


def test_the_import_again_changes_nothing(
    imported: tuple[Path, dict[str, Any], list[Any]],
) -> None:
    """The same files into the same workspace: the counts and figures stay, no consent is new."""
    root, told, _ = imported
    again = berka.run(root / "ws_a", root / "data_a", repeats=1)
    changed = {k for k, v in _figures(told).items() if _figures(again)[k] != v}
    assert changed <= {"consents_written", "accepted", "duplicate"}
    assert again["consents_written"] == 0
    assert again["transactions"] == told["transactions"]


def test_consents_are_visible_and_the_catalogue_is_in_force(
    imported: tuple[Path, dict[str, Any], list[Any]],
) -> None:
    """Each owner has a grant of the exact text for each purpose used, of channel import."""
    engine = open_engine(workspace=Workspace(imported[0] / "ws_a"))
    with engine, engine.records.reading() as tx:
        rows = tx.find("consents")
        assert len(catalog.load(tx).institutions) == 3
    assert len(rows) == 2 * 128
    assert {row["channel"] for row in rows} == {"import"}
    assert {row["purpose"] for row in rows} == {"personalise", "credit_decision"}
    assert all(row["text_version"] for row in rows)


def test_rows_on_or_after_the_loan_change_no_figure(
    imported: tuple[Path, dict[str, Any], list[Any]], tmp_path: Path
) -> None:
    """Overdrafts on the very day of each bad loan, and later, would tell all: nothing sees them."""
    bank = small_bank()
    for loan in [row for row in bank.tables["loan"] if row[6] == "B"]:
        bank.move(loan[1], loan[2], -90_000.0, -90_000.0, "SANKC. UROK")
        bank.move(loan[1], loan[2] + 10, -1.0, -90_001.0, "SANKC. UROK")
    leaky, plain = _run(tmp_path, bank), imported[1]
    assert leaky["transactions"] > plain["transactions"]
    for name in ("bad_loan_auc", "bad_loan_auc_logistic", "loan_auc", "insurance_auc"):
        assert leaky[name] == plain[name]


def test_refused_rows_are_kept_and_listed(tmp_path: Path) -> None:
    """An unknown code, a missing amount and a day that is none are refused by intake, each named;
    all other rows go on."""
    bank = small_bank()
    rows = bank.tables["trans"]
    rows.append((9001, 3, 940102, "PRIJEM", "NEZNAMY", 10.0, 10.0, "", "", ""))
    rows.append((9002, 3, 940102, "PRIJEM", "VKLAD", "", 10.0, "", "", ""))
    rows.append((9003, 3, 941332, "PRIJEM", "VKLAD", 5.0, 10.0, "", "", ""))
    told = _run(tmp_path, bank)
    assert told["rejected"] == 3
    assert told["received"] == len(rows) == told["accepted"] + 3
    assert {fault["field"] for fault in told["rejected_rows"]} == {
        "category", "amount_minor", "occurred_at",
    }  # fmt: skip


def test_the_same_seed_gives_the_same_figures(
    imported: tuple[Path, dict[str, Any], list[Any]], tmp_path: Path
) -> None:
    """In a fresh workspace, with other random ids, every figure and the shelf are equal."""
    assert _figures(_run(tmp_path, small_bank())) == _figures(imported[1])


def test_a_marketplace_of_another_money_is_left_alone(tmp_path: Path) -> None:
    """Imported into a CNY workspace, crowns go to a workspace of their own inside it."""
    init_workspace(tmp_path / "ws")
    data = small_bank().write(tmp_path / "data")
    with open_engine(workspace=Workspace(tmp_path / "ws")) as engine:
        told = berka.run(engine, data, repeats=1)
        left = engine.lake.query("select count(*) as n from transactions")["n"][0].as_py()
    assert Path(told["workspace"]) == (tmp_path / "ws" / "berka").resolve()
    assert left == 0


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """No folder, no table, no column, a status nobody documented: each error says which."""
    with pytest.raises(NotFound, match="no such folder"):
        read_bank(tmp_path / "nowhere")
    with pytest.raises(NotFound, match=r"loan\.parquet or loan\.asc"):
        read_bank(small_bank().write(tmp_path / "one", leave_out=("loan",)))
    bank = small_bank()
    bank.tables["loan"][0] = (*bank.tables["loan"][0][:6], "E")
    with pytest.raises(SchemaError, match="status"):
        read_bank(bank.write(tmp_path / "two"))
    folder = small_bank().write(tmp_path / "three")
    text = (folder / "disp.asc").read_text(encoding="latin-1")
    (folder / "disp.asc").write_text(text.replace("client_id", "person"), encoding="latin-1")
    with pytest.raises(SchemaError, match="client_id"):
        read_bank(folder)


def _cases() -> Cases:
    return Cases(np.array([1, 2]), np.array([0, 1]), np.array([10 * DAY_US, 20 * DAY_US]))


def _evidence(source: str, name: str, newest: list[int] | None) -> Evidence:
    table = pa.table({"account_id": [1, 2], name: [0.5, 0.7]})
    return Evidence(source, table, None if newest is None else np.array(newest))


def test_planted_leaks_are_refused() -> None:
    """Standing orders, the loan's own end, rows of its day or later, values of unknown age."""
    good = _evidence("trans", "balance", [10 * DAY_US - 1, 20 * DAY_US - 1])
    assert training_table(_cases(), [good], target="bad").column_names == ["balance", "bad"]
    leaks = [
        (_evidence("order", "amount", [0, 0]), "has no date"),
        (_evidence("loan", "status", [0, 0]), "the outcome itself"),
        (_evidence("loan", "status", None), "the outcome itself"),
        (_evidence("trans", "balance_after", [10 * DAY_US - 1, 20 * DAY_US]), "1970-01-21"),
        (_evidence("trans", "balance_after", [11 * DAY_US, 0]), "account 1"),
        (_evidence("district", "unemployment_96", None), "when it was known"),
    ]
    for leak, said in leaks:
        with pytest.raises(InputError, match=said):
            training_table(_cases(), [good, leak], target="bad")
    asked = _evidence("loan", "amount", None)
    assert "amount" in training_table(_cases(), [good, asked], target="bad").column_names
    with pytest.raises(InputError, match="duration"):
        refuse_columns("bank_marketing", ["age", "duration"])
    with pytest.raises(InputError, match="two columns"):
        training_table(_cases(), [good, good], target="bad")
    one = Evidence("trans", pa.table({"account_id": [1], "x": [1.0]}), np.array([0]))
    with pytest.raises(NotFound, match="account 2"):
        training_table(_cases(), [one], target="bad")


CZECH = {
    "type": {"credit": "PRIJEM", "withdrawal": "VYDAJ", "withdrawal in cash": "VYBER"},
    "operation": {
        "credit in cash": "VKLAD", "collection from another bank": "PREVOD Z UCTU",
        "withdrawal in cash": "VYBER", "credit card withdrawal": "VYBER KARTOU",
        "remittance to another bank": "PREVOD NA UCET",
    },
    "k_symbol": {
        "interest credited": "UROK", "old-age pension": "DUCHOD", "household payment": "SIPO",
        "insurance payment": "POJISTNE", "loan payment": "UVER", "sanction interest": "SANKC. UROK",
        "payment for statement": "SLUZBY",
    },
}  # fmt: skip


def _yymmdd(day: Any) -> str:
    return f"{day:%y%m%d}"


def _write_asc(source: Path, folder: Path) -> Path:
    """Write the public .asc form of Parquet tables: Czech codes, yymmdd, birth numbers."""
    folder.mkdir()
    for path in source.glob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            if path.stem == "trans":
                row.pop("part")
                for name, words in CZECH.items():
                    row[name] = words.get(row[name], row[name] or "")
                row["bank"] = row.pop("partner_bank") or ""
                row["account"] = row.pop("partner_account") or ""
            if path.stem == "client":
                day, woman = row.pop("birth_date"), row.pop("gender") == "F"
                row["birth_number"] = f"{day:%y}{day.month + 50 * woman:02d}{day:%d}"
            row.pop("has_full_history", None)
            for name in ("date", "issued"):
                if name in row:
                    row[name] = _yymmdd(row[name]) + (" 00:00:00" if name == "issued" else "")
        lines = [";".join(f'"{name}"' for name in rows[0])]
        lines += [
            ";".join(f'"{v}"' if isinstance(v, str) and not v.isdigit() else str(v)
                     for v in row.values()) for row in rows
        ]  # fmt: skip
        (folder / f"{path.stem}.asc").write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder


@pytest.mark.data
def test_the_public_files_say_what_the_tables_say(data_dir: Path, tmp_path: Path) -> None:
    """Real tables written as .asc with Czech codes are read as the same bank, row by row."""
    from jinqiao.ledger import berka_transactions, split_berka

    one, two = (
        read_bank(folder)
        for folder in (data_dir / "berka", _write_asc(data_dir / "berka", tmp_path / "asc"))
    )
    assert one.owner == two.owner
    assert one.birth_year == two.birth_year
    assert one.opened_us == two.opened_us
    assert one.card_us == two.card_us
    assert one.loans.asked.equals(two.loans.asked)
    assert (one.loans.bad == two.loans.bad).all()
    assert (one.loans.day_us == two.loans.day_us).all()
    rows = []
    for bank in (one, two):
        good, faulty = split_berka(bank.trans)
        assert faulty.num_rows == 0
        rows.append(berka_transactions(good, digest=lambda text: text.replace(" ", "_")))
    assert rows[0].equals(rows[1])


@pytest.mark.data
@pytest.mark.slow
def test_the_real_bank(data_dir: Path, tmp_path: Path) -> None:
    """All rows in, the cases as documented, and bad loans told at .933 or better, with a plain
    logistic regression in the same folds behind."""
    told = berka.run(tmp_path / "ws", data_dir / "berka")
    assert told["received"] == told["accepted"] == 79_302
    assert told["customers"] == 4_500
    assert (told["bad_loan_rows"], told["bad_loan_yes"]) == (354, 30)
    assert (told["loan_rows"], told["loan_yes"]) == (1_229, 122)
    assert (told["card_rows"], told["card_yes"]) == (1_229, 229)
    assert told["bad_loan_auc"] >= 0.933
    assert told["bad_loan_auc_gain"] > 0
    assert len({offer["product_class"] for offer in told["shelf"]["offers"]}) >= 3
