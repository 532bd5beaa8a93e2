"""What another policy would have earned, told from this marketplace's own decision log.

Each logged shelf is made again (``remade``); the policy asked about says with which chance it shows
the logged product in the logged place (``targets``); what became of the offer, late answers
expected, is the reward (``rewards``).

What stands above is taken as it was: a place's reward is the product's in that place.

Letters: n rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.errors import InputError, NotFound
from jinqiao.flow.remade import Matched, made_again
from jinqiao.flow.rewards import REWARDS, became, rewards_of
from jinqiao.flow.targets import Asked
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.insight import PolicyValue

__all__ = ["Evaluated", "Question", "evaluate_policy", "policy_as_asked", "rows_of"]

_SHELVES_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a policy's name (``flow.targets.TARGETS``) and of which rows.

    ``days`` counts back from the newest row; ``logged``: rows of this policy alone, "" for all.
    ``snapshot``: whose model, prices and rules, "" for the current one. ``most``: of more shelves
    so many are drawn evenly.
    """

    policy: str
    days: int = 28
    reward: str = "value"
    logged: str = ""
    snapshot: str = ""
    seed: int = 0
    most: int = _SHELVES_MOST

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise InputError(
                f"no reward {self.reward!r}", field="reward", fix=f"one of {', '.join(REWARDS)}"
            )
        if self.days < 1:
            raise InputError(f"{self.days} days", field="days", fix="1 or more")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """``found`` is a row (an offer in its place); ``rows_a_shelf`` times that is a shelf's.

    ``left_out``: shelves that could not be made again, by why. ``own_log``: the model asked about
    may have learnt from these very rows, so its value may be told too high.
    """

    question: Question
    snapshot: str
    from_us: int
    until_us: int
    shelves: int
    rows_a_shelf: float
    left_out: Mapping[str, int]
    own_log: bool
    found: PolicyValue


def evaluate_policy(
    engine: Engine, question: Question, *, method: str = "auto"
) -> Evaluated:  # fmt: skip
    """Return what a policy would have earned, an offer, with an interval; see ``Question``.

    Raises
    ------
    InputError : an unknown policy or reward; too few effective rows, or the log does not cover what
        the policy shows. NotFound : nothing was logged, no such snapshot.
    """
    from jinqiao.insight import PolicyLog, policy_value, reward_model

    asked = policy_as_asked(engine, question)
    of = rows_of(engine, asked, question)
    customer = np.array(of.rows["customer_id"].to_pylist(), dtype=object)
    session = np.array(of.rows["session_id"].to_pylist(), dtype=object)
    cluster = np.where(customer == "", session, customer).astype(str)
    reward = rewards_of(asked.serving, of.rows, of.known, question.reward)
    log = PolicyLog(reward, of.rows["display_probability"].to_numpy(), cluster)
    own = of.target[np.arange(len(log)), of.action].astype(np.float64)
    try:
        policy_value(log, own)
        model = reward_model(log, of.features, of.action, of.target, seed=question.seed)
        found = policy_value(log, own, model=model, method=method)
    except InputError as refused:
        raise _with_advice(engine, question, refused) from refused
    at = of.rows["at_us"].to_numpy()
    shelves = pc.count_distinct(of.rows["trace_id"]).as_py()
    begin = int(at.min())
    learnt = asked.serving.feature_as_of_us > begin
    named = question.policy in ("plan", "chain_greedy", "expected_payout", "popularity")
    return Evaluated(
        question, asked.serving.versions.snapshot, begin, int(at.max()), shelves,
        len(log) / shelves, of.left_out, learnt and named, found,
    )  # fmt: skip


def policy_as_asked(engine: Engine, question: Question) -> Asked:
    """Return the policy of a question with the snapshot it is of.

    Raises NotFound for a snapshot that is not kept, Unavailable before there is any.
    """
    from jinqiao.flow.live import open_live

    folder = engine.snapshots.version(question.snapshot) if question.snapshot else None
    if question.snapshot and folder is None:
        raise NotFound("no such snapshot is kept", record=question.snapshot, field="snapshot")
    return Asked(question.policy, open_live(engine, folder).serving)


def rows_of(engine: Engine, asked: Asked, question: Question) -> Matched:
    """Return the logged rows of a question beside what the policy asked about does there."""
    return made_again(engine, asked, *_logged(engine, question))


def _logged(engine: Engine, question: Question) -> tuple[pa.Table, NDArray[np.float64]]:
    """Return the rows of the window, some shelves drawn where there are many, and their fates."""
    from jinqiao.flow import daily

    daily.drain_outcomes(engine)
    test = "where policy = $logged" if question.logged else ""
    given: dict[str, Any] = {"logged": question.logged} if question.logged else {}
    until = engine.lake.query(
        f"select epoch_us(max(occurred_at)) as at from decisions {test}", **given
    )["at"][0].as_py()
    if until is None:
        raise NotFound("nothing was logged", record="decisions", field="policy",
                       fix="show shelves first, or name another --logged")  # fmt: skip
    also = f"{test} and" if test else "where"
    rows = engine.lake.query(
        "select *, epoch_us(occurred_at) as at_us, epoch_us(feature_as_of) as as_of_us"
        f" from decisions {also} epoch_us(occurred_at) > $after order by trace_id, position",
        after=until - question.days * DAY_US, **given,
    )  # fmt: skip
    fates = became(engine, rows)
    traces = pc.unique(rows["trace_id"])
    if len(traces) > question.most:
        rng = np.random.default_rng([question.seed, 31])
        some = traces.take(pa.array(rng.choice(len(traces), question.most, replace=False)))
        keep = pc.is_in(rows["trace_id"], value_set=some)
        rows, fates = rows.filter(keep), fates[keep.to_numpy(zero_copy_only=False)]
    return rows, fates


def _with_advice(engine: Engine, question: Question, refused: InputError) -> InputError:
    """Return a refusal that names a log which may say more, where there is one."""
    if question.logged == "random":
        return refused
    random = engine.lake.query("select count(*) as n from decisions where policy = 'random'")
    if not random["n"][0].as_py():
        return refused
    return InputError(
        refused.message, record=refused.record, field=refused.field,
        fix="ask of the shelves that were drawn evenly: --logged random",
    )  # fmt: skip
