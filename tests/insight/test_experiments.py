"""Experiments: assignment, the split, and differences that may be looked at any day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.errors import InputError, SchemaError
from jinqiao.insight import Experiment, Guardrail, assign, experiment_result, sample_ratio
from jinqiao.insight.experiments import anytime_factor

TRIAL = Experiment("trial", {"old": 0.5, "new": 0.5})
PEOPLE = [f"cus_{i}" for i in range(20_000)]


def outcome(n: int, seed: int, lift: float = 0.0) -> pa.Table:
    """Return n customers: arm, a habit known before, what they spent, and complaints."""
    rng = np.random.default_rng(seed)
    new = rng.random(n) < 0.5
    habit = rng.gamma(2.0, 10.0, n)
    spent = habit + rng.normal(0, 6, n) + lift * new
    return pa.table(
        {"arm": np.where(new, "new", "old"), "habit": habit, "spent": spent,
         "complaints": rng.poisson(0.05 + 0.1 * (lift > 5) * new)}
    )  # fmt: skip


@given(st.lists(st.text(min_size=1), min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_who_is_in_which_arm_never_changes(units: list[str], name: str) -> None:
    """Alone, among others, again: a unit has one arm of an experiment."""
    one = Experiment(name, {"a": 0.3, "b": 0.7}, holdout=0.1)
    together = assign(one, units)
    assert together == [assign(one, [unit])[0] for unit in units]


def test_shares_are_kept_and_experiments_are_independent() -> None:
    """Arms have their shares within chance, and one experiment's arm says nothing of another's."""
    uneven = Experiment("uneven", {"a": 0.2, "b": 0.8}, holdout=0.25)
    arms = np.array(assign(uneven, PEOPLE))
    assert abs((arms == "").mean() - 0.25) < 0.015
    assert abs((arms == "a").sum() / (arms != "").sum() - 0.2) < 0.015
    other = np.array(assign(TRIAL, PEOPLE))
    both = abs((other[arms == "a"] == "new").mean() - (other[arms == "b"] == "new").mean())
    assert both < 0.04


def test_a_larger_holdout_moves_nobody_between_arms() -> None:
    """Who stays in keeps the arm when the holdout grows."""
    small = assign(Experiment("x", {"a": 0.5, "b": 0.5}, holdout=0.05), PEOPLE[:3_000])
    large = assign(Experiment("x", {"a": 0.5, "b": 0.5}, holdout=0.3), PEOPLE[:3_000])
    assert all(b in ("", a) for a, b in zip(small, large, strict=True))
    assert large.count("") > small.count("")


def test_a_broken_split_is_seen() -> None:
    """A split that lost a tenth of one arm is told apart from chance, an even one is not."""
    assert sample_ratio({"old": 5_000, "new": 4_950}, TRIAL.arms) > 0.05
    assert sample_ratio({"old": 5_000, "new": 4_500}, TRIAL.arms) < 1e-3
    table = outcome(8_000, 1)
    lost = np.array(table["arm"].to_pylist()) == "new"
    lost &= np.arange(8_000) % 5 == 0
    found = experiment_result(table.filter(pa.array(~lost)), TRIAL, ["spent"])
    assert not found.whole
    assert experiment_result(table, TRIAL, ["spent"]).whole


def test_the_chance_of_a_split_is_that_of_chi_square() -> None:
    """Two, three and four arms against values of the χ² distribution."""
    assert sample_ratio({"a": 60, "b": 40}, {"a": 0.5, "b": 0.5}) == pytest.approx(0.0455, abs=1e-4)
    third = dict.fromkeys("abc", 1 / 3)
    assert sample_ratio({"a": 40, "b": 30, "c": 20}, third) == pytest.approx(0.03567, abs=1e-4)
    fourth = dict.fromkeys("abcd", 0.25)
    assert sample_ratio({"a": 40, "b": 30, "c": 20, "d": 30}, fourth) == pytest.approx(
        0.08331, abs=1e-4
    )


def test_looking_every_day_finds_nothing_that_is_not_there() -> None:
    """In 200 experiments without a difference, looked at 60 times each, at most 1 in 20 decides."""
    rng = np.random.default_rng(5)
    wrong = plain = 0
    for _ in range(200):
        new, y = rng.random(6_000) < 0.5, rng.normal(0, 1, 6_000)
        looks = np.arange(100, 6_001, 100)
        anytime = naive = False
        for n in looks:
            a, b = y[:n][new[:n]], y[:n][~new[:n]]
            error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
            away = abs(a.mean() - b.mean()) / error
            anytime |= bool(away > anytime_factor(int(n), 0.05))
            naive |= bool(away > 1.96)
        wrong += anytime
        plain += naive
    assert wrong <= 10
    assert plain > 40


def test_a_habit_known_before_narrows_and_does_not_bend() -> None:
    """CUPED takes at least half of the variance, and the interval holds the true lift."""
    table = outcome(6_000, 7, lift=1.5)
    plain = experiment_result(table, TRIAL, ["spent"]).differences[0]
    known = experiment_result(table, TRIAL, ["spent"], before={"spent": "habit"}).differences[0]
    assert known.narrowed > 0.5
    assert known.upper - known.lower < 0.75 * (plain.upper - plain.lower)
    assert known.lower < 1.5 < known.upper
    assert known.decided
    assert plain.arm == known.arm


def test_a_guardrail_that_is_passed_is_named() -> None:
    """Spending rises, and complaints with it: the guardrail and its arm are told."""
    rail = Guardrail("complaints", "up", most=0.02)
    guarded = Experiment("guarded", {"old": 0.5, "new": 0.5}, guardrails=(rail,))
    found = experiment_result(outcome(9_000, 9, lift=6.0), guarded, ["spent"])
    assert found.broken == ((rail, "new"),)
    assert experiment_result(outcome(9_000, 9), guarded, ["spent"]).broken == ()


def visits(rng: np.random.Generator, n: int, lift: float) -> pa.Table:
    """Return n customers who differ in how often they come and how keen they are."""
    new = rng.random(n) < 0.5
    shown = 1 + rng.poisson(rng.gamma(1.0, 8.0, n))
    keen = np.minimum(rng.beta(2, 30, n) * (1 + lift * new), 1.0)
    return pa.table({"arm": np.where(new, "new", "old"), "offers": shown,
                     "clicks": rng.binomial(shown, keen)})  # fmt: skip


def test_a_ratio_is_that_of_the_sums_and_its_spread_is_between_customers() -> None:
    """The difference is Σ/Σ by arm; of 300 single looks 95 % hold the truth, by visit far fewer."""
    rng, held, naive = np.random.default_rng(2), 0, 0
    for _ in range(300):
        table = visits(rng, 1_000, 0.0)
        found = experiment_result(table, TRIAL, ["rate"], ratios={"rate": ("clicks", "offers")})
        one = found.differences[0]
        error = (one.upper - one.lower) / 2 / anytime_factor(one.units, 0.05)
        held += abs(one.difference) < 1.96 * error
        arm = np.array(table["arm"].to_pylist())
        y, n = table["clicks"].to_numpy(), table["offers"].to_numpy()
        share = [y[arm == name].sum() / n[arm == name].sum() for name in ("old", "new")]
        assert one.difference == pytest.approx(share[1] - share[0])
        shown = [n[arm == name].sum() for name in ("old", "new")]
        plain = np.sqrt(sum(p * (1 - p) / m for p, m in zip(share, shown, strict=True)))
        naive += abs(one.difference) < 1.96 * plain
    assert 0.92 <= held / 300 <= 0.98
    assert naive < held - 10
    far = experiment_result(
        visits(rng, 4_000, 1.0), TRIAL, ["rate"], ratios={"rate": ("clicks", "offers")}
    )
    assert far.differences[0].lower > 0


def test_customers_who_go_on_coming_are_looked_at_every_day() -> None:
    """200 times nothing differs, 28 daily looks at 600 customers: at most 1 in 20 ever decides."""
    rng, ever = np.random.default_rng(8), 0
    for _ in range(200):
        new, keen = rng.random(600) < 0.5, rng.gamma(0.5, 0.2, 600)
        y, looks, decided = np.zeros(600), np.zeros(600), False
        for _ in range(28):
            came = rng.random(600) < 0.3
            y, looks = y + came * rng.poisson(keen), looks + came
            seen = looks > 0
            sides = [y[seen & side] for side in (new, ~new)]
            error = np.sqrt(sum(one.var(ddof=1) / len(one) for one in sides))
            away = abs(sides[0].mean() - sides[1].mean())
            decided |= bool(away > error * anytime_factor(looks.sum(), 0.05) > 0)
        ever += decided
    assert ever <= 10


def test_what_nothing_is_known_of_is_not_decided() -> None:
    """Too few units, a ratio over nothing, a figure that never moved: an interval of everything."""
    table = outcome(400, 3).append_column("none", pa.array(np.zeros(400)))
    found = experiment_result(
        table, TRIAL, ["none", "share"], ratios={"share": ("complaints", "none")}
    )
    few = experiment_result(table, TRIAL, ["spent"], least=1_000)
    for one in (*found.differences, *few.differences):
        assert (one.lower, one.upper, one.decided) == (-np.inf, np.inf, False)
    more = table.append_column("looks", pa.array(np.full(400, 9)))
    often = experiment_result(more, TRIAL, ["spent"], information="looks").differences[0]
    once = experiment_result(more, TRIAL, ["spent"]).differences[0]
    assert (often.difference, often.units) == (once.difference, once.units)
    assert often.upper - often.lower < once.upper - once.lower


def test_the_holdout_is_no_arm() -> None:
    """Rows without an arm change nothing."""
    table = outcome(2_000, 11)
    more = pa.concat_tables([table, table.slice(0, 500).set_column(0, "arm", pa.array([""] * 500))])
    assert experiment_result(more, TRIAL, ["spent"]) == experiment_result(table, TRIAL, ["spent"])


def test_what_is_no_experiment_is_refused() -> None:
    """Shares, holdouts, arms, columns and values that cannot be are refused by name."""
    with pytest.raises(InputError, match="arms"):
        Experiment("x", {"a": 0.5, "b": 0.6})
    with pytest.raises(InputError, match="holdout"):
        Experiment("x", {"a": 0.5, "b": 0.5}, holdout=1.0)
    with pytest.raises(InputError, match="worse"):
        Guardrail("complaints", "sideways")
    table = outcome(100, 13)
    with pytest.raises(SchemaError, match="sold"):
        experiment_result(table, TRIAL, ["sold"])
    with pytest.raises(InputError, match="other"):
        experiment_result(table.set_column(0, "arm", pa.array(["other"] * 100)), TRIAL, ["spent"])
    with pytest.raises(InputError, match="new"):
        experiment_result(table.set_column(0, "arm", pa.array(["old"] * 100)), TRIAL, ["spent"])
    gap = table.set_column(2, "spent", pa.array([None, *([1.0] * 99)]))
    with pytest.raises(InputError, match="row 0"):
        experiment_result(gap, TRIAL, ["spent"])


def test_the_how_to_runs_as_it_stands() -> None:
    """The example of ``docs/how-to/run-an-experiment.md`` holds what it asserts."""
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-an-experiment.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "how-to", "exec"), {})
