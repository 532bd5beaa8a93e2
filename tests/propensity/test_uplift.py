"""What a contact changes, learnt from a campaign drawn by lot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.errors import InputError, SchemaError
from jinqiao.propensity import fit_uplift


def campaign(
    n: int, seed: int, kind: str = "some", share: float = 0.5
) -> tuple[pa.Table, np.ndarray]:
    """Return a campaign of n people and the true change of each one's chance.

    ``some``: it moves people by a column that says nothing of who buys anyway; ``none``: nobody;
    ``harm``: it puts off those who buy anyway.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    held = 1 / (1 + np.exp(-(-1.5 + 0.8 * x[:, 0] + 0.5 * x[:, 1])))
    move = {
        "some": np.clip(0.06 + 0.12 * x[:, 2], -0.15, 0.4), "none": np.zeros(n),
        "harm": np.where(held > 0.3, -0.2, 0.15),
    }[kind]  # fmt: skip
    contacted = np.clip(held + move, 0, 1)
    called = rng.random(n) < share
    bought = rng.random(n) < np.where(called, contacted, held)
    columns = {f"x{i}": x[:, i] for i in range(6)}
    return pa.table({**columns, "called": called, "bought": bought}), contacted - held


def test_who_is_moved_is_found_and_its_interval_holds() -> None:
    """Told uplift goes with the true one, and 95 % intervals hold it for 85 % of people or more."""
    table, true = campaign(6_000, 1)
    model = fit_uplift(table, treatment="called", outcome="bought", seed=1)
    told = model.uplift(table)
    assert np.corrcoef(told.value, true)[0, 1] > 0.9
    assert ((told.lower <= true) & (true <= told.upper)).mean() > 0.85
    assert model.ranks_by == "uplift"


def test_the_mean_effect_is_that_of_the_lot() -> None:
    """The card's mean effect holds the true mean, and is narrow."""
    table, true = campaign(6_000, 2)
    mean = fit_uplift(table, treatment="called", outcome="bought").card["mean_effect"]
    assert mean["lower"] < true.mean() < mean["upper"]
    assert mean["upper"] - mean["lower"] < 0.06


def test_nothing_moved_is_said_to_be_nothing() -> None:
    """Without an effect intervals hold 0, and people are ranked by response."""
    table, _ = campaign(5_000, 3, "none")
    model = fit_uplift(table, treatment="called", outcome="bought")
    told = model.uplift(table)
    assert ((told.lower <= 0) & (told.upper >= 0)).mean() > 0.95
    assert model.ranks_by == "response"
    assert model.card["mean_effect"]["lower"] < 0 < model.card["mean_effect"]["upper"]


def test_who_buys_anyway_is_not_contacted_first() -> None:
    """Where contact puts off those who buy anyway, uplift ranks against response, and wins."""
    table, true = campaign(8_000, 4, "harm")
    model = fit_uplift(table, treatment="called", outcome="bought")
    order = np.argsort(-model.rank(table))
    assert model.ranks_by == "uplift"
    assert true[order[:2_000]].mean() > 0.05
    gain = model.card["gain"]
    assert gain["uplift_over_response"]["lower"] > 0
    assert gain["uplift"]["value"] > 0 > gain["response"]["value"]


def test_an_uneven_lot_is_no_bias() -> None:
    """With one in five contacted, by a chance told in a column, the mean effect is still held."""
    table, true = campaign(8_000, 5, share=0.2)
    table = table.append_column("by", pa.array(np.full(8_000, 0.2)))
    model = fit_uplift(table, treatment="called", outcome="bought", chance="by")
    mean = model.card["mean_effect"]
    assert mean["lower"] < true.mean() < mean["upper"]
    assert "by" not in model.card["columns"]


def test_the_same_seed_gives_the_same_answer() -> None:
    """Two fits of one campaign with one seed agree bit for bit."""
    table, _ = campaign(1_500, 6)
    one, two = (fit_uplift(table, treatment="called", outcome="bought", seed=9) for _ in range(2))
    np.testing.assert_array_equal(one.uplift(table).value, two.uplift(table).value)
    assert one.card == two.card


def test_money_and_missing_columns_are_taken() -> None:
    """An outcome in money, a text column and missing values are learnt from."""
    table, true = campaign(3_000, 7)
    spent = table["bought"].cast(pa.float64()).to_numpy() * 5_000
    city = np.where(np.arange(3_000) % 2, "north", "south")
    gaps = np.where(np.arange(3_000) % 7, table["x3"].to_numpy(), np.nan)
    table = table.set_column(table.schema.get_field_index("bought"), "spent", pa.array(spent))
    table = table.append_column("city", pa.array(city)).append_column("gaps", pa.array(gaps))
    model = fit_uplift(table, treatment="called", outcome="spent", leave_out=("x3",))
    assert np.corrcoef(model.uplift(table).value, true)[0, 1] > 0.8
    assert "x3" not in model.card["columns"]
    with pytest.raises(SchemaError, match="city"):
        model.uplift(table.drop_columns("city"))


