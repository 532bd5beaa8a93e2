"""Other people's solvers on the base instance: the same arrays, one repair, CPU time of the run.

A peer's fractional plan becomes whole by ``repair``, which knows ceilings only, as the instance
has. Its gap is taken to the best bound anyone found. First-order peers run at ever finer tolerances
until their repaired plan is within the gap asked for; the first that is counts.

OR-tools asks for versions of its own: it runs in ``benchmarks/.peers-venv``, which is made here.
DuaLip states quotas alone (one offer a customer, no budgets), which the base instance is not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
from benchmarks.match.instances import Instance
from numpy.typing import NDArray

__all__ = ["Peer", "fastest", "run_peers"]

HERE = Path(__file__).resolve().parent
VENV = HERE.parent / ".peers-venv"
PEERS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("highs-simplex", (0.0,)),
    ("highs-ipx", (0.0,)),
    ("highs-pdlp", (1e-4, 1e-5, 1e-6)),
    ("ortools-pdlp", (1e-4, 1e-5, 1e-6)),
)
"""Tried in this order, each with its tolerances."""

LIMIT_S = 240.0
"""A peer's whole process, with reading its input."""


@dataclass(frozen=True)
class Peer:
    """What a peer needed: CPU-s None where it has none, with the reason."""

    name: str
    cpu_s: float | None
    gap: float | None = None
    wall_s: float | None = None
    tolerance: float = 0.0
    bound: float = np.inf
    primal: float = -np.inf
    reason: str | None = None
    tried: tuple[str, ...] = field(default=())


def run_peers(instance: Instance, bound: float, gap: float) -> list[Peer]:
    """Return what each peer needs for a whole plan within ``gap`` of the best bound known."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "lp")
        np.savez(file + ".npz", **as_lp(instance))
        return [_climb(instance, file, peer, bound, gap) for peer in PEERS] + [_dualip()]


def fastest(peers: list[Peer], gap: float) -> Peer | None:
    """Return the peer of least CPU-s among those within the gap."""
    there = [p for p in peers if p.cpu_s is not None and p.gap is not None and p.gap <= gap]
    return min(there, key=lambda peer: peer.cpu_s or 0.0, default=None)


def as_lp(instance: Instance) -> dict[str, NDArray[Any]]:
    """Return the relaxation, a column a pair: its customer's slots, then the rows it is in."""
    n, nnz, m = instance.n, len(instance.product), len(instance.rows)
    of_product: list[list[tuple[int, bool]]] = [[] for _ in range(instance.law.n_products)]
    for index, row in enumerate(instance.rows):
        assert row.sense == "<="
        assert row.customers is None
        for p in row.products:
            of_product[p].append((n + index, row.measure == "cost"))
    width = len(of_product[0])
    assert all(len(rows) == width for rows in of_product)
    rows = np.array([[index for index, _ in entries] for entries in of_product], np.int32)
    money = np.array([[is_cost for _, is_cost in entries] for entries in of_product])
    index = np.empty((nnz, 1 + width), np.int32)
    index[:, 0] = np.repeat(np.arange(n, dtype=np.int32), np.diff(instance.indptr))
    index[:, 1:] = rows[instance.product]
    data = np.ones((nnz, 1 + width))
    data[:, 1:] = np.where(money[instance.product], instance.cost[:, None], 1.0)
    slots = np.full(n, float(instance.law.slots))
    return {
        "c": instance.value.astype(np.float64), "upper": np.ones(nnz),
        "start": np.arange(nnz + 1, dtype=np.int32) * (1 + width), "index": index.ravel(),
        "data": data.ravel(), "row_lower": np.full(n + m, -np.inf),
        "row_upper": np.concatenate((slots, [row.limit for row in instance.rows])),
    }  # fmt: skip


def _climb(
    instance: Instance, file: str, peer: tuple[str, tuple[float, ...]], bound: float, gap: float
) -> Peer:
    name, tolerances = peer
    tried: list[str] = []
    found = Peer(name, None, reason="not run")
    for tolerance in tolerances:
        new = _once(instance, file, name, tolerance, bound)
        if new.cpu_s is None or new.gap is None:
            tried.append(f"{tolerance:g}: {new.reason}")
            found = new if found.cpu_s is None else found
            break
        found = new
        tried.append(f"{tolerance:g}: {found.cpu_s:.1f} CPU-s, gap {found.gap:.1e}")
        if found.gap <= gap or (found.wall_s or 0.0) > LIMIT_S / 4:
            break
    return Peer(**(vars(found) | {"tried": tuple(tried)}))


