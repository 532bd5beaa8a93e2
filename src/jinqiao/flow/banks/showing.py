"""One real customer's shelf: terms, reasons, and learnt chances where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao import customer, profile
from jinqiao.domain.consent import Purpose
from jinqiao.domain.decision import Reason
from jinqiao.domain.messages import sentence
from jinqiao.domain.shelf import Context, Offer
from jinqiao.domain.stage import ProductClass
from jinqiao.domain.time import from_us
from jinqiao.flow import daily
from jinqiao.flow.banks.scoring import AS_OF_US, PLACE, Learnt
from jinqiao.flow.live import Live
from jinqiao.shelf import Serving

if TYPE_CHECKING:
    from jinqiao.flow.banks.arrive import Arrived
    from jinqiao.flow.wiring import Engine

__all__ = ["one_shelf"]

_LEARNT = {
    ProductClass.LOAN.value: ("loan", ("日后贷款", "a later loan")),
    ProductClass.CREDIT_CARD.value: ("card", ("日后办卡", "a later card")),
    ProductClass.INSURANCE.value: ("insurance", ("与投保客户相似", "being like the insured")),
}
"""Class → the model that speaks of it, and of what."""
_LOOK_ALIKES = frozenset({"insurance"})
_LIFT_MOST = 4.0
_ASSUMED = {
    ProductClass.DEPOSIT.value: (0.05, 0.2, 0.95, 0.8),
    ProductClass.INSURANCE.value: (0.05, 0.2, 0.85, 0.7),
}
"""Chances of a click, an application, approval, activation that nothing here tells: assumed. Credit
keeps the chances every market starts from."""
_CROWNS_A_YUAN = 3.3
"""1994: about 28.8 Kč and 8.6 yuan a dollar. What an activation is worth is stated in yuan."""


@dataclass(frozen=True)
class _Lifted:
    """Base chances with the click lifted by what was learnt: twice as likely, twice as drawn.

    ``lift`` (n, P). Only the order is a claim: nobody at this bank was ever shown an offer.
    """

    base: NDArray[np.float32]
    lift: NDArray[np.float64]

    def __call__(
        self, customers: NDArray[np.int32], products: NDArray[np.int32], *_: Any
    ) -> NDArray[np.float32]:
        chances = self.base[products].copy()
        chances[:, 0] = np.minimum(chances[:, 0] * self.lift[customers, products], 0.95)
        return chances


def one_shelf(
    engine: Engine, arrived: Arrived, learnt: Mapping[str, Learnt], *, seed: int
) -> dict[str, Any]:
    """Return the shelf of the account most likely to take a loan later, as of the end of
    1994-03-31, by the code that serves everyone.

    An offer's ``chance`` is calibrated and by a model that did not see the customer; null, with
    ``claim`` false, where the data hold no outcome of its class.
    """
    serving, ids = _serving(engine, learnt, arrived, seed)
    loan = learnt["loan"]
    shown = sorted(zip(-loan.chances, loan.account_id.tolist(), strict=True))
    live = Live(engine, serving, engine.catalog(AS_OF_US))
    live.refresh(AS_OF_US)
    context = Context(from_us(AS_OF_US), "berka-import", channel="app", scene="ledger")
    for _, account in shown:
        person = arrived.customer_of[account]
        if person not in ids:
            continue
        shelf = live.preview(person, context)
        classes = {_class(live, offer) for offer in shelf.offers}
        if shelf.personalised and len(shelf.offers) >= 3 and len(classes) >= 3:
            break
    names = _Telling(engine, learnt, account)
    return {
        "account_id": account,
        "customer_id": person,
        "as_of": from_us(AS_OF_US).date().isoformat(),
        "currency": "CZK",
        "personalised": shelf.personalised,
        "profile": _profile(serving, ids[person]),
        "offers": [names.offer(live, offer) for offer in shelf.offers],
        "note": {
            "zh": "这家银行从未展示过报价：点击、申请与审批的机会只用于排序，不作承诺。",
            "en": "Nobody at this bank was ever shown an offer: chances of a click, an application "
            "and an approval order the shelf and are no claim.",
        },
    }


def _class(live: Live, offer: Offer) -> str:
    product = live.catalog.product(offer.product_id)
    return product.product_class.value if product else ""


def _serving(
    engine: Engine, learnt: Mapping[str, Learnt], arrived: Arrived, seed: int
) -> tuple[Serving, dict[str, int]]:
    """Return the serving of every consenting customer of the day, and each one's row."""
    with engine.records.reading() as tx:
        states = customer.customer_map(tx), customer.consent_state(tx, AS_OF_US)
    profiles = profile.build(
        engine.lake, *states, as_of_us=AS_OF_US, purpose=Purpose.PERSONALISE, place=PLACE
    )
    serving = daily.make_serving(engine, profiles, None, as_of_us=AS_OF_US, seed=seed)[0]
    ids = {one: row for row, one in enumerate(profiles["customer_id"].to_pylist())}
    lift = np.ones((profiles.num_rows, serving.n_products))
    for place, name in enumerate(serving.products["product_class"].to_pylist()):
        if name in _LEARNT:
            one = learnt[_LEARNT[name][0]]
            rows = [ids.get(arrived.customer_of[a], -1) for a in one.account_id.tolist()]
            kept = np.array(rows) >= 0
            lift[np.array(rows)[kept], place] = np.clip(
                one.chances[kept] / one.chances.mean(), 1 / _LIFT_MOST, _LIFT_MOST
            )
    base = serving.base_chances.copy()
    for place, name in enumerate(serving.products["product_class"].to_pylist()):
        base[place] = _ASSUMED.get(name, tuple(base[place]))
    worths = replace(serving.worths, benefit_minor=serving.worths.benefit_minor * _CROWNS_A_YUAN)
    return replace(serving, base_chances=base, worths=worths, chances=_Lifted(base, lift)), ids


