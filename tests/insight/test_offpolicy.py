"""Another policy's value from the log of the one that ran."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao.engines.offpolicy import Estimate, Rows, effective_rows, estimates, pick
from jinqiao.errors import InputError
from jinqiao.insight import PolicyLog, policy_value, reward_model
from jinqiao.insight.offpolicy import ESTIMATORS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class World:
    """Three actions, one feature x in {0, 1}: action 2 pays where x is 1, action 0 where it is 0.

    The log shows action 0 with chance .6; the target shows the better one with chance .8.
    """

    chance = np.array([[0.2, 0.1, 0.05], [0.05, 0.1, 0.2]])
    logged = np.array([0.6, 0.2, 0.2])
    target = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.integers(0, 2, n)
        self.action = rng.choice(3, n, p=self.logged)
        self.reward = (rng.random(n) < self.chance[self.x, self.action]).astype(float)
        self.log = PolicyLog(self.reward, self.logged[self.action])
        self.by_action = self.target[self.x]
        self.own = self.by_action[np.arange(n), self.action]

    @property
    def true(self) -> float:
        return float((self.target * self.chance).sum(axis=1).mean())

    def model(self) -> tuple[np.ndarray, np.ndarray]:
        return reward_model(self.log, self.x[:, None], self.action, self.by_action, seed=1)


def test_every_estimator_covers_the_truth_about_as_often_as_it_says() -> None:
    """Over 40 logs each 95 % interval holds the true value at least 34 times."""
    hits = dict.fromkeys(ESTIMATORS, 0)
    chosen = 0
    for seed in range(40):
        world = World(2_000, seed)
        found = policy_value(world.log, world.own, model=world.model())
        for name, one in found.by_estimator.items():
            hits[name] += one.lower <= world.true <= one.upper
        chosen += found.value.lower <= world.true <= found.value.upper
    assert min(hits.values()) >= 34, hits
    assert chosen >= 34


def test_a_better_policy_is_told_to_be_better() -> None:
    """The target earns more than what ran, and the lift says by how much."""
    world = World(8_000, 3)
    found = policy_value(world.log, world.own, model=world.model())
    ran = float((world.logged * world.chance).sum(axis=1).mean())
    assert found.value.lower > found.logged.value
    assert abs(found.lift - (world.true / ran - 1)) < 0.25


def test_a_model_narrows_and_auto_takes_what_is_narrow() -> None:
    """Doubly robust is no wider than weighting alone; what auto chose is no wider than dr."""
    world = World(6_000, 5)
    found = policy_value(world.log, world.own, model=world.model())

    def width(name: str) -> float:
        return found.by_estimator[name].upper - found.by_estimator[name].lower

    assert width("dr") <= 1.02 * width("ips")
    assert width(found.chosen) <= width("dr")


def test_a_wrong_model_is_caught_by_the_weights() -> None:
    """A model that claims ten times the truth does not bend the chosen value."""
    world = World(6_000, 7)
    q, v = world.model()
    found = policy_value(world.log, world.own, model=(10 * q, 10 * v))
    assert found.chosen != "dm"
    assert found.value.lower < world.true < found.value.upper


def test_rows_of_one_visit_do_not_count_twice() -> None:
    """Each row logged four times in one cluster gives the interval of the single rows."""
    world = World(1_500, 9)
    once = policy_value(world.log, world.own)
    four = np.repeat(np.arange(1_500), 4)
    log = PolicyLog(world.reward[four], world.log.display_probability[four], four)
    again = policy_value(log, world.own[four])
    assert again.value.value == pytest.approx(once.value.value)
    assert again.value.upper == pytest.approx(once.value.upper, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.floats(-5, 5), st.floats(0.1, 50))
def test_order_and_units_do_not_matter(seed: int, shift: float, scale: float) -> None:
    """Rows in another order, and rewards in other units, give the same self-normalised value."""
    world = World(900, seed)
    found = policy_value(world.log, world.own, method="snips").value
    order = np.random.default_rng(seed).permutation(900)
    log = PolicyLog((world.reward * scale + shift)[order], world.log.display_probability[order])
    other = policy_value(log, world.own[order], method="snips").value
    assert other.value == pytest.approx(found.value * scale + shift, abs=1e-8)
    assert other.upper - other.lower == pytest.approx((found.upper - found.lower) * scale, abs=1e-8)


def test_a_log_that_cannot_say_is_refused() -> None:
    """Few effective rows, and a target that is where the log never was, are refused with a fix."""
    world = World(2_000, 11)
    rare = PolicyLog(world.reward, np.where(np.arange(2_000) < 3, 1e-5, 0.5))
    with pytest.raises(InputError, match="effective rows"):
        policy_value(rare, world.own)
    with pytest.raises(InputError, match="covers"):
        policy_value(world.log, np.where(world.action == 0, 0.2, 0.1))


def test_bad_rows_are_refused_by_name() -> None:
    """A chance of 0, a value that is no number, shapes that differ, an estimator without model."""
    world = World(500, 13)
    chance = world.log.display_probability.copy()
    chance[7] = 0.0
    with pytest.raises(InputError, match="row 7"):
        PolicyLog(world.reward, chance)
    reward = world.reward.copy()
    reward[3] = np.nan
    with pytest.raises(InputError, match="row 3"):
        PolicyLog(reward, world.log.display_probability)
    with pytest.raises(InputError, match="one number a row"):
        policy_value(world.log, world.own[:-1])
    with pytest.raises(InputError, match="needs a model"):
        policy_value(world.log, world.own, method="dr")
    with pytest.raises(InputError, match="no estimator"):
        policy_value(world.log, world.own, method="best")
    with pytest.raises(InputError, match="action"):
        reward_model(world.log, world.x, world.action + 9, world.by_action)


def test_an_interval_that_disagrees_ends_the_walk() -> None:
    """The narrowest is taken only while it meets all wider ones."""
    wide, middle, bent = Estimate(1.0, 0.5), Estimate(1.2, 0.2), Estimate(3.0, 0.01)
    assert pick({"snips": wide, "dr": middle, "dm": bent}) == "dr"
    assert pick({"snips": wide, "dr": middle, "dm": Estimate(1.3, 0.01)}) == "dm"
    assert effective_rows(np.zeros(3)) == 0.0


def test_a_real_shelf_told_from_another_policys_log(data_dir: Path) -> None:
    """Open Bandit: the thompson policy's clicks from the random log, and the other way for men."""
    from benchmarks.learning.bandit import shown, target, told

    for shop, source, other in (
        ("men", "random", "bts"), ("women", "random", "bts"), ("men", "bts", "random"),
    ):  # fmt: skip
        log, way = shown(data_dir, f"{shop}_{source}"), shown(data_dir, f"{shop}_{other}")
        n_items = 1 + int(max(log.item.max(), way.item.max()))
        found = told(log, target(way, n_items))
        assert found.value.lower < way.click.mean() < found.value.upper, (shop, source)
    log, way = shown(data_dir, "women_bts"), shown(data_dir, "women_random")
    with pytest.raises(InputError, match="effective rows"):
        told(log, target(way, 1 + int(max(log.item.max(), way.item.max()))))


