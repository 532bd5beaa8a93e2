"""Experiments on record: what may run beside what, and what never changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinqiao.domain.experiment import Arm, Guardrail, Trial, arms_in, arms_text
from jinqiao.engines.split import OUTSIDE, Split
from jinqiao.errors import Conflict, InputError, NotFound
from jinqiao.insight import (
    keep_result,
    kept_result,
    one_trial,
    running_trials,
    sample_ratio_anytime,
    start_trial,
    stop_trial,
    trials,
)
from jinqiao.store.base import Tx
from jinqiao.store.memory import MemoryRecords

NOW_US = 1_790_000_000_000_000
TRIAL = Trial(
    "more-learning", "More learning", "exploring more finds better offers", ("activations",),
    (Arm("as-is", 0.5), Arm("more", 0.5, {"exploration_share": 0.08})),
    holdout=0.1, guardrails=(Guardrail("refusal_rate", "up", 0.02),),
)  # fmt: skip
PEOPLE = [f"cus_{i}" for i in range(4_000)]


@pytest.fixture
def tx() -> Iterator[Tx]:
    with MemoryRecords().transaction() as opened:
        yield opened


def start(tx: Tx, trial: Trial, now_us: int = NOW_US) -> Trial:
    return start_trial(tx, trial, actor="ann", now_us=now_us, versions={"snapshot": "s1"})


def split(trial: Trial) -> Split:
    shares = [arm.share for arm in trial.arms]
    return Split.of(
        trial.salt, shares, out=trial.holdout, layer=trial.layer, within=trial.slice
    )  # fmt: skip


def test_what_was_started_is_read_back_as_it_was(tx: Tx) -> None:
    """Every field, who, when and what was served; running until it is stopped, once."""
    made = start(tx, TRIAL)
    assert (one_trial(tx, "more-learning"), running_trials(tx)) == (made, (made,))
    assert (made.started_by, made.versions, made.salt) == ("ann", {"snapshot": "s1"}, made.layer)
    ended = stop_trial(tx, "more-learning", actor="bo", why="found", now_us=NOW_US + 5)
    assert replace(ended, stopped_at=None, stopped_by="", stopped_why="") == made
    again = stop_trial(tx, "more-learning", actor="cy", why="other", now_us=NOW_US + 9)
    assert again == ended
    assert (running_trials(tx), trials(tx)) == ((), (ended,))


def test_an_id_is_used_once(tx: Tx) -> None:
    """What was run is kept: the same id again is refused, even after the stop."""
    start(tx, TRIAL)
    stop_trial(tx, "more-learning", actor="ann", why="done", now_us=NOW_US)
    with pytest.raises(Conflict, match="run already"):
        start(tx, TRIAL)


def test_who_and_why_are_not_left_out(tx: Tx) -> None:
    """Nobody starts or stops anything without a name, nor stops it without a reason."""
    with pytest.raises(InputError, match="actor"):
        start_trial(tx, TRIAL, actor=" ", now_us=NOW_US, versions={})
    start(tx, TRIAL)
    with pytest.raises(InputError, match="why"):
        stop_trial(tx, "more-learning", actor="ann", why="", now_us=NOW_US)
    with pytest.raises(NotFound, match="nothing"):
        stop_trial(tx, "nothing", actor="ann", why="x", now_us=NOW_US)


def test_two_that_change_one_setting_divide_a_layer(tx: Tx) -> None:
    """Apart they are refused; in one layer each has its own people, and no more than there are."""
    half = replace(TRIAL, layer="learning", slice=(0.0, 0.5))
    one = start(tx, half)
    with pytest.raises(Conflict, match="exploration_share"):
        start(tx, replace(TRIAL, experiment_id="other"))
    two = start(tx, replace(half, experiment_id="two"))
    assert (one.slice, two.slice) == ((0.0, 0.5), (0.5, 1.0))
    mine, theirs = split(one), split(two)
    places = [(mine.place(u) == OUTSIDE, theirs.place(u) == OUTSIDE) for u in PEOPLE]
    assert all(a != b for a, b in places)
    with pytest.raises(Conflict, match="traffic"):
        start(tx, replace(half, experiment_id="three", slice=(0.0, 0.1)))
    stop_trial(tx, "more-learning", actor="ann", why="done", now_us=NOW_US)
    assert start(tx, replace(half, experiment_id="three", slice=(0.0, 0.3))).slice == (0.0, 0.3)
    with pytest.raises(Conflict, match="unit"):
        start(tx, replace(half, experiment_id="four", slice=(0.0, 0.1), unit="session"))


def test_two_that_differ_run_on_the_same_people_independently(tx: Tx) -> None:
    """Each is split evenly over the arms of the other: salts of their own."""
    one = start(tx, TRIAL)
    arms = (Arm("as-is", 0.5), Arm("free", 0.5, {"pricing": False}))
    two = start(tx, replace(TRIAL, experiment_id="no-prices", arms=arms))
    first, second = split(one), split(two)
    both = [(first.place(u), second.place(u)) for u in PEOPLE]
    share = [[pair for pair in both if pair[0] == arm] for arm in (0, 1)]
    free = [sum(pair[1] == 1 for pair in rows) / len(rows) for rows in share]
    assert abs(free[0] - free[1]) < 0.06


def test_the_last_result_is_kept(tx: Tx) -> None:
    """Results are added by instant; the newest is the last."""
    assert kept_result(tx, "x") is None
    keep_result(tx, "x", 5, {"verdict": "go_on"})
    keep_result(tx, "x", 3, {"verdict": "early"})
    assert kept_result(tx, "x") == {"verdict": "go_on"}


@given(st.dictionaries(st.from_regex(r"[a-z0-9-]{1,9}", fullmatch=True),
                       st.from_regex(r"[a-z0-9-]{0,9}", fullmatch=True), max_size=4))  # fmt: skip
def test_the_log_says_every_arm(places: dict[str, str]) -> None:
    """What is written of a shelf's arms is read back."""
    assert arms_in(arms_text(places)) == places


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"arms": (Arm("a", 0.5), Arm("b", 0.6))}, "arms"),
        ({"arms": (Arm("a", 0.5), Arm("a", 0.5))}, "arms"),
        ({"arms": (Arm("a", 1.0),)}, "arms"),
        ({"arms": (Arm("a=b", 0.5), Arm("b", 0.5))}, "arms"),
        ({"holdout": 1.0}, "holdout"), ({"slice": (0.0, 0.0)}, "traffic"),
        ({"unit": "house"}, "unit"), ({"hypothesis": " "}, "hypothesis"),
        ({"metrics": ()}, "metrics"),
        ({"experiment_id": "Not An Id"}, "experiment_id"),
    ],
)  # fmt: skip
def test_what_is_no_experiment_is_refused(change: dict[str, object], named: str) -> None:
    """Each fault names its field."""
    with pytest.raises(InputError, match=named):
        replace(TRIAL, **change)  # type: ignore[arg-type]


def test_a_split_looked_at_every_day_is_not_called_broken() -> None:
    """300 whole splits looked at 40 times each: at most 1 is ever called broken at 1 in 100."""
    import numpy as np

    rng, shares, ever = np.random.default_rng(3), {"a": 0.3, "b": 0.7}, 0
    for _ in range(300):
        taken = np.cumsum(rng.random(8_000) < 0.3)
        looks = np.arange(200, 8_001, 200)
        told = [
            sample_ratio_anytime({"a": int(taken[n - 1]), "b": int(n - taken[n - 1])}, shares)
            for n in looks
        ]
        ever += min(told) < 0.01
    assert ever <= 3
