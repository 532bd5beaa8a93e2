"""Names of the generated market: institutions, products and regions. None is meant to be real."""

from __future__ import annotations

from jinqiao.domain.catalog import LicenceKind
from jinqiao.domain.stage import ProductClass

__all__ = ["REGIONS", "house_name", "product_name"]

_FIRST = (
    ("云", "Yun"), ("青", "Qing"), ("澄", "Cheng"), ("岚", "Lan"), ("禾", "He"), ("星", "Xing"),
    ("渡", "Du"), ("松", "Song"), ("砚", "Yan"), ("棠", "Tang"), ("曜", "Yao"), ("泽", "Ze"),
)  # fmt: skip
_SECOND = (
    ("汐", "xi"), ("序", "xu"), ("衡", "heng"), ("屿", "yu"), ("筑", "zhu"), ("穗", "sui"),
    ("澜", "lan"), ("舟", "zhou"), ("樾", "yue"), ("霁", "ji"),
)  # fmt: skip
_KIND = {
    LicenceKind.BANK: ("银行", "Bank"),
    LicenceKind.CONSUMER_FINANCE: ("消费金融", "Consumer Finance"),
    LicenceKind.MICRO_LENDER: ("小额贷款", "Microcredit"),
    LicenceKind.INSURER: ("保险", "Insurance"),
    LicenceKind.INSURANCE_BROKER: ("保险经纪", "Insurance Brokers"),
    LicenceKind.FUND_MANAGER: ("基金", "Funds"),
    LicenceKind.FUND_DISTRIBUTOR: ("基金销售", "Fund Sales"),
    LicenceKind.SECURITIES: ("证券", "Securities"),
    LicenceKind.PAYMENT: ("支付", "Payments"),
}
_PRODUCT = {
    ProductClass.CREDIT_CARD: ("信用卡", "credit card"),
    ProductClass.LOAN: ("消费贷", "personal loan"),
    ProductClass.BNPL: ("先享后付", "pay later"),
    ProductClass.DEPOSIT: ("定期存款", "term deposit"),
    ProductClass.FUND: ("理财", "fund"),
    ProductClass.INSURANCE: ("保障计划", "cover"),
    ProductClass.SUPPLY_CHAIN: ("订单贷", "order finance"),
    ProductClass.E_ACCOUNT: ("电子账户", "e-account"),
    ProductClass.PAYMENT: ("收付款", "payments"),
}
_LINES = (("安", "Easy"), ("优", "Select"), ("惠", "Value"), ("捷", "Swift"), ("智", "Smart"))
REGIONS = (
    ("CN-11", "北京", "Beijing"), ("CN-31", "上海", "Shanghai"), ("CN-44", "广东", "Guangdong"),
    ("CN-33", "浙江", "Zhejiang"), ("CN-32", "江苏", "Jiangsu"), ("CN-51", "四川", "Sichuan"),
    ("CN-42", "湖北", "Hubei"), ("CN-37", "山东", "Shandong"), ("CN-41", "河南", "Henan"),
    ("CN-61", "陕西", "Shaanxi"), ("CN-21", "辽宁", "Liaoning"), ("CN-35", "福建", "Fujian"),
)  # fmt: skip


def house_name(number: int, licence: LicenceKind) -> tuple[str, str]:
    """Return a Chinese and an English name; numbers from 0, distinct."""
    first = _FIRST[number % len(_FIRST)]
    second = _SECOND[(number // len(_FIRST) + number) % len(_SECOND)]
    zh, en = _KIND[licence]
    turn = number // (len(_FIRST) * len(_SECOND))
    tail = f" {turn + 1}" if turn else ""
    return f"{first[0]}{second[0]}{zh}{tail}", f"{first[1]}{second[1]} {en}{tail}"


def product_name(kind: ProductClass, number: int, merchant: bool) -> tuple[str, str]:
    """Return a product's Chinese and English name."""
    line = _LINES[number % len(_LINES)]
    zh, en = _PRODUCT[kind]
    if merchant and kind is not ProductClass.SUPPLY_CHAIN:
        return f"商户{line[0]}享{zh}", f"{line[1]} merchant {en}"
    return f"{line[0]}享{zh}", f"{line[1]} {en}"
