"""Every fault of the institution files: what reading found, and what makes no sense together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

from jinqiao.catalog.costs import SAVING, all_in_of
from jinqiao.catalog.eligibility import PURPOSES, rule_fields
from jinqiao.catalog.fields import Place, near
from jinqiao.catalog.files import CatalogFile, Files
from jinqiao.domain.catalog import (
    Institution,
    LicenceKind,
    Limit,
    PayoutBasis,
    Product,
    RepaymentMethod,
)
from jinqiao.domain.fault import Fault
from jinqiao.domain.feature import Feature, FeatureDictionary
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.stage import CREDIT_CLASSES, STAGES, ProductClass, Stage
from jinqiao.engines.rules import parse
from jinqiao.errors import InputError, SchemaError
from jinqiao.policy import credit_cap_bps

__all__ = ["LICENSED", "check"]

_C = ProductClass
_FUNDS = frozenset({_C.FUND})
_LENDING = frozenset({_C.LOAN, _C.BNPL, _C.SUPPLY_CHAIN})
LICENSED: Mapping[LicenceKind, frozenset[ProductClass]] = {
    LicenceKind.BANK: frozenset(ProductClass),
    LicenceKind.CONSUMER_FINANCE: _LENDING | {_C.CREDIT_CARD},
    LicenceKind.MICRO_LENDER: _LENDING,
    LicenceKind.INSURER: frozenset({_C.INSURANCE}),
    LicenceKind.INSURANCE_BROKER: frozenset({_C.INSURANCE}),
    LicenceKind.FUND_MANAGER: _FUNDS,
    LicenceKind.FUND_DISTRIBUTOR: _FUNDS,
    LicenceKind.SECURITIES: _FUNDS,
    LicenceKind.PAYMENT: frozenset({_C.PAYMENT, _C.E_ACCOUNT, _C.BNPL}),
}
"""The classes each licence may offer."""

_PAID = (Stage.APPLICATION, Stage.APPROVAL, Stage.ACTIVATION, Stage.DISBURSEMENT)
_COUNTED = (Stage.CLICK, Stage.PRE_APPROVAL, *_PAID)


def check(
    files: Files,
    jurisdictions: Mapping[str, Jurisdiction],
    dictionary: FeatureDictionary,
    on: date,
) -> tuple[Fault, ...]:
    """Return every fault of every file, files in name order, faults in line order.

    Reading faults; ids used twice; stages, payouts, terms and licences that do not fit the class;
    rules over unknown or forbidden features; credit dearer than the law of its jurisdiction allows
    on the day ``on`` (or on the day of its launch, when that is later). What depends on a field
    that is itself at fault is not looked at.
    """
    fields = rule_fields(dictionary)
    known = {feature.name for feature in dictionary}
    first: dict[str, str] = {}
    faults: list[Fault] = []
    for file in files.files:
        found = [*file.faults]
        if file.institution is not None:
            one = _Checked(file, fields, known, jurisdictions, on)
            one.place.faults += list(_twice(file, first))
            one.institution()
            found += one.place.faults
        faults += sorted(found, key=lambda fault: (fault.line, fault.column))
    return tuple(faults)


def _twice(file: CatalogFile, first: dict[str, str]) -> Iterator[Fault]:
    """Yield ids that this file or an earlier one has used already."""
    place = Place(file.name, marks=dict(file.marks))
    assert file.institution is not None
    ids: list[tuple[str, str, str]] = [
        ("institution", file.institution.institution_id, "institution_id")
    ]
    branches = enumerate(file.institution.branches)
    products = enumerate(file.institution.products)
    ids += [("branch", f"{file.name}/{b.branch_id}", f"branches[{i}].branch_id")
            for i, b in branches]  # fmt: skip
    ids += [("product", p.product_id, f"products[{i}].product_id") for i, p in products]
    for kind, name, path in ids:
        if not name or name.endswith("/"):
            continue
        before = first.setdefault(f"{kind} {name}", file.name)
        if before != file.name or f"{kind} {name}" in place.marks:
            place.fault(path, f"{kind} {name.split('/')[-1]} is in {before} already", "rename it")
        place.marks[f"{kind} {name}"] = (0, 0)
    yield from place.faults


class _Checked:
    """One file being checked."""

    def __init__(
        self,
        file: CatalogFile,
        fields: Mapping[str, Feature],
        known: set[str],
        jurisdictions: Mapping[str, Jurisdiction],
        on: date,
    ) -> None:
        assert file.institution is not None
        self.record: Institution = file.institution
        self.place = Place(file.name, marks=dict(file.marks))
        self.faulty = {fault.path for fault in file.faults}
        self.fields, self.known, self.on = fields, known, on
        self.jurisdictions = jurisdictions

    def sound(self, *paths: str) -> bool:
        """Return whether no fault was found at or under these fields."""
        return not any(
            fault == path or fault.startswith((f"{path}.", f"{path}["))
            for path in paths
            for fault in self.faulty
        )

    def institution(self) -> None:
        code = self.record.jurisdiction
        if self.sound("jurisdiction") and code not in self.jurisdictions:
            fix = near(code, tuple(self.jurisdictions)) or f"write jurisdictions/{code}.yaml"
            self.place.fault("jurisdiction", f"no jurisdiction {code[:40]!r}", fix)
        self._limits("limits", None)
        for index in range(len(self.record.branches)):
            self._limits(f"branches[{index}].limits", None)
        for index, product in enumerate(self.record.products):
            self._product(f"products[{index}]", product)

    def _product(self, at: str, product: Product) -> None:
        classed = self.sound(f"{at}.class")
        if classed and self.sound("licence"):
            self._licensed(at, product)
        if self.sound(f"{at}.eligibility"):
            self._rule(f"{at}.eligibility", product)
        if classed:
            self._payout(f"{at}.payout", product)
            self._limits(f"{at}.limits", product)
        if self.sound(f"{at}.schedule"):
            self._schedule(f"{at}.schedule", product)
        if self.sound(f"{at}.cost"):
            self._ranges(f"{at}.cost", product)
            if classed:
                self._cost(f"{at}.cost", product)

    def _licensed(self, at: str, product: Product) -> None:
        allowed = LICENSED[self.record.licence]
        if product.product_class not in allowed:
            said = f"a {self.record.licence} may not offer {product.product_class}"
            fix = f"it may offer {', '.join(sorted(allowed))}"
            self.place.fault(f"{at}.class", said, fix)

    def _rule(self, path: str, product: Product) -> None:
        try:
            parse(product.eligibility, self.fields)
        except SchemaError as error:
            line, column = self.place.where(path)
            said, fix = error.message, error.fix or ""
            if error.field in self.known and error.field not in self.fields:
                said = f"{error.field} may not be used for {' and '.join(PURPOSES)}"
                fix = "drop it from the rule"
            where = re.search(r"column (\d+)", error.record or "")
            if where and self.place.file and line:
                said = f"{said} (character {where.group(1)} of the rule)"
            self.place.faults.append(Fault(self.place.file, line, column, path, said, fix))

    def _payout(self, path: str, product: Product) -> None:
        payout, stages = product.payout, STAGES[product.product_class]
        paid = tuple(stage for stage in _PAID if stage in stages)
        if self.sound(f"{path}.stage") and payout.stage not in paid:
            said = f"{product.product_class} is not paid at {payout.stage}"
            self.place.fault(f"{path}.stage", said, f"use one of {', '.join(paid)}")
        elif self.sound(path):
            if payout.basis is PayoutBasis.CPL and payout.stage is not Stage.APPLICATION:
                self.place.fault(f"{path}.stage", "CPL pays for an application", "or use CPA")
            if payout.basis is PayoutBasis.CPS and payout.stage in (
                Stage.APPLICATION, Stage.APPROVAL,
            ):  # fmt: skip
                said = f"no money has moved at {payout.stage}, so there is no share of it"
                self.place.fault(f"{path}.stage", said, "use activation or disbursement")
        if self.sound(f"{path}.tiers"):
            self._tiers(f"{path}.tiers", [tier.from_count for tier in payout.tiers])

    def _tiers(self, path: str, counts: list[int]) -> None:
        if counts and counts[0] != 1:
            said = f"the first tier begins at {counts[0]}"
            self.place.fault(f"{path}[0].from_count", said, "begin at 1")
        for index in range(1, len(counts)):
            if counts[index] <= counts[index - 1]:
                said = f"{counts[index]} is not above {counts[index - 1]}"
                self.place.fault(f"{path}[{index}].from_count", said, "list tiers ascending")

    def _limits(self, path: str, product: Product | None) -> None:
        if not self.sound(path):
            return
        limits = product.limits if product else self._owned(path)
        stages = set(_COUNTED)
        if product is not None:
            stages &= set(STAGES[product.product_class])
        for index, limit in enumerate(limits):
            if limit.stage not in stages:
                whose = product.product_class if product else "a limit"
                said = f"{whose} does not count {limit.stage}"
                known = [stage for stage in _COUNTED if stage in stages]
                self.place.fault(f"{path}[{index}]", said, f"use one of {', '.join(known)}")

    def _owned(self, path: str) -> tuple[Limit, ...]:
        found = re.match(r"branches\[(\d+)\]", path)
        if found:
            return self.record.branches[int(found.group(1))].limits
        return self.record.limits

    def _schedule(self, path: str, product: Product) -> None:
        launch, withdraw = product.schedule.launch_on, product.schedule.withdraw_on
        if launch is not None and withdraw is not None and withdraw <= launch:
            said = f"withdrawn on {withdraw}, before it is launched on {launch}"
            self.place.fault(f"{path}.withdraw_on", said, "choose a later day")

    def _ranges(self, path: str, product: Product) -> None:
        cost = product.cost
        for name, lower, example, upper in (
            ("amount_minor", cost.amount_min_minor, cost.reference_amount_minor,
             cost.amount_max_minor),
            ("term_days", cost.term_min_days, cost.reference_term_days, cost.term_max_days),
        ):  # fmt: skip
            if lower > upper:
                self.place.fault(f"{path}.{name}", f"min {lower} is above max {upper}", "swap them")
            elif not lower <= example <= upper:
                said = f"the example's {example} is not from {lower} to {upper}"
                self.place.fault(f"{path}.example.{name}", said, "choose an example on offer")

    def _cost(self, path: str, product: Product) -> None:
        cost, credit = product.cost, product.product_class in CREDIT_CLASSES
        if credit and cost.repayment is RepaymentMethod.NONE:
            said = f"a {product.product_class} is repaid somehow"
            self.place.fault(path, said, "add repayment, for example equal_instalment")
            return
        if not credit and product.product_class not in SAVING and cost.rate_bps:
            said = f"a {product.product_class} has no rate"
            self.place.fault(f"{path}.rate_bps", said, "write 0; what it costs is a fee")
            return
        try:
            found = all_in_of(product.product_class, cost)
        except InputError as error:
            self.place.fault(path, error.message, error.fix or "")
            return
        if credit and found.annual_bps is not None:
            self._lawful(path, product, found.annual_bps)

    def _lawful(self, path: str, product: Product, all_in_bps: int) -> None:
        law = self.jurisdictions.get(self.record.jurisdiction)
        if law is None:
            return
        launch = product.schedule.launch_on
        on = self.on if launch is None else max(self.on, launch)
        try:
            cap = credit_cap_bps(law, on)
        except SchemaError as error:
            self.place.fault(path, error.message, error.fix or "")
            return
        if all_in_bps > cap:
            said = f"the example costs {all_in_bps / 100:.2f} % a year with every fee"
            fix = f"the cap of {law.code} is {cap / 100:.2f} %"
            self.place.fault(path, said, fix)
