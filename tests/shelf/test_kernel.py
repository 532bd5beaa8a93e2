"""One request's short path makes the shelf that the vectorised path makes, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.shelf.conftest import N, chances, products, requests, serving

from jinqiao import shelf
from jinqiao.engines.allocation import PriceTables
from jinqiao.shelf.rank import _many

SETTINGS = st.builds(
    shelf.Settings,
    slots=st.integers(1, 6), exploration_share=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
    beta=st.sampled_from([0.0, 0.3, 1.0]), class_most=st.integers(0, 2),
    institution_most=st.integers(0, 3), risky_most=st.integers(0, 1),
    frequency_most=st.integers(0, 3), seed=st.integers(0, 2**70),
)  # fmt: skip


class Asking:
    """Chances that can be asked one request at a time."""

    def __call__(self, *given: Any) -> NDArray[np.float32]:
        return chances(*given)

    def ask(self, customer: int, moments: Any) -> Any:
        def one(goods: NDArray[np.int32], position: Any = 1) -> NDArray[np.float32]:
            at = np.broadcast_to(np.asarray(position), len(goods)).astype(np.int8)
            rows = np.full(len(goods), customer, np.int32)
            each = np.zeros(len(goods), np.int32)
            parts = [chances(rows[i : i + 1], goods[i : i + 1], moments, each[:1], at[i : i + 1])
                     for i in range(len(goods))]  # fmt: skip
            return np.concatenate([np.empty((0, 4), np.float32), *parts])

        return type("One", (), {"chances": staticmethod(one)})()


@st.composite
def worlds(draw: st.DrawFn) -> tuple[shelf.Serving, shelf.Requests, Any, Any]:
    """Return a serving, requests, units left and what is stopped, of every kind."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = draw(st.sampled_from([1, 7, 8, 12, 30]))
    goods, by = products(p), rng.integers(0, 3, p)
    goods = goods.set_column(
        goods.column_names.index("stopped"), "stopped", pa.array(rng.random(p) < 0.1)
    )
    hours = [None if i else (int(rng.integers(0, 24)), int(rng.integers(1, 25))) for i in by]
    hours = [None if h and h[0] == h[1] else h for h in hours]
    made = serving(
        p=p, products=goods, allowed=rng.random((N, p)) < draw(st.sampled_from([0.1, 0.5, 1.0])),
        open_to_all=rng.random(p) < 0.5, popularity=rng.integers(0, 4, p) / 2.0,
        prices=PriceTables(
            rng.integers(0, 3, N).astype(np.int32),
            *(rng.gamma(1.0, 30.0, (3, p)) * (rng.random((3, p)) < 0.5) for _ in range(3)),
        ),
        settings=draw(SETTINGS), chances=draw(st.sampled_from([chances, Asking(), None])),
        schedules=shelf.Schedules.of(
            goods, hours, [("app",) if i == 1 else () for i in by],
            [("east",) if i == 2 else () for i in by],
            draw(st.sampled_from([(), tuple(rng.choice(["Asia/Shanghai", "Europe/London"], p))])),
        ),
    )  # fmt: skip
    asked = requests(8, consent=draw(st.booleans()), known=draw(st.booleans()))
    asked = replace(
        asked, shown_before=draw(st.sampled_from([None, rng.integers(0, 4, (8, p))])),
        region=draw(st.sampled_from([None, pa.array(["east", "west", None, "east"] * 2)])),
        at_us=asked.at_us + rng.integers(0, 86_400_000_000, 8),
    )  # fmt: skip
    left = draw(st.sampled_from([None, rng.integers(0, 3, p), rng.integers(0, 3, (8, p))]))
    return made, asked, left, draw(st.sampled_from([None, rng.random(p) < 0.2]))


def same(one: shelf.Shelves, many: shelf.Shelves) -> None:
    """Fail unless two shelves hold the same offers, numbers and rows, to the last bit."""
    assert (one.product == many.product).all()
    for name in ("request", "candidate", "position", "display_probability", "drawn"):
        a, b = getattr(one.placed, name), getattr(many.placed, name)
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    for a, b in ((one.top, many.top), (one.there, many.there)):
        for name in ("chances", "worth_minor", "value_minor", "price_minor"):
            assert getattr(a, name).dtype == getattr(b, name).dtype
            assert (getattr(a, name) == getattr(b, name)).all()
    assert one.rows().equals(many.rows())
    assert one.empty_rows().equals(many.empty_rows())


@given(worlds())
def test_a_single_request_gets_the_batchs_shelf(
    case: tuple[shelf.Serving, shelf.Requests, Any, Any],
) -> None:
    """Whatever the settings, limits, schedules, prices and scorer: offers, numbers and log."""
    made, asked, left, stopped = case
    for i in range(len(asked)):
        one = asked.take(np.array([i]))
        own = left[i : i + 1] if left is not None and left.ndim == 2 else left
        short = shelf.rank(made, one, left=own, stopped=stopped)
        same(short, _many(made, one, own, stopped, "plan"))


def test_a_single_request_takes_the_short_path(
    make_serving: Callable[..., shelf.Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several requests, other policies and a shelf without a slot go by the vectorised one."""
    made, taken = make_serving(), []
    decide = made.decider.decide
    monkeypatch.setattr(made.decider, "decide", lambda *given: taken.append(1) or decide(*given))
    shelf.rank(made, requests(1))
    assert len(taken) == 1
    shelf.rank(made, requests(2))
    shelf.rank(made, requests(1), policy="random")
    shelf.rank(replace(made, settings=replace(made.settings, slots=0)), requests(1))
    assert len(taken) == 1
