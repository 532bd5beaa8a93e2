"""Pairs from a mask of what is allowed and arrays of chances and values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jinqiao.engines.allocation import Pairs
from jinqiao.engines.worth import expected_applications, expected_payout
from jinqiao.errors import InputError

__all__ = ["pairs_from"]


def pairs_from(
    allowed: NDArray[np.bool_],
    chances: NDArray[np.floating],
    value_minor: NDArray[np.floating],
    payout_minor: ArrayLike = 0.0,
    paid_stage: ArrayLike = 3,
) -> Pairs:
    """Return the pairs of a mask: use = expected applications, cost = expected payout.

    Parameters
    ----------
    allowed : (n_customers, n_products) bool.
    chances : (n_customers, n_products, 4) for every pair, or (m, 4) for the allowed ones row by
        row: click given shown, application given click, approval and activation given the former.
    value_minor : of a shown pair, in the same order: (n_customers, n_products) or (m,).
    payout_minor, paid_stage : one number or one a product (``engines.worth`` has the codes).

    Raises
    ------
    InputError : arrays of different sizes, or a number out of its range, naming the pair.
    """
    allowed = np.asarray(allowed, bool)
    if allowed.ndim != 2:
        raise InputError(f"a mask of {allowed.shape}, not (n, p)", field="allowed")
    customer, product = np.nonzero(allowed)
    chances = _sparse(np.asarray(chances), allowed, (4,), "chances")
    value = _sparse(np.asarray(value_minor), allowed, (), "value_minor")
    payout = _of_product(payout_minor, allowed.shape[1], product, "payout_minor")
    stage = _of_product(paid_stage, allowed.shape[1], product, "paid_stage")
    indptr = np.concatenate(([0], np.cumsum(np.bincount(customer, minlength=len(allowed)))))
    return Pairs(
        indptr.astype(np.int64),
        product.astype(np.int32),
        value.astype(np.float64),
        use=expected_applications(chances),
        cost=expected_payout(chances, payout, stage),
        approval=chances[:, 2].astype(np.float64),
    )


def _sparse(
    given: NDArray[np.floating], allowed: NDArray[np.bool_], tail: tuple[int, ...], name: str
) -> NDArray[np.floating]:
    if given.shape == (*allowed.shape, *tail):
        return given[allowed]
    if given.shape == (int(allowed.sum()), *tail):
        return given
    raise InputError(
        f"{given.shape} for {int(allowed.sum())} allowed pairs of {allowed.shape}",
        record="pairs",
        field=name,
        fix="give every pair of the mask, or the allowed ones row by row",
    )


def _of_product(
    given: ArrayLike, n_products: int, product: NDArray[np.int64], name: str
) -> NDArray[np.float64]:
    array = np.asarray(given, np.float64)
    if array.ndim and array.shape != (n_products,):
        raise InputError(
            f"{array.shape} for {n_products} products", record="products", field=name,
            fix="one number, or one a product",
        )  # fmt: skip
    return np.broadcast_to(array, (n_products,))[product]
