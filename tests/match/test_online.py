"""Days replayed online: prices through the day, hard limits whatever comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.errors import InputError
from jinqiao.match.policies import Policy, Seen, fixed, mirror, pid
from jinqiao.match.stream import open_chance

P, N = 8, 20_000
EVERYTHING = np.arange(P)


def visits(rng: np.random.Generator, n: int, appeal: NDArray[np.float64]) -> match.Pairs:
    """Return n visits of four offers each, worth more where the product appeals."""
    product = np.sort(np.argsort(rng.random((n, P)), axis=1)[:, :4], axis=1)
    value = np.exp(appeal[product] + rng.normal(0, 0.4, product.shape))
    cost = (10.0 + product).ravel()
    return match.Pairs(
        np.arange(0, 4 * n + 1, 4), product.ravel(), value.ravel(), 1.0, cost,
        rng.uniform(0.2, 0.8, 4 * n),
    )  # fmt: skip


def quotas(n: int) -> tuple[match.LimitRow, ...]:
    each = [match.LimitRow(f"quota-{p}", "<=", n // 10 + p, "count", [p]) for p in range(P)]
    return (*each, match.LimitRow("budget", "<=", 3 * n, "cost", [0, 1, 2]))


def day(n: int, seed: int, shift: float = 0.0) -> match.Stream:
    rng = np.random.default_rng(seed)
    appeal = np.linspace(0.0, 1.0, P)
    if shift:
        appeal = appeal + shift * np.array([1, -1, 1, -1, 1, -1, 1, -1])
    return match.Stream(visits(rng, n, appeal), 1, np.sort(rng.random(n)))


def held(stream: match.Stream, rows: tuple[match.LimitRow, ...], found: match.Replayed,
         ticks: int) -> NDArray[np.float64]:  # fmt: skip
    """Return what is posted and reserved of each row at the end of each tick, by the record."""
    pairs, clicks, back = stream.pairs, found.clicks, stream.feedback
    chance = np.ones(pairs.n_pairs)
    if back is not None:
        chance = chance * back.click * back.keep
    out = np.zeros((ticks, len(rows)))
    for i, row in enumerate(rows):
        of = pairs.column("cost" if row.measure == "cost" else "use") / chance
        member = np.isin(pairs.product, row.products)
        if row.customers is not None:
            inside = np.zeros(pairs.n_customers, bool)
            inside[row.customers] = True
            member &= inside[pairs.customer]
        stays = clicks.kept & (clicks.approved if row.measure == "approval" else True)
        gone = np.where(stays, ticks, clicks.told_tick)
        for tick in range(ticks):
            now = (clicks.taken_tick <= tick) & (gone > tick) & member[clicks.pair]
            out[tick, i] = of[clicks.pair[now]].sum()
    return out


@pytest.fixture(scope="module")
def plan() -> match.Plan:
    return match.solve(day(N, 1).pairs, 1, quotas(N), n_products=P)


@pytest.mark.parametrize(("shift", "least"), [(0.0, 0.99), (0.3, 0.985)])
def test_pacing_comes_near_hindsight_and_beats_its_peers(
    plan: match.Plan, shift: float, least: float
) -> None:
    """Paced prices reach most of the hindsight bound, more than staying or greedy prices do."""
    stream, rows = day(N, 2, shift), quotas(N)
    bound = match.hindsight(stream, rows, n_products=P).certificate.dual_bound

    def share(policy: Policy) -> float:
        found = match.replay(stream, rows, policy, n_products=P)
        assert found.over.max() == 0.0
        return found.share_of(bound)

    ours, again = share(match.paced(plan.duals)), share(match.resolved(plan.duals, n_products=P))
    assert max(ours, again) >= least
    assert min(ours, again) > share(fixed(plan.duals))
    assert min(ours, again) > share(fixed(np.zeros(len(rows))))
    assert max(ours, again) >= share(pid(plan.duals)) - 2e-3
    assert max(ours, again) > share(mirror(plan.duals))
    assert max(ours, again) <= 1.0


def test_a_surge_of_ten_times_stays_within_limits_and_leaves_some_for_the_evening() -> None:
    """An hour of ten times the visits nobody expected: still served late, and no limit passed."""
    calm, rows = day(4_000, 3), quotas(4_000)
    plan = match.solve(calm.pairs, 1, rows, n_products=P)
    rng = np.random.default_rng(4)
    at = np.sort(np.concatenate((rng.random(4_000), rng.uniform(0.4, 0.4 + 1 / 24, 1_500))))
    stream = match.Stream(visits(rng, 5_500, np.linspace(0.0, 1.0, P)), 1, at)
    late = at > 0.8
    shown = {}
    for name, policy in {"fixed": fixed(plan.duals), "paced": match.paced(plan.duals)}.items():
        found = match.replay(stream, rows, policy, n_products=P)
        assert found.over.max() == 0.0
        worth = np.where(found.shown[:, 0] >= 0, stream.pairs.value[found.shown[:, 0]], 0.0)
        shown[name] = (found.value, worth[late].sum())
    assert shown["paced"][0] > shown["fixed"][0]
    assert shown["paced"][1] > 0


def test_an_approval_floor_is_kept_online() -> None:
    """A hard floor on the approval rate is met at the day's end, at any prices."""
    stream = day(3_000, 5)
    rows = (*quotas(3_000), match.approval_row("floor", EVERYTHING, 0.55))
    free = match.replay(stream, rows[:-1], fixed(np.zeros(len(rows) - 1)), n_products=P)
    chosen = free.shown[free.shown >= 0]
    assert stream.pairs.approval is not None
    assert stream.pairs.approval[chosen].mean() < 0.53
    plan = match.solve(day(3_000, 6).pairs, 1, rows, n_products=P)
    for policy in (match.paced(plan.duals), fixed(np.zeros(len(rows)))):
        found = match.replay(stream, rows, policy, n_products=P)
        chosen = found.shown[found.shown >= 0]
        assert found.missed[-1] <= 0.005
        assert stream.pairs.approval[chosen].mean() >= 0.55 - 0.005


