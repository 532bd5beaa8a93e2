"""What if a quota, a budget or an approval floor were another; and the prices with their ranges.

Asked of the published plan and the problem kept beside it: nothing is scored again, nothing
changes. Limits are spoken of as institutions write them (so many a day, a week, in all) and turned
into what the plan's days may take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao import match
from jinqiao.domain.catalog import Measure, Period
from jinqiao.domain.money import CURRENCIES
from jinqiao.errors import InputError
from jinqiao.flow.kept import Kept, read_problem
from jinqiao.flow.segments import segments_of

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["Wish", "ask", "limit_prices", "moved_products", "parse_wishes", "what_if"]

_KINDS = {"quota": Measure.COUNT, "budget": Measure.MONEY}
_EXAMPLE = "quota PRODUCT=+500, budget INSTITUTION=-10%, floor INSTITUTION=0.35"
_EXAMPLES, _PRICES = 5, 10


@dataclass(frozen=True, slots=True)
class Wish:
    """One change asked for: of a quota, a budget or a floor, whose, and how.

    ``narrow`` tells limits of one owner apart by period or stage.
    """

    kind: str
    owner: str
    narrow: tuple[str, ...]
    change: match.Change

    @property
    def text(self) -> str:
        return " ".join((self.kind, ":".join((self.owner, *self.narrow))))


def parse_wishes(words: Iterable[str]) -> tuple[Wish, ...]:
    """Return the changes of words such as ``quota cmb-gold=+500 tongda=-10% budget x:day=900``.

    A kind holds for the changes after it. Raises InputError, naming the word and what may stand.
    """
    kind, found = "", []
    for word in words:
        if "=" not in word:
            kind = word
            if kind not in (*_KINDS, "floor"):
                raise InputError(f"{word!r} is no kind of limit", record=word, field="kind",
                                 fix=f"say {_EXAMPLE}")  # fmt: skip
            continue
        if not kind:
            raise InputError("no kind of limit before it", record=word, field="kind",
                             fix=f"say {_EXAMPLE}")  # fmt: skip
        name, _, amount = word.partition("=")
        owner, *narrow = name.split(":")
        if not owner:
            raise InputError("whose limit?", record=word, field="owner", fix=f"say {_EXAMPLE}")
        found.append(Wish(kind, owner, tuple(narrow), match.Change.of(amount, name)))
    if not found:
        raise InputError("nothing to change", record="whatif", field="change",
                         fix=f"say {_EXAMPLE}")  # fmt: skip
    return tuple(found)


def what_if(engine: Engine, words: Iterable[str]) -> dict[str, Any]:
    """Return the answer to changes of limits, as plain data; nothing is written.

    Raises InputError for what cannot be asked, Infeasible where nothing meets the rows as changed,
    Unavailable where no plan or no problem of it is kept.
    """
    wishes = parse_wishes(words)
    return ask(engine, read_problem(engine), wishes)


def ask(engine: Engine, kept: Kept, wishes: Sequence[Wish]) -> dict[str, Any]:
    """Return the answer of a kept plan."""
    currency = engine.settings.marketplace.currency
    asked = [_asked(kept, wish, currency) for wish in wishes]
    rows: dict[str, float] = {}
    for one in asked:
        if one["row"] in rows:
            raise InputError(
                "changed twice", record=one["asked"], field="change", fix="say it once"
            )
        rows[one["row"]] = one.pop("plan_limit")
    answer = match.what_if(kept.standing, changes=rows)
    before, after = answer.before.plan, answer.plan
    for one in asked:
        name = one["row"].removeprefix("floor:")
        one["price_before_minor"], one["price_after_minor"] = before.dual(name), after.dual(name)
    old, new = before.certificate, after.certificate
    low, high = answer.change_between
    return {
        **kept.about(),
        "changes": asked,
        "value_minor": {
            "before": old.primal, "after": new.primal, "change": answer.change,
            "worth": answer.worth, "low": low, "high": high,
        },
        "customers": _customers(answer),
        "products": moved_products(kept.products, answer),
        "segments": _segments(engine, kept, answer),
        "examples": _examples(kept, answer),
        "prices": _moved_prices(answer),
        "certificate": _certificate(new),
    }  # fmt: skip


def _certificate(c: match.Certificate) -> dict[str, Any]:
    return {
        "primal_minor": c.primal, "dual_bound_minor": c.dual_bound, "gap": c.gap,
        "violation_max": c.violation_max, "passes": c.passes,
    }  # fmt: skip


# -- which row, and what it becomes -----------------------------------------------------------


def _asked(kept: Kept, wish: Wish, currency: str) -> dict[str, Any]:
    return _floor(kept, wish) if wish.kind == "floor" else _limit(kept, wish, currency)


def _floor(kept: Kept, wish: Wish) -> dict[str, Any]:
    name = f"approval:{wish.owner}"
    row = next((row for row in kept.problem.rows if row.name == name), None)
    if row is None:
        having = [r.name[9:] for r in kept.problem.rows if r.name.startswith("approval:")]
        raise InputError("it has no approval floor", record=wish.owner, field="floor",
                         fix=_one_of(having))  # fmt: skip
    share = wish.change(row.floor)
    if not 0 <= share <= 1:
        raise InputError(f"a floor of {share:g}", record=wish.owner, field="floor",
                         fix=f"it is {row.floor:g}; say a share in 0 … 1")  # fmt: skip
    return {"asked": wish.text, "row": f"floor:{name}", "period": None, "others": [],
            "unit": "share", "was": row.floor, "now": share, "plan_was": row.floor,
            "plan_now": share, "plan_limit": share}  # fmt: skip


def _limit(kept: Kept, wish: Wish, currency: str) -> dict[str, Any]:
    line, *others = _lines(kept, wish)
    money = wish.kind == "budget"
    was = int(line["limit"])
    now = _whole(wish, was, 10 ** CURRENCIES.get(currency, 2) if money else 1)
    name = f"{line['limit_id']}@{line['period_key']}"
    row = next((row for row in kept.problem.rows if row.name == name), None)
    if row is None:
        raise InputError(
            "the plan does not count it: a branch's limit is kept at click-out", record=wish.owner,
            field=wish.kind, fix="ask about the product's or the institution's",
        )  # fmt: skip
    left = max(float(line["left"]) + now - was, 0.0)
    units = kept.horizon.units(Period(line["period"]), float(now), left)
    stay = [f"{wish.owner}:{_narrowest(one, [line, *others])}" for one in others]
    return {"asked": wish.text, "row": name, "period": line["period"], "others": stay,
            "unit": "minor" if money else line["stage"], "was": was, "now": now,
            "plan_was": row.limit, "plan_now": units, "plan_limit": units}  # fmt: skip


def _whole(wish: Wish, was: int, scale: int) -> int:
    """Return the new limit in whole units; amounts of money are said in the currency's own unit."""
    change = wish.change
    if change.how != "share":
        change = match.Change(change.how, change.amount * scale)
    now = round(change(float(was)))
    if now < 0 or not math.isfinite(change.amount):
        raise InputError(f"{now / scale:,g} is no limit", record=wish.owner, field=wish.kind,
                         fix=f"it is {was / scale:,g} now: take off less")  # fmt: skip
    return now


