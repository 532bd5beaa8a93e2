"""Checking files: every fault, with its line, field and fix, and nothing that is not one."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from catalog.conftest import TEMPLATES
from jinqiao import catalog
from jinqiao.catalog.eligibility import rule_fields
from jinqiao.domain.fault import Fault
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.jurisdiction import Jurisdiction
from jinqiao.domain.stage import ProductClass
from jinqiao.engines.rules import parse

ON = date(2026, 3, 1)
Laws = dict[str, Jurisdiction]


def faults_of(text: str, laws: Laws, dictionary: FeatureDictionary) -> tuple[Fault, ...]:
    return catalog.check(catalog.read_files({"bank.yaml": text}), laws, dictionary, ON)


def test_the_samples_are_sound_and_cover_every_class(
    laws: Laws, dictionary: FeatureDictionary
) -> None:
    """What `jinqiao init` writes has no fault and offers all nine classes."""
    files = catalog.read_files(TEMPLATES / "institutions")
    assert catalog.check(files, laws, dictionary, ON) == ()
    assert {product.product_class for product in files.catalog.products()} == set(ProductClass)


def test_the_reference_page_shows_a_sound_file(laws: Laws, dictionary: FeatureDictionary) -> None:
    """The full example of docs/reference/institution-file.md checks clean."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "institution-file.md"
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    assert faults_of(blocks[0], laws, dictionary) == ()


BREAKS = [
    ("licence: bank", "licens: bank", "licens", "did you mean licence?"),
    ("licence: bank", "licence: bannk", "licence", "did you mean bank?"),
    ("licence: bank", "licence: insurer", "products[0].class", "insurance"),
    ("jurisdiction: CN", "jurisdiction: CM", "jurisdiction", "use one of CN, CZ"),
    ("currency: CNY", "currency: RMB", "currency", "CNY"),
    ("zone: Asia/Shanghai ", "zone: Asia/Shanhai ", "zone", "Asia/Shanghai"),
    ("approval_rate_floor: 0.30", "approval_rate_floor: 30", "approval_rate_floor", "0.4"),
    ("{count: 600, period: day}", "{count: -6, period: day}", "limits[0].count", ""),
    ("{count: 600, period: day}", "{count: 600, period: month}", "limits[0].period", "day"),
    ("{count: 600, period: day}", "{count: 6, period: day, stage: click, x: 1}", "limits[0].x", ""),
    ("{count: 600, period: day}", "{count: 6.5, period: day}", "limits[0].count", "whole"),
    ("branch_id: qinghe_harbour", "branch_id: qinghe_east", "branches[1].branch_id", "rename"),
    ("product_id: qinghe_deposit", "product_id: qinghe_card", "products[2].product_id", "rename"),
    ("product_id: qinghe_card", "product_id: a b", "products[0].product_id", "letters"),
    ("risk: R1", "risk: R7", "products[2].risk", "R5"),
    ("rate_bps: 1500", "rate_bps: 15%", "products[0].cost.rate_bps", "basis points"),
    ("rate_bps: 1500", "rate_bps: 2500", "products[0].cost", "24.00 %"),
    ("rate_bps: 1500", "rate_bps: true", "products[0].cost.rate_bps", ""),
    ("{min: 300000, max", "{min: 6300000, max", "products[0].cost.amount_minor", "swap"),
    ("amount_minor: 1000000, term", "amount_minor: 1, term",
     "products[0].cost.example.amount_minor", "on offer"),
    ("repayment: revolving", "repayment: none", "products[0].cost", "equal_instalment"),
    ("charged: yearly", "charged: daily", "products[0].cost.fees[0].charged", "monthly"),
    ("amount_minor: 20000\n", "x: 1\n", "products[0].cost.fees[0].x", ""),
    ("age between 22", "agee between 22", "products[0].eligibility", "did you mean age?"),
    ("monthly_income_minor >= 500000", "monthly_income_minor >= age", "products[0].eligibility",
     "one unit"),
    ("debt_service_ratio <= 0.5\n", "gambling_share <= 0.5\n", "products[0].eligibility", "drop"),
    ("debt_service_ratio <= 0.5\n", "(debt_service_ratio <= 0.5\n", "products[0].eligibility", ""),
    ("stage: activation", "stage: default", "products[0].payout.stage", "approval"),
    ("stage: activation", "stage: repaid", "products[0].payout.stage", "use one of"),
    ("basis: CPA", "basis: CPL", "products[0].payout.stage", "CPA"),
    ("stage: disbursement", "stage: approval", "products[1].payout.stage", "disbursement"),
    ("from_count: 201", "from_count: 1", "products[0].payout.tiers[1].from_count", "ascending"),
    ("from_count: 1, amount_minor: 15000", "from_count: 5, amount_minor: 15000",
     "products[0].payout.tiers[0].from_count", "begin at 1"),
    ("from_count: 1, amount_minor: 15000", "from_count: 1, rate_bps: 15",
     "products[0].payout.tiers[0].rate_bps", "amount_minor"),
    ("launch_on: 2026-01-01", "launch_on: 2026-02-30", "products[0].schedule.launch_on",
     "2026-11-11"),
    ("launch_on: 2026-01-01", "launch_on: 2026-01-01, withdraw_on: 2025-01-01",
     "products[0].schedule.withdraw_on", "later"),
    ("launch_on: 2026-01-01", "hours: [8, 25]", "products[0].schedule.hours", "[8, 22]"),
    ("[app, web, mini_program]", "[app, tv]", "products[0].schedule.channels[1]", "mini_program"),
    ("route: redirect, url: \"https://apply.qinghe.example/card\"", "route: redirect",
     "products[0].delivery.url", "add it"),
    ("https://apply.qinghe.example/card", "javascript:alert(1)", "products[0].delivery.url",
     "https"),
    ("hold_hours: 72", "hold_hours: 0", "products[0].delivery.hold_hours", "unit"),
    ("name: {zh: 清河银行, en: Qinghe Bank}", "name: {zh: 清河银行}", "name.en", "add it"),
    ("name: {zh: 清河银行, en: Qinghe Bank}", "name: Qinghe", "name", "key: value"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "fix"), BREAKS)