def _once(instance: Instance, file: str, name: str, tolerance: float, bound: float) -> Peer:
    python = sys.executable
    if name.startswith("ortools"):
        python, reason = environment()
        if reason:
            return Peer(name, None, reason=reason)
    words = [python, str(HERE / "peer_run.py"), file, name, str(tolerance)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Peer(name, None, reason=f"no answer within {LIMIT_S:.0f} s")
    if done.returncode:
        return Peer(name, None, reason=f"failed: {done.stderr.strip().splitlines()[-1][:120]}")
    told = json.loads(done.stdout.splitlines()[-1])
    if "limit" in told["status"].lower():
        return Peer(name, None, reason=f"{told['status']} after {told['wall_s']:.0f} s")
    answer = np.load(f"{file}.{name}.npz")
    duals = np.maximum(answer["duals"][instance.n :], 0.0)
    primal = repair(instance, answer["x"], duals)
    return Peer(
        name, told["cpu_s"], max(bound - primal, 0.0) / abs(bound), told["wall_s"], tolerance,
        primal=primal,
    )  # fmt: skip


def environment() -> tuple[str, str | None]:
    """Return the Python of the peers' environment, and why there is none."""
    python = VENV / "bin" / "python"
    pins = HERE / "peers-constraints.txt"
    pip = [str(python), "-m", "pip", "install", "--quiet", "-c", str(pins), "ortools", "scipy"]
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        if subprocess.run(
            [str(python), "-c", "import ortools, scipy"], capture_output=True
        ).returncode:
            subprocess.run(pip, check=True, capture_output=True, timeout=600)
    except (subprocess.SubprocessError, OSError) as error:
        return "", f"OR-tools could not be installed ({type(error).__name__})"
    return str(python), None


def _dualip() -> Peer:
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, "dualip"]
        found = subprocess.run(words, capture_output=True).returncode == 0
    stated = "it states quotas alone, and this instance has budgets"
    return Peer("dualip", None, reason=stated if found else f"pip finds no dualip; {stated}")


def repair(instance: Instance, x: NDArray[np.float64], duals: NDArray[np.float64]) -> float:
    """Return the value of a whole plan near a fractional one, under ceilings alone.

    Pairs above one half are taken, the dearest to keep in a row above its limit dropped, then what
    still fits is taken: by what x says, by value less price, by value.
    """
    lp = as_lp(instance)
    n, width = instance.n, int(lp["start"][1])
    index = lp["index"].reshape(-1, width) - n
    room = lp["row_upper"][n:].copy()
    value = lp["c"]
    data = lp["data"].reshape(-1, width)
    reduced = value - (duals[index[:, 1:]] * data[:, 1:]).sum(axis=1)
    chosen = np.zeros(len(x), bool)
    free = np.full(n, instance.law.slots)
    owner = index[:, 0] + n
    room_of = (owner, index[:, 1:], data[:, 1:], free, room, chosen)
    _take(np.argsort(-x)[: int((x > 0.5).sum())], False, *room_of)
    held = np.flatnonzero(chosen)
    _drop(held[np.argsort(reduced[held])], *room_of)
    for order, worth in ((-x, x > 0.01), (-reduced, reduced > 0), (-value, value > 0)):
        wanted = np.flatnonzero(worth & ~chosen & (free[owner] > 0))
        _take(wanted[np.argsort(order[wanted])], True, *room_of)
    assert room.min() >= 0
    assert free.min() >= 0
    return float(value[chosen].sum())


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _take(who, bounded, owner, rows, amount, free, room, chosen):  # type: ignore[no-untyped-def]
    for j in who:
        fits = free[owner[j]] > 0 and not chosen[j]
        for k in range(rows.shape[1]):
            fits &= (not bounded) or room[rows[j, k]] >= amount[j, k]
        if fits:
            chosen[j] = True
            free[owner[j]] -= 1
            for k in range(rows.shape[1]):
                room[rows[j, k]] -= amount[j, k]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _drop(who, owner, rows, amount, free, room, chosen):  # type: ignore[no-untyped-def]
    for j in who:
        above = False
        for k in range(rows.shape[1]):
            above |= room[rows[j, k]] < 0
        if above:
            chosen[j] = False
            free[owner[j]] += 1
            for k in range(rows.shape[1]):
                room[rows[j, k]] += amount[j, k]