def test_what_is_no_campaign_is_refused() -> None:
    """One arm, a treatment of three values, a missing outcome, a certain contact, a lost column."""
    table, _ = campaign(400, 8)
    everyone = table.set_column(6, "called", pa.array([True] * 400))
    with pytest.raises(InputError, match="held out"):
        fit_uplift(everyone, treatment="called", outcome="bought")
    three = table.set_column(6, "called", pa.array(np.arange(400) % 3))
    with pytest.raises(InputError, match="called"):
        fit_uplift(three, treatment="called", outcome="bought")
    gap = table.set_column(7, "bought", pa.array([None, *([1.0] * 399)]))
    with pytest.raises(InputError, match="row 0"):
        fit_uplift(gap, treatment="called", outcome="bought")
    with pytest.raises(InputError, match="chance"):
        fit_uplift(table, treatment="called", outcome="bought", chance=1.0)
    with pytest.raises(SchemaError, match="sold"):
        fit_uplift(table, treatment="called", outcome="sold")


def test_an_arm_of_several_is_asked_about_by_name() -> None:
    """Of three arms, two are learnt from when they are named; unnamed, they are listed."""
    table, _ = campaign(2_400, 9)
    called = table["called"].to_numpy(zero_copy_only=False)
    third = np.arange(2_400) % 4 == 0
    arm = np.where(third, "letter", np.where(called, "call", "none"))
    given = {**{n: table[n] for n in table.column_names if n != "called"}, "segment": arm}
    with pytest.raises(InputError, match=r"segment: there are 3 arms: 'call', 'letter', 'none'"):
        fit_uplift(given, treatment="segment", outcome="bought")
    one = fit_uplift(given, treatment="segment", outcome="bought", treated="call", control="none")
    rest = table.filter(pa.array(~third))
    two = fit_uplift(rest, treatment="called", outcome="bought")
    assert one.card == two.card
    every = fit_uplift(given, treatment="segment", outcome="bought", control="none")
    assert every.card["rows"] == 2_400
    assert every.card["treated"] == int((arm != "none").sum())


def test_a_column_known_only_after_the_contact_is_left_out() -> None:
    """A visit that the contact brought about is warned of and not learnt from; a lot is no sign."""
    table, _ = campaign(3_000, 10)
    called = table["called"].to_numpy(zero_copy_only=False)
    visit = np.random.default_rng(1).random(3_000) < 0.1 + 0.2 * called
    with pytest.warns(UserWarning, match=r"visit: .*known only after the contact"):
        model = fit_uplift(table.append_column("visit", pa.array(visit)), treatment="called",
                           outcome="bought")  # fmt: skip
    assert list(model.card["left_out"]) == ["visit"]
    assert model.card["columns"] == [f"x{i}" for i in range(6)]


def test_calls_that_were_chosen_are_no_lot() -> None:
    """Where who is called goes by several columns, it is refused, and told by which."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2_000, 3))
    called = rng.random(2_000) < 1 / (1 + np.exp(-x.sum(axis=1)))
    given = {**{f"x{i}": x[:, i] for i in range(3)}, "called": called, "y": rng.random(2_000) < 0.2}
    with pytest.raises(InputError, match=r"not drawn by lot: 3 of 3 columns differ.*'x0'"):
        fit_uplift(given, treatment="called", outcome="y")
    chance = np.clip(1 / (1 + np.exp(-x.sum(axis=1))), 0.02, 0.98)
    fit_uplift({**given, "e": chance}, treatment="called", outcome="y", chance="e")


def test_an_outcome_is_a_number_that_varies_or_yes_and_no() -> None:
    """The same in every row, and a date, are refused; yes and no are 1 and 0."""
    table, _ = campaign(400, 11)
    given = {n: table[n] for n in table.column_names}
    words = np.where(table["bought"].to_numpy(zero_copy_only=False), "yes", "no")
    assert fit_uplift({**given, "bought": words}, treatment="called", outcome="bought").card == (
        fit_uplift(given, treatment="called", outcome="bought").card
    )
    with pytest.raises(InputError, match="bought: it is 0 in every row"):
        fit_uplift({**given, "bought": np.zeros(400)}, treatment="called", outcome="bought")
    dates = pa.array(np.arange(400)).cast(pa.timestamp("s"))
    with pytest.raises(InputError, match="is no number"):
        fit_uplift({**given, "bought": dates}, treatment="called", outcome="bought")


def test_the_how_to_runs_as_it_stands() -> None:
    """The example of ``docs/how-to/learn-uplift.md`` holds what it asserts."""
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "learn-uplift.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "how-to", "exec"), {})