def test_a_segments_floor_is_met_within_half_a_percent() -> None:
    """A segment gets the least it was promised, under drift too, by the floor's price alone."""
    n = 6_000
    thin = np.zeros(n, bool)
    thin[::10] = True
    best = np.arange(P // 2, P)
    floor = match.segment_row("thin", thin, 350.0, best)
    rows = (*quotas(n), floor)
    plan = match.solve(day(n, 7).pairs, 1, rows, n_products=P)
    assert plan.dual("thin") > 0
    found = match.replay(day(n, 8, 0.3), rows, match.paced(plan.duals), n_products=P)
    assert found.missed[-1] <= 0.005
    assert found.over.max() == 0.0


def test_a_quota_of_one_goes_to_one_and_not_to_the_first() -> None:
    """One unit: exactly one visitor gets it, worth most of what the best would be."""
    rng = np.random.default_rng(9)
    n = 400
    rows = (match.LimitRow("one", "<=", 1, "count", [0]),)

    def one_day() -> match.Stream:
        pairs = match.Pairs(np.arange(n + 1), np.zeros(n, int), rng.uniform(0, 10, n))
        return match.Stream(pairs, 1, np.sort(rng.random(n)))

    duals = match.solve(one_day().pairs, 1, rows, n_products=1).duals
    worth = []
    for _ in range(25):
        stream = one_day()
        found = match.replay(stream, rows, match.paced(duals), n_products=1, ticks=100)
        assert (found.shown >= 0).sum() <= 1
        worth.append(found.value / stream.pairs.value.max())
    assert np.mean(worth) > 0.85


def test_open_click_outs_count_by_their_hazard() -> None:
    """Expected use lies between what is posted and what is reserved, and comes true on average."""
    n = 4_000
    stream = replace(
        day(n, 10), feedback=match.Feedback(click=1.0, keep=0.25, yes_wait=0.04, no_wait=0.4)
    )
    stream = replace(stream, pairs=replace(stream.pairs, use=0.25))
    rows = tuple(replace(row, limit=float(row.limit)) for row in quotas(n)[:P])
    ticks = 100
    found = match.replay(stream, rows, fixed(np.zeros(P)), n_products=P, ticks=ticks)
    clicks = found.clicks
    taken = held(stream, rows, found, ticks)
    tick = 60
    product = stream.pairs.product[clicks.pair]
    before = clicks.taken_tick < tick
    posted = np.bincount(product[before & clicks.kept & (clicks.told_tick <= tick)], minlength=P)
    will = np.bincount(product[before & clicks.kept], minlength=P)
    said = found.used_by_tick[tick]
    assert (said >= posted - 1e-9).all()
    assert (said <= taken[tick - 1] + 1e-9).all()
    assert said.sum() == pytest.approx(will.sum(), rel=0.1)


def test_silence_of_everybody_says_nothing_of_one() -> None:
    """While an institution is silent its open clicks stay as likely as when last heard of."""
    assert open_chance(0.3, 0.5, 0.05, 1.0) < 0.01
    n = 2_000
    silent = match.Silence(EVERYTHING, 0.3, 0.9)
    base = match.Feedback(click=1.0, keep=0.3, yes_wait=0.03, no_wait=0.3)
    stream = day(n, 11)
    stream = replace(stream, pairs=replace(stream.pairs, use=0.3))
    rows = quotas(n)[:P]
    quiet = replace(stream, feedback=replace(base, silences=(silent,)))
    found = match.replay(quiet, rows, fixed(np.zeros(P)), n_products=P, ticks=100)
    new = (found.clicks.taken_tick > 32) & (found.clicks.taken_tick < 89)
    product = stream.pairs.product[found.clicks.pair]
    expected = found.used_by_tick[89] - found.used_by_tick[33]
    assert expected.sum() == pytest.approx(0.3 * np.isin(product[new], EVERYTHING).sum(), rel=0.15)


ticks_ = st.integers(1, 30)
SLOW = st.sampled_from([0.001, 0.05, 0.5, 5.0])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 60), slots=st.integers(1, 3), ticks=ticks_,
    click=st.floats(0.05, 1.0), keep=st.floats(0.05, 1.0), yes=SLOW, no=SLOW,
    hold=st.sampled_from([0.01, 0.2, np.inf]), silent=st.booleans(), price=st.floats(0.0, 3.0),
)  # fmt: skip
def test_no_order_delay_or_silence_passes_a_hard_limit(
    seed: int, n: int, slots: int, ticks: int, click: float, keep: float, yes: float, no: float,
    hold: float, silent: bool, price: float,
) -> None:  # fmt: skip
    """Posted and reserved together never pass a hard count or money limit, at any instant."""
    rng = np.random.default_rng(seed)
    pairs = visits(rng, n, np.zeros(P))
    payout = pairs.column("cost")
    chance = click * keep
    pairs = replace(pairs, use=chance, cost=payout * chance)
    at = np.sort(rng.random(n)) if seed % 2 else np.full(n, 0.5)
    spells = (match.Silence(np.arange(4), 0.1, 0.7),) if silent else ()
    stream = match.Stream(
        pairs, slots, at, feedback=match.Feedback(click, keep, yes, no, hold, spells)
    )
    some = rng.random(n) < 0.5
    rows = (
        match.LimitRow("one", "<=", 1, "count", [0]),
        match.LimitRow("none", "<=", 0, "count", [1]),
        match.LimitRow("few", "<=", int(rng.integers(0, 12)), "count", EVERYTHING),
        match.LimitRow("money", "<=", int(rng.integers(0, 200)), "cost", [2, 3, 4]),
        match.LimitRow("branch", "<=", 3, "count", EVERYTHING, some),
        match.LimitRow("approvals", "<=", 2, "approval", [5, 6]),
    )

    def moody(_seen: Seen) -> NDArray[np.float64]:
        return price * rng.random(len(rows))

    found = match.replay(stream, rows, moody, n_products=P, ticks=ticks, seed=seed)
    limit = np.array([row.limit for row in rows])
    assert (held(stream, rows, found, ticks) <= limit + 1e-9 * limit).all()
    assert found.over.max() == 0.0
    assert (found.used <= limit + 1e-9 * limit).all()
    for i in range(n):
        own = found.shown[i][found.shown[i] >= 0]
        assert len(own) == len(set(own.tolist())) <= slots
        assert ((pairs.indptr[i] <= own) & (own < pairs.indptr[i + 1])).all()