def _lines(kept: Kept, wish: Wish) -> list[dict[str, Any]]:
    """Return the limits a wish may speak of, the one that binds first before the others."""
    lines = [line for line in kept.limits.to_pylist() if line["measure"] == _KINDS[wish.kind]]
    own = [line for line in lines if _owner(line) == wish.owner]
    if not own:
        known = {_owner(line) for line in lines}
        raise InputError(f"no {wish.kind} of it in the plan", record=wish.owner, field=wish.kind,
                         fix=_one_of(_near(wish.owner, known)))  # fmt: skip
    found = [line for line in own if set(wish.narrow) <= {line["period"], line["stage"]}]
    if not found:
        having = [f"{wish.owner}:{_narrowest(line, own)}" for line in own]
        raise InputError(f"no such {wish.kind}", record=wish.text, field=wish.kind,
                         fix=_one_of(having))  # fmt: skip
    return sorted(found, key=lambda line: _tightness(kept, line))


def _tightness(kept: Kept, line: dict[str, Any]) -> tuple[float, float]:
    """Return what sorts the limit with the dearest price first, then the one with least room."""
    name = f"{line['limit_id']}@{line['period_key']}"
    for row, price in zip(kept.problem.rows, kept.standing.plan.duals.tolist(), strict=True):
        if row.name == name:
            return (-price * row.limit, row.limit)
    return (0.0, math.inf)


def _owner(line: dict[str, Any]) -> str:
    if line["branch_id"] is not None:
        return f"{line['institution_id']}/{line['branch_id']}"
    return str(line["product_id"] or line["institution_id"])


def _narrowest(line: dict[str, Any], own: Sequence[dict[str, Any]]) -> str:
    alone = sum(one["period"] == line["period"] for one in own) == 1
    return line["period"] if alone else f"{line['stage']}:{line['period']}"