def test_a_fault_is_named_with_its_line_and_fix(
    old: str,
    new: str,
    path: str,
    fix: str,
    bank_text: str,
    laws: Laws,
    dictionary: FeatureDictionary,
) -> None:
    """One slip is found at its field, on its line, with a word on how to mend it."""
    assert old in bank_text
    broken = bank_text.replace(old, new, 1)
    found = [fault for fault in faults_of(broken, laws, dictionary) if fault.path == path]
    assert found, [str(fault) for fault in faults_of(broken, laws, dictionary)]
    fault = found[0]
    assert fix in fault.fix + fault.message
    line = bank_text[: bank_text.index(old)].count("\n") + 1
    assert fault.file == "bank.yaml"
    assert fault.column >= 1
    wide = path in ("products[0].cost", "products[0].class", "products[0].payout.stage")
    wide = wide or "eligibility" in path
    assert fault.line == line or wide


def test_all_faults_are_told_at_once(
    bank_text: str, laws: Laws, dictionary: FeatureDictionary
) -> None:
    """Slips in five places are five faults, in line order."""
    broken = (
        bank_text.replace("currency: CNY", "currency: XXX")
        .replace("rate_bps: 1500", "rate_bps: x")
        .replace("age between 23", "agee between 23")
        .replace("term_days: {min: 365, max: 365}", "term_days: {min: 365}")
        .replace("charged: upfront", "charged: sometimes", 1)
    )
    found = faults_of(broken, laws, dictionary)
    assert len(found) == 5
    assert [fault.line for fault in found] == sorted(fault.line for fault in found)


def test_ids_are_unique_over_all_files(
    bank_text: str, laws: Laws, dictionary: FeatureDictionary
) -> None:
    """A second file with the same institution and products names the first one."""
    files = catalog.read_files({"a.yaml": bank_text, "b.yaml": bank_text})
    found = catalog.check(files, laws, dictionary, ON)
    assert {fault.file for fault in found} == {"b.yaml"}
    assert {"institution_id", "products[0].product_id"} <= {fault.path for fault in found}
    assert all("a.yaml" in fault.message for fault in found)


def test_the_cap_is_the_one_of_the_launch_day(
    bank_text: str, dictionary: FeatureDictionary
) -> None:
    """A product launched after the cap falls is held to the lower one."""
    pack = (TEMPLATES / "jurisdictions" / "CN.yaml").read_text(encoding="utf-8")
    lower = pack.replace(
        "rules:\n",
        "rules:\n  - {name: credit_all_in_cap_bps, value: 2000, unit: bps, "
        "in_force_from: 2027-01-01, source: s, article: a}\n",
    )
    laws = catalog.read_jurisdictions({"CN.yaml": lower})
    assert faults_of(bank_text, laws, dictionary) == ()
    late = bank_text.replace("launch_on: 2026-01-01", "launch_on: 2027-01-01")
    (fault,) = faults_of(late, laws, dictionary)
    assert (fault.path, fault.fix) == ("products[0].cost", "the cap of CN is 20.00 %")


def test_packs_are_checked_by_line() -> None:
    """A faulty rule pack is told with file, line and field."""
    pack = (TEMPLATES / "jurisdictions" / "CN.yaml").read_text(encoding="utf-8")
    assert catalog.check_jurisdictions(TEMPLATES / "jurisdictions") == ()
    slips = {
        "unit: years": "unit: days", "value: 2400": "value: a lot",
        "  - name: minimum": "  - nam: minimum", "in_force_from: 2021-03-17": "in_force_from: soon",
    }  # fmt: skip
    for old, new in slips.items():
        found = catalog.check_jurisdictions({"CN.yaml": pack.replace(old, new, 1)})
        assert found, new
        assert found[0].line > 1


def test_the_samples_and_the_reference_fit_the_real_dictionary(laws: Laws) -> None:
    """Samples and the example rule of the reference name features that profiles really have."""
    from jinqiao import profile

    dictionary = profile.dictionary()
    files = catalog.read_files(TEMPLATES / "institutions")
    assert catalog.check(files, laws, dictionary, ON) == ()
    page = Path(__file__).parents[2] / "docs" / "reference" / "rule-language.md"
    text = page.read_text(encoding="utf-8")
    rules = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    table = text.split("## What may be written")[1].split("Nothing else")[0]
    rules += re.findall(r"`([^`]+)`", table)
    known = rule_fields(dictionary)
    assert len(rules) > 8
    for rule in rules:
        parse(rule, known)
