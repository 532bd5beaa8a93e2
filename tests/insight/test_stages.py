"""A stranger's funnel: long or wide, texts for instants, stages out of order, nothing decided."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.errors import InputError, SchemaError
from jinqiao.insight import LateFunnel, late_funnel

N, FIRST = 240, datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def wide(seed: int = 0, n: int = N) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    start = [FIRST + DAY * d for d in rng.uniform(0, 60, n)]
    good = rng.random(n) < 0.4
    end = [s + DAY * t for s, t in zip(start, rng.gamma(2, np.where(good, 6, 1.5)), strict=True)]
    return {
        "case_id": list(range(n)), "apply": start,
        "paid": [e if g else None for e, g in zip(end, good, strict=True)],
        "refused": [None if g else e for e, g in zip(end, good, strict=True)],
    }  # fmt: skip


def long(of: dict[str, list[Any]]) -> dict[str, list[Any]]:
    rows = [(case, name, at) for name in list(of)[1:]
            for case, at in zip(of["case_id"], of[name], strict=True) if at]  # fmt: skip
    return dict(zip(("case_id", "stage", "occurred_at"), map(list, zip(*rows, strict=True)),
                    strict=True))  # fmt: skip


def told(events: Any, **more: Any) -> LateFunnel:
    named = {"stages": ["apply"], "yes": "paid", "no": ["refused"], "as_of": "2026-03-02"}
    return late_funnel(events, **{**named, "half_life_days": None, **more})


def test_one_funnel_in_every_form_is_told_alike() -> None:
    """Long, wide, texts for instants, other names of columns, an instant with a zone."""
    events = long(wide())
    texts = {**events, "occurred_at": [str(at)[:19] for at in events["occurred_at"]]}
    named = dict(zip(("id", "what", "when"), events.values(), strict=True))
    at = datetime(2026, 3, 2, tzinfo=UTC)
    one = told(events).cohort(14)
    others = [told(wide()), told(texts), told(named, columns=("id", "what", "when")),
              told(pa.table(events), as_of=at),
              told(events, as_of=None, as_of_us=int(at.timestamp()) * 1_000_000)]  # fmt: skip
    assert [found.cohort(14) for found in others] == [one] * len(others)


def test_without_an_instant_it_is_the_newest_row_s() -> None:
    """As of nothing said, every row is read: a day later nothing more is known."""
    events = long(wide())
    last = max(events["occurred_at"])
    assert told(events, as_of=None).decided.all()
    assert not told(events, as_of=last - 10 * DAY).decided.all()


def test_what_the_table_can_hardly_mean_is_warned_of() -> None:
    """Ends before the start, ends without one, a yes nobody reached; told all the same."""
    rows = wide()
    early = {**rows, "paid": [at and at - 90 * DAY for at in rows["paid"]]}
    with pytest.warns(UserWarning, match=r"cases end before 'apply'"):
        found = told(early)
    assert found.p_yes[found.decided].mean() > 0.3
    events = long(rows)
    with pytest.warns(UserWarning, match="5 of 240 cases end without 'apply'"):
        assert len(told({name: column[5:] for name, column in events.items()}).p_yes) == N - 5
    with pytest.warns(UserWarning, match="no case has reached 'gold'"):
        cohort = told(events, yes="gold").cohort(14)
    assert cohort.rate == 0.0 < cohort.upper


def test_few_alike_are_no_certainty() -> None:
    """Three cases that all were paid leave room for doubt about a fourth."""
    days = [FIRST, FIRST + DAY, FIRST + 2 * DAY, FIRST + 3 * DAY]
    few = {"case_id": [1, 2, 3, 4], "apply": days, "paid": [*(d + DAY for d in days[:3]), None]}
    cohort = told(few, no=(), as_of="2026-01-04").cohort(30)
    assert cohort.rate == 1.0
    assert cohort.lower < 0.9


def test_a_funnel_that_tells_nothing_is_refused_with_what_to_do() -> None:
    """Nothing decided, no stage of that name, a wide table with a case twice, two instants."""
    events = long(wide())
    open_ = {name: column[:N] for name, column in events.items()}
    with (
        pytest.warns(UserWarning, match="reached 'paid'"),
        pytest.raises(InputError, match="none of 240 cases has ended"),
    ):
        told(open_)
    with pytest.raises(InputError, match=r"stage: no row is of .*'apply', 'paid', 'refused'"):
        told(events, stages=["begun"], yes="won", no=["lost"])
    with pytest.raises(InputError, match="events row 1: case_id: 7 is there twice"):
        told({**wide(), "case_id": [7] * N})
    with pytest.raises(InputError, match="as_of: one instant"):
        told(events, as_of_us=1)
    with pytest.raises(SchemaError, match="row 3: occurred_at: 'soon' is no instant"):
        told({**events, "occurred_at": [*(str(a) for a in events["occurred_at"][:3]), "soon",
                                        *(str(a) for a in events["occurred_at"][4:])]})  # fmt: skip
    with pytest.raises(SchemaError, match="refused: no such column"):
        told({name: column for name, column in wide().items() if name != "refused"})


def test_intervals_hold_the_final_share_about_as_often_as_they_say() -> None:
    """Of 90 intervals of young cohorts of 30 funnels, at least 78 hold what came of the cases."""
    hits = 0
    for seed in range(30):
        rows = wide(seed, 700)
        found = told(rows, seed=seed)
        paid = np.array([at is not None for at in rows["paid"]])
        final = paid[found.case_id.to_numpy()]
        for days in (28, 14, 7):
            cohort = found.cohort(days)
            hits += cohort.lower <= final[found.age_days < days].mean() <= cohort.upper
    assert hits >= 78
