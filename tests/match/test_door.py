"""Bad input is refused at the door, with the pair, customer, product or row that is at fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jinqiao.errors import InputError
from jinqiao.match import LimitRow, Pairs, certify, least_relaxation, solve

GOOD: dict[str, Any] = {
    "indptr": np.array([0, 2, 4, 5]),
    "product": np.array([0, 1, 0, 2, 1]),
    "value": np.array([4.0, 2.0, 3.0, -1.0, 2.0]),
    "use": np.ones(5),
    "cost": np.array([1.0, 2.0, 1.0, 3.0, 2.0]),
    "approval": np.array([0.1, 0.5, 0.9, 0.3, 0.2]),
}
ROW: dict[str, Any] = {
    "name": "quota-2", "sense": "<=", "limit": 1.0, "measure": "count", "products": np.array([1]),
}  # fmt: skip


def asked(**changes: Any) -> Any:
    """Solve a small problem, with some of its arguments changed."""
    columns = {name: changes.pop(name, given) for name, given in GOOD.items()}
    row = ROW | {key[4:]: changes.pop(key) for key in [*changes] if key.startswith("row_")}
    rows = changes.pop("rows", None)
    slots, n_products = changes.pop("slots", 1), changes.pop("n_products", 3)
    rows = (LimitRow(**row),) if rows is None else rows
    return solve(Pairs(**columns), slots, rows, n_products=n_products, **changes)


def at(name: str, place: int, value: object) -> dict[str, Any]:
    """Return one column of the good problem with one number changed."""
    column = np.array(GOOD[name], object if isinstance(value, str) else None)
    column = column.astype(np.float64) if isinstance(value, float) else column
    column[place] = value
    return {name: column}


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    # what: (changed, who is at fault, the field)
    "a value of nan": (at("value", 3, np.nan), "pair 3 (customer 1, product 2)", "value"),
    "an infinite value": (at("value", 4, np.inf), "pair 4 (customer 2, product 1)", "value"),
    "a value beyond 1e15": (at("value", 0, -1e300), "pair 0 (customer 0, product 0)", "value"),
    "a negative use": (at("use", 1, -0.5), "pair 1 (customer 0, product 1)", "use"),
    "a use that is no number": ({"use": float("nan")}, "", "use"),
    "a cost that is no number": (at("cost", 2, np.nan), "pair 2 (customer 1, product 0)", "cost"),
    "a chance above 1": (at("approval", 4, 1.5), "pair 4 (customer 2, product 1)", "approval"),
    "a chance below 0": (at("approval", 0, -0.1), "pair 0 (customer 0, product 0)", "approval"),
    "a column too short": ({"value": np.ones(4)}, "pairs", "value"),
    "a column of two dimensions": ({"use": np.ones((5, 1))}, "pairs", "use"),
    "an indptr that falls": ({"indptr": np.array([0, 4, 2, 5])}, "customer 1", "indptr"),
    "an indptr from 1": ({"indptr": np.array([1, 2, 4, 5])}, "pairs", "indptr"),
    "an indptr that ends early": ({"indptr": np.array([0, 2, 4])}, "pairs", "indptr"),
    "an indptr of fractions": ({"indptr": np.array([0.0, 2.0, 4.0, 5.5])}, "pairs", "indptr"),
    "an empty indptr": ({"indptr": np.zeros(0, np.int64)}, "pairs", "indptr"),
    "an unknown product": (at("product", 3, 7), "pair 3", "product"),
    "a negative product": (at("product", 3, -1), "pair 3", "product"),
    "a product of fractions": (at("product", 3, 1.5), "pairs", "product"),
    "a product beyond 32 bits": (at("product", 3, 2**40), "pairs", "product"),
    "a product twice": (at("product", 3, 0), "pair 3 (customer 1, product 0)", "product"),
    "negative slots": ({"slots": np.array([1, -1, 1])}, "customer 1", "slots"),
    "a negative number of slots": ({"slots": -1}, "customer 0", "slots"),
    "slots of fractions": ({"slots": np.array([1.0, 1.5, 1.0])}, "slots", "slots"),
    "too few slots": ({"slots": np.array([1, 1])}, "slots", "slots"),
    "a negative quota": ({"row_limit": -1.0}, "quota-2", "limit"),
    "a limit that is no number": ({"row_limit": np.nan}, "quota-2", "limit"),
    "an infinite limit": ({"row_limit": np.inf}, "quota-2", "limit"),
    "a limit beyond 1e15": ({"row_limit": 1e16}, "quota-2", "limit"),
    "another sense": ({"row_sense": "=="}, "quota-2", "sense"),
    "another measure": ({"row_measure": "clicks"}, "quota-2", "measure"),
    "a negative penalty": ({"row_soft_penalty": -2.0}, "quota-2", "soft_penalty"),
    "a penalty that is no number": ({"row_soft_penalty": np.nan}, "quota-2", "soft_penalty"),
    "a floor above 1": ({"row_measure": "approval", "row_floor": 1.2}, "quota-2", "floor"),
    "a floor that is no number": ({"row_floor": np.nan}, "quota-2", "floor"),
    "a row of an unknown product": ({"row_products": np.array([3])}, "quota-2", "products"),
    "a row of a negative product": ({"row_products": np.array([-1])}, "quota-2", "products"),
    "a row of half a product": ({"row_products": np.array([0.5])}, "quota-2", "products"),
    "a row of a product beyond 32 bits": ({"row_products": [2**32]}, "quota-2", "products"),
    "a mask too long": ({"row_customers": np.ones(4, bool)}, "quota-2", "customers"),
    "an unknown customer": ({"row_customers": np.array([3])}, "quota-2", "customers"),
    "a negative customer": ({"row_customers": np.array([-1])}, "quota-2", "customers"),
    "half a customer": ({"row_customers": np.array([0.5])}, "quota-2", "customers"),
    "two rows of one name": ({"rows": [LimitRow(**ROW), LimitRow(**ROW)]}, "quota-2", "name"),
    "a rate without chances": ({"approval": None, "row_measure": "approval"}, "quota-2", "measure"),
    "no products": ({"n_products": 0}, "", ""),
    "a negative starting price": ({"warm": {"quota-2": -1.0}}, "quota-2", "warm"),
    "a starting price that is no number": ({"warm": {"quota-2": np.nan}}, "quota-2", "warm"),
    "a gap that is no number": ({"gap_target": np.nan}, "", "gap_target"),
    "a negative gap": ({"gap_target": -1e-4}, "", "gap_target"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_by_name(what: str) -> None:
    """What is wrong is said with the pair, customer or row, the field, and what to do."""
    changes, record, field = BAD[what]
    with pytest.raises(InputError, match=re.escape(record) or None) as caught:
        asked(**changes)
    if field:
        assert caught.value.field == field
    assert str(caught.value)


def test_the_good_problem_is_taken() -> None:
    """Nothing is wrong with the problem the bad ones are made from."""
    plan = asked()
    assert plan.certificate.violation_max == 0.0
    assert plan.chosen.tolist() == [True, False, True, False, True]


GOOD_WAYS: dict[str, Callable[[Pairs], Pairs]] = {
    "lists": lambda p: Pairs(p.indptr.tolist(), p.product.tolist(), p.value.tolist()),
    "32 bits": lambda p: Pairs(
        p.indptr.astype(np.int32), p.product.astype(np.uint16), p.value.astype(np.float32)
    ),
    "strides": lambda p: Pairs(
        np.repeat(p.indptr, 2)[::2], np.repeat(p.product, 2)[::2], np.repeat(p.value, 3)[::3]
    ),
    "read only": lambda p: Pairs(*(_frozen(x) for x in (p.indptr, p.product, p.value))),
}


def _frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("way", GOOD_WAYS)
def test_arrays_of_any_kind_give_the_same_plan(way: str) -> None:
    """Lists, narrow numbers, strided and read-only arrays mean the same problem."""
    pairs = Pairs(GOOD["indptr"], GOOD["product"], GOOD["value"])
    rows = [LimitRow(**ROW)]
    one = solve(pairs, 1, rows, n_products=3)
    two = solve(GOOD_WAYS[way](pairs), 1, rows, n_products=3)
    assert one.chosen.tolist() == two.chosen.tolist()
    assert two.certificate.primal == one.certificate.primal


def test_the_checker_and_phase_one_have_the_same_door() -> None:
    """``certify`` and ``least_relaxation`` refuse what ``solve`` refuses."""
    pairs = Pairs(**GOOD)
    plan = solve(pairs, 1, [LimitRow(**ROW)], n_products=3)
    unknown = [LimitRow(**(ROW | {"products": np.array([9])}))]
    with pytest.raises(InputError, match="quota-2"):
        certify(pairs, 1, unknown, plan)
    with pytest.raises(InputError, match="quota-2"):
        least_relaxation(pairs, 1, unknown, n_products=3)


def test_the_checker_refuses_another_problem_s_plan() -> None:
    """Duals out of their range, other rows and other pairs are no plan of this problem."""
    pairs, rows = Pairs(**GOOD), [LimitRow(**ROW)]
    plan = solve(pairs, 1, rows, n_products=3)
    for bad in (
        replace(plan, duals=np.array([-1.0])),
        replace(plan, duals=np.array([np.nan])),
        replace(plan, duals=np.array([np.inf])),
        replace(plan, duals=np.zeros(2)),
        replace(plan, row_names=("other",)),
        replace(plan, chosen=plan.chosen[1:]),
        replace(plan, chosen=plan.chosen.astype(np.float64) / 2),
    ):
        with pytest.raises(InputError):
            certify(pairs, 1, rows, bad)
    soft = [replace(rows[0], soft_penalty=0.5)]
    with pytest.raises(InputError, match="quota-2"):
        certify(pairs, 1, soft, replace(plan, duals=np.array([0.6])))


def test_the_checker_sees_a_broken_plan() -> None:
    """One offer too many is told as slots passed, one unit too many as the row and by how much."""
    pairs, rows = Pairs(**GOOD), [LimitRow(**ROW)]
    plan = solve(pairs, 1, rows, n_products=3)
    found = certify(pairs, 1, rows, replace(plan, chosen=np.ones(5, bool)))
    assert found.slot_excess == 2
    assert found.violation_by_row == {"quota-2": 1.0}
    assert found.violation_max == 1.0
    assert not found.reached