def test_the_how_to_runs_as_it_stands() -> None:
    """The example of ``docs/how-to/evaluate-another-policy.md`` holds what it asserts."""
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "evaluate-another-policy.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code, "how-to", "exec"), {})


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000))
def test_estimators_are_equal_where_theory_says_so(seed: int) -> None:
    """A model of nothing leaves ips; a model alone is the mean of what it says; the policy that ran
    is worth its own mean reward."""
    world = World(400, seed)
    n, nothing = len(world.log), np.zeros(400)
    weight = world.own / world.log.display_probability
    clusters = np.arange(n)
    blind = estimates(Rows(world.reward, weight, clusters, (nothing, nothing)))
    assert blind["dr"].value == pytest.approx(blind["ips"].value)
    q, v = np.full(n, 0.1), np.linspace(0.0, 0.2, n)
    told = estimates(Rows(world.reward, weight, clusters, (q, v)))
    assert told["dm"].value == pytest.approx(float(v.mean()))
    same = estimates(Rows(world.reward, np.ones(n), clusters, (q, q)))
    for name in ("ips", "snips", "dr", "switch"):
        assert same[name].value == pytest.approx(float(world.reward.mean()))


def test_weighting_and_doubly_robust_are_unbiased() -> None:
    """Over 200 logs the mean of ips and of dr, with a model that is wrong by a constant, is the
    truth within three standard errors; the model alone is not."""
    found: dict[str, list[float]] = {"ips": [], "dr": [], "dm": []}
    for seed in range(200):
        world = World(600, seed)
        weight = world.own / world.log.display_probability
        q = world.chance[world.x, world.action] + 0.1
        v = (world.by_action * (world.chance[world.x] + 0.1)).sum(axis=1)
        told = estimates(Rows(world.reward, weight, np.arange(600), (q, v)))
        for name, values in found.items():
            values.append(told[name].value)
    true = float((World.target * World.chance).sum(axis=1).mean())
    for name in ("ips", "dr"):
        away = np.mean(found[name]) - true
        assert abs(away) < 3 * np.std(found[name]) / np.sqrt(200)
    assert np.mean(found["dm"]) - true > 0.09
    assert np.std(found["dr"]) < np.std(found["ips"])
