"""The record of models: one champion, every decision a line, the former one put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jinqiao import propensity
from jinqiao.domain.model import Model, ModelAction, ModelStatus
from jinqiao.domain.time import from_us
from jinqiao.errors import Conflict, InputError, NotFound
from jinqiao.propensity import By
from jinqiao.store.base import Records
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.records import open_records
from postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]

NAMES = ("a", "b", "c")
BY = By("somebody", 1_000)


def model(name: str, files: str = "f") -> Model:
    return Model(
        name, "chain", ModelStatus.CHALLENGER, "personalise", from_us(0), "d", 1, "code", "words",
        files, {"stages": {}}, None, None, from_us(1_000), "somebody",
    )  # fmt: skip


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    """Empty records of each kind."""
    if request.param == "memory":
        made: Records = MemoryRecords()
    else:
        url = f"sqlite:///{tmp_path}/records.db"
        if request.param == "postgres":
            url = str(request.getfixturevalue("postgres_url"))
        made = open_records(url)
        made.migrate()
    yield made
    made.close()


def status(records: Records) -> dict[str, str]:
    with records.reading() as tx:
        return {one.model_id: one.status.value for one in propensity.models(tx)}


def test_the_former_champion_comes_back(records: Records) -> None:
    """a, then b, then back: a serves again, b is rolled back, and each step is a line."""
    with records.transaction() as tx:
        for name in "ab":
            assert propensity.register(tx, model(name), BY)
            assert propensity.promote(tx, name, By("somebody", 2_000, "no worse", {"x": 1}))
    assert status(records) == {"a": "retired", "b": "champion"}
    with records.transaction() as tx:
        gone, back = propensity.roll_back(tx, By("else", 3_000, "refusals doubled"))
        assert (gone.model_id, back.model_id) == ("b", "a")
        assert propensity.is_held(tx)
        lines = propensity.model_decisions(tx)
    assert status(records) == {"a": "champion", "b": "rolled_back"}
    told = [(one.number, one.model_id, one.action, one.actor) for one in reversed(lines)]
    assert told == [
        (1, "a", ModelAction.REGISTERED, "somebody"), (2, "a", ModelAction.PROMOTED, "somebody"),
        (3, "b", ModelAction.REGISTERED, "somebody"), (4, "b", ModelAction.PROMOTED, "somebody"),
        (5, "b", ModelAction.ROLLED_BACK, "else"), (6, "a", ModelAction.RESTORED, "else"),
    ]  # fmt: skip
    assert lines[2].comparison == {"x": 1}
    assert lines[0].reason == "refusals doubled"
    with records.transaction() as tx, pytest.raises(NotFound, match="before it"):
        propensity.roll_back(tx, BY)
    with records.transaction() as tx:
        propensity.promote(tx, "b", BY)
        assert not propensity.is_held(tx)


def test_one_that_was_rolled_back_is_passed_over(records: Records) -> None:
    """a, b, back to a, c: rolling c back finds a, and not b."""
    with records.transaction() as tx:
        for name in NAMES:
            propensity.register(tx, model(name), BY)
        propensity.promote(tx, "a", BY)
        propensity.promote(tx, "b", BY)
        propensity.promote(tx, "c", BY)
        propensity.roll_back(tx, BY)
        _, back = propensity.roll_back(tx, BY)
        assert back.model_id == "a"


def test_a_model_is_registered_once(records: Records) -> None:
    """The same model again changes nothing; the same id with other files is a conflict."""
    with records.transaction() as tx:
        assert propensity.register(tx, model("a"), BY)
        propensity.promote(tx, "a", BY)
        assert not propensity.register(tx, replace(model("a"), registered_by="else"), BY)
        assert propensity.find_model(tx, "a").status is ModelStatus.CHAMPION
        with pytest.raises(Conflict):
            propensity.register(tx, model("a", "other"), BY)
    with records.reading() as tx, pytest.raises(NotFound):
        propensity.find_model(tx, "none")


def test_a_decision_is_somebodys_and_force_has_a_reason() -> None:
    """Nobody cannot decide, and a forced promotion without a reason is refused."""
    with pytest.raises(InputError, match="somebody"):
        By(" ", 1)
    with pytest.raises(InputError, match="reason"):
        By("somebody", 1, "", {}, True)


steps = st.lists(
    st.tuples(st.sampled_from(["register", "promote", "refuse", "hold", "back"]),
              st.sampled_from(NAMES)), max_size=14,
)  # fmt: skip


@given(steps)
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_decided_one_serves(played: list[tuple[str, str]]) -> None:
    """After any decisions there is one champion or none was ever promoted; lines count up."""
    records = MemoryRecords()
    promoted = False
    for verb, name in played:
        try:
            with records.transaction() as tx:
                if verb == "register":
                    propensity.register(tx, model(name), BY)
                elif verb == "back":
                    gone, back = propensity.roll_back(tx, BY)
                    assert gone.status is ModelStatus.ROLLED_BACK
                    assert back.status is ModelStatus.CHAMPION
                elif verb == "promote":
                    promoted |= propensity.promote(tx, name, BY)
                else:
                    (propensity.refuse if verb == "refuse" else propensity.hold)(tx, name, BY)
        except NotFound:
            continue
    with records.reading() as tx:
        found = propensity.models(tx)
        lines = propensity.model_decisions(tx)
        serving = propensity.champion(tx)
    assert sum(one.status is ModelStatus.CHAMPION for one in found) == int(promoted)
    assert (serving is not None) == promoted
    assert [one.number for one in lines] == list(range(len(lines), 0, -1))
