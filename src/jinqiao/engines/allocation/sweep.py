"""Compiled: one pass over a core at given prices: values, use and curvature of the smoothed dual.

A customer's part is max over 0 ≤ x ≤ 1, Σ x ≤ K of r·x − (μ/2)‖x‖²: the projection of r/μ, so
x = clip((r − τ)/μ, 0, 1) with τ ≥ 0 chosen so that Σ x ≤ K (Nesterov 2005, "Smooth minimization of
non-smooth functions", eq. 2.5, with a Euclidean prox). The exact part, the sum of the K best
positive r, comes free in the same pass, so every pass yields a valid bound.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jinqiao.engines.allocation.scan import jit

__all__ = ["CoreArrays", "backsolve", "draw", "reduce_pairs", "sweep"]


class CoreArrays(NamedTuple):
    """A ``chunk.Core`` as the kernels read it."""

    slots: Any
    weight: Any
    ptr: Any
    value: Any
    entry: Any
    row: Any
    coef: Any


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def backsolve(lower: Any, x: Any) -> None:
    """Overwrite x with the solution of L Lᵀ y = x."""
    n = len(x)
    for i in range(n):
        total = x[i]
        for k in range(i):
            total -= lower[i, k] * x[k]
        x[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= lower[i, i]
        for k in range(i):
            x[k] -= lower[i, k] * x[i]


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def reduce_pairs(a: Any, duals: Any, reduced: Any) -> None:
    """Fill r = v − Σ λ·a of every pair."""
    for j in range(len(a.value)):
        r = a.value[j]
        for q in range(a.entry[j], a.entry[j + 1]):
            r -= duals[a.row[q]] * a.coef[q]
        reduced[j] = r


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
def _spread(r: Any, n: int, slots: int, mu: float, top: Any, x: Any) -> Any:
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
def _curve(
    a: Any, where: Any, x: Any, n: int, tied: bool, weight: float, room: Any, hess: Any
) -> None:
    """Add half of a customer's Σ aaᵀ − (Σa)(Σa)ᵀ/f over its free pairs (times μ).

    Each two rows meet once, on either side of the diagonal.
    """
    sums, touched, seen = room
    n_touched, free = 0, 0
    for i in range(n):
        if not 0.0 < x[i] < 1.0:
            continue
        free += 1
        start, stop = a.entry[where[i]], a.entry[where[i] + 1]
        for q in range(start, stop):
            row, value = a.row[q], a.coef[q]
            scaled = weight * value
            for other in range(start, q + 1):
                hess[row, a.row[other]] += scaled * a.coef[other]
            if not seen[row]:
                seen[row] = True
                touched[n_touched] = row
                n_touched += 1
            sums[row] += value
    if tied:
        for i in range(n_touched):
            row = touched[i]
            scaled = weight * sums[row] / free
            for k in range(i + 1):
                hess[row, touched[k]] -= scaled * sums[touched[k]]
    for i in range(n_touched):
        sums[touched[i]] = 0.0
        seen[touched[i]] = False


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def sweep(a: Any, duals: Any, mu: float, used: Any, hess: Any) -> Any:
    """Return the sums of a pass: exact part, smooth part, Σ r·x, number of marginal customers.

    Add use to ``used`` (m,) and half of the curvature times μ to ``hess`` (m, m): it
    and its transpose, less one diagonal, are the whole.
    """
    degree, slots_max = 1, 1
    n_customers = len(a.slots)
    for c in range(n_customers):
        degree = max(degree, a.ptr[c + 1] - a.ptr[c])
        slots_max = max(slots_max, a.slots[c])
    r, x = np.empty(degree), np.empty(degree)
    where = np.empty(degree, np.int64)
    top = np.empty(min(slots_max, degree) + 2)
    m = hess.shape[0]
    room = (np.zeros(m), np.empty(m, np.int64), np.zeros(m, np.bool_))
    exact, smooth, fractional, marginals = 0.0, 0.0, 0.0, 0
    for c in range(n_customers):
        slots, weight = a.slots[c], a.weight[c]
        if slots == 0:
            continue
        n = 0
        for j in range(a.ptr[c], a.ptr[c + 1]):
            reduced = a.value[j]
            for q in range(a.entry[j], a.entry[j + 1]):
                reduced -= duals[a.row[q]] * a.coef[q]
            if reduced > 0.0:
                r[n] = reduced
                where[n] = j
                n += 1
        if n == 0:
            continue
        best, tau, marginal = _spread(r, n, slots, mu, top, x)
        exact += weight * best
        for i in range(n):
            share = x[i]
            if share > 0.0:
                j = where[i]
                for q in range(a.entry[j], a.entry[j + 1]):
                    used[a.row[q]] += weight * share * a.coef[q]
                fractional += weight * share * r[i]
                smooth += weight * share * (r[i] - 0.5 * mu * share)
        if marginal:
            marginals += 1
            _curve(a, where, x, n, tau > 0.0, weight, room, hess)
    return exact, smooth, fractional, marginals


@jit  # type: ignore[misc,untyped-decorator,unused-ignore]
def draw(a: Any, reduced: Any, mu: float, uniform: Any, chosen: Any) -> None:
    """Choose each pair with chance x, at most K a customer: systematic sampling of each one's x.

    ``uniform`` (customers,) in [0, 1). What rows use is then, within chance, what x uses.
    """
    degree, slots_max = 1, 1
    for c in range(len(a.slots)):
        degree = max(degree, a.ptr[c + 1] - a.ptr[c])
        slots_max = max(slots_max, a.slots[c])
    r, x = np.empty(degree), np.empty(degree)
    where = np.empty(degree, np.int64)
    top = np.empty(min(slots_max, degree) + 2)
    for c in range(len(a.slots)):
        n = 0
        for j in range(a.ptr[c], a.ptr[c + 1]):
            if reduced[j] > 0.0:
                r[n] = reduced[j]
                where[n] = j
                n += 1
        slots = a.slots[c]
        if n == 0 or slots == 0:
            continue
        _spread(r, n, slots, mu, top, x)
        total, taken = uniform[c], 0
        for i in range(n):
            if x[i] >= 1.0:
                chosen[where[i]] = True
                taken += 1
                continue
            before = np.floor(total)
            total += x[i]
            if np.floor(total) > before and taken < slots:
                chosen[where[i]] = True
                taken += 1