def test_the_same_seed_gives_the_same_day() -> None:
    """A replay can be made again, and looks at nothing that has not come yet."""
    stream, rows = day(500, 12), quotas(500)
    policy = match.paced(np.ones(len(rows)))
    one = match.replay(stream, rows, policy, n_products=P)
    two = match.replay(stream, rows, policy, n_products=P)
    assert (one.shown == two.shown).all()
    changed = replace(stream.pairs, value=stream.pairs.value.copy())
    changed.value[4 * 250 :] = 1.0
    other = match.replay(replace(stream, pairs=changed), rows, policy, n_products=P)
    tick = int(np.searchsorted(np.arange(480) / 480, stream.at[250]) - 1)
    assert (one.duals_by_tick[:tick] == other.duals_by_tick[:tick]).all()
    assert (one.shown[:250] == other.shown[:250]).all()


def test_a_stream_that_cannot_be_is_refused() -> None:
    """Times that fall, chances of 0 and curves that fall are named."""
    pairs = visits(np.random.default_rng(0), 2, np.zeros(P))
    for wrong in ([0.5, 0.1], [0.1, 1.2], [0.1]):
        with pytest.raises(InputError):
            match.Stream(pairs, 1, np.array(wrong))
    with pytest.raises(InputError):
        match.Stream(pairs, 1, np.array([0.1, 0.2]), demand=np.array([0.0, 0.7, 0.6, 1.0]))
    with pytest.raises(InputError):
        match.Feedback(0.0, 0.5)
    with pytest.raises(InputError):
        match.Feedback(0.5, 0.5, hold=0.0)
