"""Time, place, channel and scene: what they add is measured where it is, and nothing where not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao import propensity
from jinqiao.errors import InputError
from jinqiao.propensity import ContextColumns
from jinqiao.propensity.columns import class_codes
from jinqiao.propensity.context import of_context
from jinqiao.propensity.delay import Delays

World = Any


def planted(rows: propensity.TrainingSet, pull: float) -> propensity.TrainingSet:
    """Return rows whose clicks are drawn anew: at checkout half of the classes are wished for."""
    rng = np.random.default_rng(21)
    _, shelf = np.unique(rows.shown_us, return_inverse=True)
    checkout = rng.random(shelf.max() + 1)[shelf] < 0.5
    wished = class_codes(rows.products)[rows.product] % 2 == 0
    logit = -2.2 + pull * np.where(checkout == wished, 1.0, -1.0)
    label = (rng.random(len(rows)) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    scene = pa.array(np.where(checkout, "checkout", "home"))
    first = rows.stages[0]
    known = label[first.rows]
    one = np.ones(len(known))
    click = replace(first, delays=Delays(known, one, one, known))
    return replace(
        rows, context=replace(rows.context, scene=scene), stages=(click, *rows.stages[1:])
    )


def test_what_the_scene_changes_is_found(rows: propensity.TrainingSet) -> None:
    """Where a scene turns wishes round, context saves log-loss and puts better offers first."""
    found = propensity.context_gain(planted(rows, 0.8), seed=1)
    assert found.nats[1] > 0
    assert found.auc > found.auc_without + 0.05
    assert found.lift is not None
    assert found.lift[1] > 0.1
    assert 0.2 < found.differ < 0.9


def test_where_nothing_hangs_on_it_nothing_is_claimed(rows: propensity.TrainingSet) -> None:
    """Without any effect of the moment, no gain is told beyond doubt."""
    found = propensity.context_gain(planted(rows, 0.0), seed=1)
    assert found.nats[1] < 0
    assert found.lift is None or found.lift[1] < 0


def test_one_customer_gets_another_order_elsewhere(
    world: World, rows: propensity.TrainingSet
) -> None:
    """The same profile is told apart by the scene: first there is what is wished for there."""
    made = planted(rows, 0.8)
    model = propensity.with_context(propensity.train(made, seed=3), made, seed=3)
    wished = class_codes(world.products) % 2 == 0
    what = np.arange(world.products.num_rows, dtype=np.int32)
    right = 0
    for customer in range(20):
        who = np.full(len(what), customer, np.int32)
        for scene, good in (("checkout", wished), ("home", ~wished)):
            moment = ContextColumns.single(world.end_us, scene=scene)
            told = model.predict(world.profiles, world.products, who, what, moment)
            right += good[told[:, 0].argmax()]
    assert right >= 36
    assert model.card["context"]["nats"][1] > 0
    assert "## Context" in propensity.card_page(model.card)


def test_position_is_no_context(rows: propensity.TrainingSet) -> None:
    """Hours, places and what is made of them are context; position, product and person are not."""
    names = rows.layout.names
    said = {name for name, yes in zip(names, of_context(names), strict=True) if yes}
    assert {"hour", "weekend", "scene_is_checkout", "bought", "days_from_payday"} <= said
    assert not any(name.startswith(("position", "rate_", "class_")) for name in said)


def test_too_few_shelves_are_refused(rows: propensity.TrainingSet) -> None:
    """A hundred offers cannot say, and the error does."""
    with pytest.raises(InputError, match="too few shelves"):
        propensity.context_gain(rows, seed=1, most=100)