def _profile(serving: Serving, row: int) -> dict[str, Any]:
    names = ("age", "ledger_tenure_days", "balance_minor", "balance_mean_30d_minor",
             "monthly_income_minor", "monthly_spend_minor")  # fmt: skip
    return {name: serving.profiles[name][row].as_py() for name in names}


@dataclass(frozen=True)
class _Telling:
    """How the offers of one account are told."""

    engine: Engine
    learnt: Mapping[str, Learnt]
    account: int

    def offer(self, live: Live, offer: Offer) -> dict[str, Any]:
        """Return one offer as plain values, sentences in both languages."""
        product = live.catalog.product(offer.product_id)
        assert product is not None
        row = live.serving.product_ids.index(offer.product_id)
        chance, reasons = self._chance(product.product_class.value)
        model = _LEARNT.get(product.product_class.value, ("", ("", "")))
        return {
            "position": offer.position,
            "product_id": offer.product_id,
            "product_class": product.product_class.value,
            "name": {"zh": product.name_zh, "en": product.name_en},
            "rate_bps": product.cost.rate_bps,
            "all_in_bps": live.serving.products["all_in_bps"][row].as_py(),
            "value_minor": round(offer.value_minor, 2),
            "chance": chance,
            "chance_of": {"zh": model[1][0], "en": model[1][1]} if model[0] else None,
            "claim": chance is not None and model[0] not in _LOOK_ALIKES,
            "reasons": [_said(one) for one in (*offer.reasons, *reasons)],
        }

    def _chance(self, product_class: str) -> tuple[float | None, tuple[Reason, ...]]:
        if product_class not in _LEARNT:
            return None, ()
        name, about = _LEARNT[product_class]
        one = self.learnt[name]
        found = np.flatnonzero(one.account_id == self.account)
        if found.size == 0:
            return None, ()
        place = int(found[0])
        words = {f.name: (f.zh, f.en) for f in self.engine.dictionary}
        reasons = one.model.reasons(one.table, place, words=words, about=about, most=2)
        return round(float(one.chances[place]), 4), reasons


def _said(reason: Reason) -> dict[str, str]:
    return {language: sentence(reason, language) for language in ("zh", "en")}