def _near(word: str, known: set[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word, sorted(known), 3, 0.5) or sorted(known)


def _one_of(names: Sequence[str]) -> str:
    if not names:
        return "see `jinqiao limit list`"
    more = " …" if len(names) > 5 else ""
    return f"one of {', '.join(names[:5])}{more}; see `jinqiao limit list`"


# -- who and what moves -----------------------------------------------------------------------


def _customers(answer: match.WhatIf) -> dict[str, int]:
    change = answer.customer_change()
    moved = np.union1d(_owners(answer, answer.entered), _owners(answer, answer.left))
    return {
        "moved": len(moved), "displaced": int((change < 0).sum()),
        "gaining": int((change > 0).sum()), "offers_entered": len(answer.entered),
        "offers_left": len(answer.left),
    }  # fmt: skip


def _owners(answer: match.WhatIf, index: NDArray[np.int64]) -> NDArray[np.int64]:
    indptr = answer.after.problem.pairs.indptr
    found: NDArray[np.int64] = np.searchsorted(indptr, index, side="right") - 1
    return found


def moved_products(names: Sequence[str], answer: match.WhatIf) -> list[dict[str, Any]]:
    """Return the products whose offers changed, those that lose most first."""
    entered, left = answer.by_product()
    pairs, problem = answer.after.problem.pairs, answer.after.problem
    before = np.bincount(pairs.product[answer.before.plan.chosen], minlength=problem.n_products)
    use = pairs.column("use")
    applications = np.zeros(problem.n_products)
    np.add.at(applications, pairs.product[answer.entered], use[answer.entered])
    np.subtract.at(applications, pairs.product[answer.left], use[answer.left])
    rows = [
        {
            "product_id": names[i], "offers_before": int(before[i]),
            "offers_after": int(before[i] + entered[i] - left[i]), "entered": int(entered[i]),
            "left": int(left[i]), "applications_change": float(applications[i]),
        }
        for i in np.flatnonzero(entered + left).tolist()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["applications_change"], row["product_id"]))


def _segments(engine: Engine, kept: Kept, answer: match.WhatIf) -> list[dict[str, Any]]:
    change = answer.customer_change()
    displaced, gaining = np.flatnonzero(change < 0), np.flatnonzero(change > 0)
    rows = []
    months = engine.settings.plan.thin_file_months
    for one in segments_of(kept.serving.profiles, thin_file_months=months):
        counts = (one.count(), one.count(displaced), one.count(gaining))
        rows += [
            {"segment": one.name, "group": group, "customers": int(n), "displaced": int(lost),
             "gaining": int(won)}
            for group, n, lost, won in zip(one.groups, *counts, strict=True)
            if n
        ]  # fmt: skip
    return rows


def _examples(kept: Kept, answer: match.WhatIf) -> list[dict[str, Any]]:
    """Return the customers who lose most: their offers before and after."""
    change = answer.customer_change()
    worst = np.argsort(change, kind="stable")[:_EXAMPLES]
    pairs, names = answer.after.problem.pairs, kept.products
    ids = kept.serving.profiles["customer_id"]

    def offers(plan: match.Plan, c: int) -> list[str]:
        span = slice(pairs.indptr[c], pairs.indptr[c + 1])
        return [names[p] for p in pairs.product[span][plan.chosen[span]].tolist()]

    return [
        {
            "customer_id": ids[c].as_py(), "change_minor": float(change[c]),
            "before": offers(answer.before.plan, c), "after": offers(answer.plan, c),
        }
        for c in worst.tolist() if change[c] < 0
    ]  # fmt: skip


def _moved_prices(answer: match.WhatIf) -> list[dict[str, Any]]:
    """Return the limits whose price moved most, in money over the plan."""
    before, after = answer.before.plan, answer.plan
    limits = np.array([abs(row.limit) for row in answer.after.problem.rows])
    moved = (after.duals - before.duals) * np.maximum(limits, 1.0)
    return [
        {
            "limit": after.row_names[i], "before_minor": float(before.duals[i]),
            "after_minor": float(after.duals[i]),
        }
        for i in np.argsort(-np.abs(moved), kind="stable")[:_PRICES].tolist() if moved[i]
    ]  # fmt: skip


# -- prices -----------------------------------------------------------------------------------


def limit_prices(
    engine: Engine, *, tolerance: float = 0.1, most: int | None = 20
) -> dict[str, Any]:
    """Return what one more unit of each limit is worth, dearest first, and where that holds.

    ``most``: ranges are worked out for so many of the dearest, None: for all. The price stays
    within the tolerance of itself while the limit is between ``holds_from`` and ``holds_to``.
    """
    kept = read_problem(engine)
    report = match.price_report(kept.planned.plan, kept.problem.rows)
    wanted = [line.name for line in report if line.price > 0][:most]
    ranges = match.price_ranges(kept.standing, names=wanted, tolerance=tolerance)
    found = {one.name: one for one in ranges}
    rows = [_priced(line, found.get(line.name)) for line in report]
    rows.sort(key=lambda row: -abs(row["price_minor"] * max(abs(row["limit_units"]), 1.0)))
    return {**kept.about(), "tolerance": tolerance, "limits": rows}


def _priced(line: match.LimitPrice, one: match.PriceRange | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "limit": line.name, "sense": line.sense, "measure": line.measure,
        "limit_units": line.limit, "used": line.used, "left": line.left,
        "price_minor": line.price, "holds_from": None, "holds_to": None,
    }  # fmt: skip
    if one is not None:
        ends = {"holds_from": one.limit - one.down, "holds_to": one.limit + one.up}
        row |= {"price_minor": one.price, **ends}
    return row
