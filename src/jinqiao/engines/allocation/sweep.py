"""One pass over customers at given prices: values, usage and curvature of the smoothed dual.

A customer's part is max over 0 ≤ x ≤ 1, Σ x ≤ K of r·x − (μ/2)‖x‖²: the projection of r/μ, so
x = clip((r − τ)/μ, 0, 1) with τ ≥ 0 chosen so that Σ x ≤ K (Nesterov 2005, "Smooth minimization of
non-smooth functions", eq. 2.5, with a Euclidean prox). The exact part, the sum of the K best
positive r, comes free in the same pass, so every pass yields a valid bound.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["SUMS", "coefficient", "spread_customer", "sweep"]

SUMS = 4
"""Sums a pass returns: exact part, smoothed part, Σ r·x, number of marginal customers."""

jit = numba.njit(cache=True, nogil=True)


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def coefficient(a: Any, j: int, q: int) -> Any:
    """Return the coefficient of pair j in entry q of its cell, the row turned to ``<=``."""
    kind = a.cell_kind[q]
    if kind == 1:
        return a.cell_sign[q] * a.cost[j * a.cost_step]
    use = a.use[j * a.use_step]
    if kind == 0:
        return a.cell_sign[q] * use
    return a.cell_sign[q] * use * (a.approval[j * a.approval_step] - a.cell_floor[q])


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _threshold(r: Any, n: int, k: int, mu: float, kth: float, after: float) -> float:
    """Return τ ≥ 0 with Σ clip((r − τ)/μ, 0, 1) = k, or 0 when that sum is below k there."""
    low, high = max(after - mu, 0.0), kth
    tau = low
    for _ in range(60):
        ones, free, total = 0, 0, 0.0
        for i in range(n):
            over = r[i] - tau
            if over >= mu:
                ones += 1
            elif over > 0.0:
                free += 1
                total += r[i]
        level = ones + (total - free * tau) / mu
        if level <= k and tau <= 0.0:
            return 0.0
        if level > k:
            low = tau
        else:
            high = tau
        if free == 0:
            if level == k:
                return tau
            tau = 0.5 * (low + high)
            continue
        step = (total + (ones - k) * mu) / free
        if abs(step - tau) <= 1e-14 * (abs(tau) + mu):
            return max(step, 0.0)
        tau = step if low < step < high else 0.5 * (low + high)
    return tau


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def spread_customer(r: Any, n: int, slots: int, mu: float, top: Any, x: Any) -> Any:
    """Fill x[:n] for positive r[:n]; return (exact part, τ, is it marginal)."""
    if n <= slots:
        exact, marginal = 0.0, False
        for i in range(n):
            exact += r[i]
            x[i] = min(r[i] / mu, 1.0)
            marginal |= r[i] < mu
        return exact, -1.0, marginal
    kept = 0
    for i in range(n):
        if kept <= slots:
            place = kept
            kept += 1
        elif r[i] > top[slots]:
            place = slots
        else:
            continue
        while place > 0 and top[place - 1] < r[i]:
            top[place] = top[place - 1]
            place -= 1
        top[place] = r[i]
    exact = 0.0
    for i in range(slots):
        exact += top[i]
    kth, after = top[slots - 1], top[slots]
    if kth - after >= mu:
        for i in range(n):
            x[i] = 1.0 if r[i] >= kth else 0.0
        return exact, 0.0, False
    tau = _threshold(r, n, slots, mu, kth, after)
    for i in range(n):
        x[i] = min(max((r[i] - tau) / mu, 0.0), 1.0)
    return exact, tau if tau > 0.0 else -1.0, True


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def _curve(a: Any, cell: Any, j: Any, x: Any, n: int, tied: bool, room: Any, hessian: Any) -> None:
    """Add one marginal customer's Σ aaᵀ − (Σa)(Σa)ᵀ/f over its free pairs (times μ)."""
    sums, touched, coefs, seen = room
    n_touched, free = 0, 0
    for i in range(n):
        if not 0.0 < x[i] < 1.0:
            continue
        free += 1
        start, stop = a.cell_ptr[cell[i]], a.cell_ptr[cell[i] + 1]
        for q in range(start, stop):
            coefs[q - start] = coefficient(a, j[i], q)
        for q in range(start, stop):
            row, value = a.cell_row[q], coefs[q - start]
            for other in range(start, stop):
                hessian[row, a.cell_row[other]] += value * coefs[other - start]
            if not seen[row]:
                seen[row] = True
                touched[n_touched] = row
                n_touched += 1
            sums[row] += value
    for i in range(n_touched):
        row = touched[i]
        if tied:
            scaled = sums[row] / free
            for k in range(n_touched):
                hessian[row, touched[k]] -= scaled * sums[touched[k]]
    for i in range(n_touched):
        sums[touched[i]] = 0.0
        seen[touched[i]] = False


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def sweep(a: Any, who: Any, prices: Any, mu: float, usage: Any, hessian: Any) -> Any:
    """Return the sums of a pass over ``who``; add usage (3, n_cells) and hessian · μ (m, m).

    ``prices`` are three flat tables by cell: count, cost, approval.
    """
    count, cost, approval = prices
    degree, slots_max = 1, 1
    for c in who:
        degree = max(degree, a.indptr[c + 1] - a.indptr[c])
        slots_max = max(slots_max, a.slots[c])
    r, x = np.empty(degree), np.empty(degree)
    where = np.empty(degree, np.int64)
    cells = np.empty(degree, np.int64)
    top = np.empty(min(slots_max, degree) + 2)
    widest = 1
    for cell in range(len(a.cell_ptr) - 1):
        widest = max(widest, a.cell_ptr[cell + 1] - a.cell_ptr[cell])
    m = hessian.shape[0]
    room = (np.zeros(m), np.empty(m, np.int64), np.empty(widest), np.zeros(m, np.bool_))
    exact, smooth, fractional, marginals = 0.0, 0.0, 0.0, 0
    for c in who:
        slots = a.slots[c]
        if slots == 0:
            continue
        base = np.int64(a.segment[c]) * a.n_products
        n = 0
        for j in range(a.indptr[c], a.indptr[c + 1]):
            cell = base + a.product[j]
            price = (count[cell] + a.approval[j * a.approval_step] * approval[cell]) * a.use[
                j * a.use_step
            ] + a.cost[j * a.cost_step] * cost[cell]
            reduced = a.value[j] - price
            if reduced > 0.0:
                r[n] = reduced
                where[n] = j
                cells[n] = cell
                n += 1
        if n == 0:
            continue
        best, tau, marginal = spread_customer(r, n, slots, mu, top, x)
        exact += best
        for i in range(n):
            share = x[i]
            if share > 0.0:
                j = where[i]
                used = share * a.use[j * a.use_step]
                usage[0, cells[i]] += used
                usage[1, cells[i]] += share * a.cost[j * a.cost_step]
                usage[2, cells[i]] += used * a.approval[j * a.approval_step]
                fractional += share * r[i]
                smooth += share * (r[i] - 0.5 * mu * share)
        if marginal:
            marginals += 1
            _curve(a, cells, where, x, n, tau > 0.0, room, hessian)
    return exact, smooth, fractional, marginals
