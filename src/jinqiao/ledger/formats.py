"""The bills we read: how each is told apart, and what its columns mean.

A reader turns one row (header → text) into an ``Entry``. For what it cannot make sense of it raises
SchemaError with a message code, which the bill keeps as the row's fault. Column meanings follow the
exports themselves; see docs/how-to/import-bills.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from jinqiao.errors import InputError, SchemaError
from jinqiao.ledger.cells import amount_minor, bare, currency_code

__all__ = ["FORMATS", "Entry", "Format", "Source"]

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row understood. ``at`` is local text; ``via`` the account a wallet payment drew on."""

    at: str
    amount_minor: int
    currency: str = "CNY"
    balance: str = ""
    tail: str = ""
    order: str = ""
    counterparty: str = ""
    memo: tuple[str, ...] = ()
    via: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What a bill says above its rows: the account's last digits, the statement's year, month."""

    tail: str = ""
    month: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of bill. ``header`` are the columns that tell it apart from every other."""

    kind: str
    name_zh: str
    instrument: str
    header: frozenset[str]
    read: Callable[[Row, Source], Entry]
    date: str


def _money(row: Row, name: str, currency: str = "CNY") -> int:
    text = bare(row[name])
    if not text:
        raise SchemaError("ledger_no_amount", field=name)
    try:
        return amount_minor(text, currency)
    except InputError as error:
        raise SchemaError("ledger_bad_amount", field=name) from error


def _currency(row: Row, name: str) -> str:
    try:
        return currency_code(row.get(name, ""))
    except InputError as error:
        raise SchemaError("ledger_bad_currency", field=name) from error


def _in_out(row: Row, came: str, went: str, currency: str = "CNY") -> int:
    """Return signed minor units of a pair of columns, one of which is empty or zero."""
    plus, minus = bare(row[came]), bare(row[went])
    if not plus and not minus:
        raise SchemaError("ledger_no_amount", field=went)
    return (_money(row, came, currency) if plus else 0) - (
        _money(row, went, currency) if minus else 0
    )


_OUT = ("提现", "转出到银行", "还款", "购买", "买入", "申购", "转入", "缴费", "付款", "转账")
_IN = ("退款", "充值", "卖出", "赎回", "收益", "转出", "收款", "红包")


def _neutral(text: str, field: str, *, out: tuple[str, ...] = _OUT) -> int:
    """Return the sign of a row that a wallet counts neither as income nor as spending."""
    for words, sign in ((("退款", "卖出", "赎回", "收益"), 1), (out, -1), (_IN, 1)):
        if any(word in text for word in words):
            return sign
    raise SchemaError("ledger_no_direction", field=field)


def _alipay(row: Row, source: Source) -> Entry:
    status, way = row["交易状态"], row["收/支"]
    if status == "交易关闭" and way != "支出":
        raise SchemaError("ledger_not_settled", field="交易状态")
    text = f"{row['交易分类']} {row['商品说明']}"
    signs = {"支出": -1, "收入": 1}
    sign = signs[way] if way in signs else _neutral(text, "收/支")
    category = "refund" if "退款" in text or status == "退款成功" else ""
    return Entry(
        at=row["交易时间"],
        amount_minor=sign * _money(row, "金额"),
        order=row["交易订单号"],
        counterparty=row["交易对方"],
        memo=(row["交易分类"], row["交易对方"], row["商品说明"], row["备注"]),
        via=row["收/付款方式"],
        category=category,
    )


def _wechat(row: Row, source: Source) -> Entry:
    kind, way, status = row["交易类型"], row["收/支"], row["当前状态"]
    signs = {"支出": -1, "收入": 1}
    if way in signs:
        sign = signs[way]
    elif kind.startswith("转入零钱通-来自") and "零钱" not in kind.removeprefix("转入零钱通-来自"):
        sign = 1  # from a bank card into the wallet
    elif kind.startswith("零钱通转出-到"):
        sign = 1 if "零钱" in kind.removeprefix("零钱通转出-到") else -1
    else:
        sign = _neutral(kind, "收/支")
    moved = "提现" in kind or "充值" in kind or "零钱通" in kind
    return Entry(
        at=row["交易时间"],
        amount_minor=sign * _money(row, "金额(元)"),
        order=row["交易单号"],
        counterparty=row["交易对方"],
        memo=(kind, row["交易对方"], row["商品"], status, row["备注"]),
        via=row["支付方式"],
        category="own_transfer" if moved else "refund" if "退款" in kind else "",
    )


def _jd(row: Row, source: Source) -> Entry:
    way, status, text = row["收/支"], row["交易状态"], row["交易说明"]
    if row["收/付款方式"] == "先享后付":
        raise SchemaError("ledger_not_settled", field="收/付款方式")
    if way in ("支出", "收入"):
        sign = 1 if way == "收入" else -1
    elif status == "退款成功" or text.startswith("退款"):
        sign = 1
    elif "已全额退款" in row["金额"]:
        sign = -1  # paid; the refunds are rows of their own
    else:
        sign = _neutral(f"{row['交易分类']} {text}", "收/支")
    return Entry(
        at=row["交易时间"],
        amount_minor=sign * _money(row, "金额"),
        order=row["交易订单号"],
        counterparty=row["商户名称"],
        memo=("京东", row["交易分类"], row["商户名称"], text, row["备注"]),
        via=row["收/付款方式"],
        category="refund" if status == "退款成功" else "",
    )


def _meituan(row: Row, source: Source) -> Entry:
    way = row["收/支"]
    if way not in ("支出", "收入"):
        sign = _neutral(row["交易类型"], "收/支")
    else:
        sign = 1 if way == "收入" else -1
    kind = row["交易类型"]
    return Entry(
        at=row["交易成功时间"] or row["交易创建时间"],
        amount_minor=sign * _money(row, "实付金额"),
        order=row["交易单号"],
        counterparty=row["订单标题"] if kind != "还款" else "美团月付",
        memo=("美团", kind, row["订单标题"], row["备注"]),
        via=row["支付方式"],
        category={"退款": "refund", "还款": "card_repayment"}.get(kind, ""),
    )


def _abc(row: Row, source: Source) -> Entry:
    return Entry(
        at=f"{row['交易日期']} {row['交易时间']}".strip(),
        amount_minor=_money(row, "交易金额"),
        balance=row["本次余额"],
        order=row["日志号"],
        counterparty=row["对手信息"],
        memo=(row["交易摘要"], row["对手信息"], row["交易渠道"], row["交易附言"]),
    )


def _boc_debit(row: Row, source: Source) -> Entry:
    currency = _currency(row, "币别")
    return Entry(
        at=f"{row['记账日期']} {row['记账时间']}".strip(),
        amount_minor=_money(row, "金额", currency),
        currency=currency,
        balance=row["余额"],
        tail=row["借记卡号"],
        counterparty=row["对方账户名"],
        memo=(row["交易名称"], row["对方账户名"], row["附言"], row["渠道"]),
    )


def _boc_credit(row: Row, source: Source) -> Entry:
    currency = _currency(row, "币种")
    amount = _in_out(row, "存入", "支出", currency)
    shop = re.search(r"[A-Z]{3}$", row["交易描述"])  # a merchant's country
    return Entry(
        at=row["交易日"] or row["银行记账日"],
        amount_minor=amount,
        currency=currency,
        tail=row["卡号后四位"],
        counterparty=row["交易描述"],
        memo=(row["交易描述"],),
        category="refund" if shop and amount > 0 else "",
    )


_BOCOM_IN = ("退货", "信用卡还款", "还款", "返现", "退款", "溢缴")
_BOCOM_OUT = ("消费", "取现", "利息", "年费", "手续费", "分期", "违约金")


def _bocom_credit(row: Row, source: Source) -> Entry:
    text, money = row["交易说明"], row["入账币种/金额"]
    currency = _currency({"c": money.strip()[:3]}, "c")
    sign = 1 if text.startswith(_BOCOM_IN) else -1 if text.startswith(_BOCOM_OUT) else 0
    if not sign:
        raise SchemaError("ledger_no_direction", field="交易说明")
    return Entry(
        at=row["交易日期"],
        amount_minor=sign * _money(row, "入账币种/金额", currency),
        currency=currency,
        counterparty=text.partition(" ")[2],
        memo=(text,),
        category=_repaid(text, sign),
    )


def _bocom_debit(row: Row, source: Source) -> Entry:
    way = row["借贷"]
    sign = 1 if "贷" in way or "Cr" in way else -1 if "借" in way or "Dr" in way else 0
    if not sign:
        raise SchemaError("ledger_no_direction", field="借贷")
    return Entry(
        at=f"{row['交易日期']} {row['交易时间']}".strip(),
        amount_minor=sign * _money(row, "交易金额"),
        balance=row["余额"],
        counterparty=row["对方户名"],
        memo=(row["交易类型"], row["对方户名"], row["交易地点"], row["摘要"]),
    )


def _ccb(row: Row, source: Source) -> Entry:
    currency = _currency(row, "币种")
    return Entry(
        at=f"{row['交易日期']} {row['交易时间']}".strip(),
        amount_minor=_in_out(row, "收入", "支出", currency),
        currency=currency,
        balance=row["账户余额"],
        tail=source.tail,
        counterparty=row["对方户名"],
        memo=(row["摘要"], row["对方户名"], row["交易地点"]),
    )


def _cgb(row: Row, source: Source) -> Entry:
    currency, text = _currency(row, "入账货币"), row["交易摘要"]
    amount = -_money(row, "入账金额", currency)
    return Entry(
        at=row["交易日期"] or row["入账日期"],
        amount_minor=amount,
        currency=currency,
        counterparty=re.sub(r"^（[^）]*）", "", text),
        memo=(text,),
        category=_repaid(text, 1 if amount > 0 else -1),
    )


def _citic(row: Row, source: Source) -> Entry:
    currency, text = _currency(row, "结算币种"), row["交易描述"]
    amount = -_money(row, "结算金额", currency)
    return Entry(
        at=row["交易日期"] or row["入账日期"],
        amount_minor=amount,
        currency=currency,
        tail=row["卡末四位"],
        counterparty=text,
        memo=(text,),
        category=_repaid(text, 1 if amount > 0 else -1),
    )


def _cmb_credit(row: Row, source: Source) -> Entry:
    day = row["交易日"] or row["记账日"]
    match = re.match(r"^(\d{1,2})/(\d{1,2})$", day)
    if match is None or source.month is None:
        raise SchemaError("ledger_bad_date", field="交易日")
    year, month = source.month
    found = int(match[1])
    year -= found > month  # a December purchase on a January statement
    amount = -_money(row, "人民币金额")
    return Entry(
        at=f"{year:04d}-{found:02d}-{int(match[2]):02d}",
        amount_minor=amount,
        tail=row["卡号末四位"],
        counterparty=row["交易摘要"],
        memo=(row["交易摘要"],),
        category=_repaid(row["交易摘要"], 1 if amount > 0 else -1),
    )


def _cmb_debit(row: Row, source: Source) -> Entry:
    currency = _currency(row, "货币")
    return Entry(
        at=row["记账日期"],
        amount_minor=_money(row, "交易金额", currency),
        currency=currency,
        balance=row["联机余额"],
        counterparty=re.sub(r"\s*\d{8,}$", "", row["对手信息"]),
        memo=(row["交易摘要"], row["对手信息"], row["客户摘要"]),
    )


def _icbc(row: Row, source: Source) -> Entry:
    currency = _currency(row, "记账币种")
    return Entry(
        at=row["交易日期"] or row["记账日期"],
        amount_minor=_in_out(row, "记账金额(收入)", "记账金额(支出)", currency),
        currency=currency,
        balance=row["余额"],
        tail=source.tail,
        counterparty=row["对方户名"] or row["交易场所"],
        memo=(row["摘要"], row.get("交易详情", ""), row["交易场所"], row["对方户名"]),
    )


def _icbc_credit(row: Row, source: Source) -> Entry:
    entry = _icbc(row, source)
    return replace(entry, category=_repaid(row["摘要"], 1 if entry.amount_minor > 0 else -1))


def _spdb(row: Row, source: Source) -> Entry:
    return Entry(
        at=row["交易日期"],
        amount_minor=_in_out(row, "存入金额", "取出金额"),
        balance=row["余额"],
        tail=source.tail,
        counterparty=row["交易对手名称"],
        memo=(row["交易类型"], row["交易对手名称"], row["附言"]),
    )


def _repaid(text: str, sign: int) -> str:
    """Return the category of money that comes into a credit card: a repayment or a refund."""
    if sign < 0:
        return ""
    return "own_transfer" if "还款" in text or "转帐还款" in text else "refund"


def _format(
    kind: str, name_zh: str, instrument: str, header: str, read: Callable[[Row, Source], Entry]
) -> Format:
    names = header.split()
    return Format(kind, name_zh, instrument, frozenset(names), read, names[0])


FORMATS: tuple[Format, ...] = (
    _format("alipay", "支付宝", "wallet",
            "交易时间 交易分类 交易对方 商品说明 收/支 金额 收/付款方式 交易状态 交易订单号 备注",
            _alipay),
    _format("wechat", "微信支付", "wallet",
            "交易时间 交易类型 交易对方 商品 收/支 金额(元) 支付方式 当前状态 交易单号 备注",
            _wechat),
    _format("jd", "京东", "wallet",
            "交易时间 商户名称 交易说明 金额 收/付款方式 交易状态 收/支 交易分类 交易订单号 备注",
            _jd),
    _format("meituan", "美团", "wallet",
            "交易创建时间 交易成功时间 交易类型 订单标题 收/支 支付方式 实付金额 交易单号 备注",
            _meituan),
    _format("abc_debit", "农业银行借记卡", "bank",
            "交易日期 交易时间 交易摘要 交易金额 本次余额 对手信息 日志号 交易渠道 交易附言", _abc),
    _format("boc_debit", "中国银行借记卡", "bank",
            "记账日期 记账时间 币别 金额 余额 交易名称 渠道 附言 对方账户名 借记卡号", _boc_debit),
    _format("boc_credit", "中国银行信用卡", "card",
            "交易日 银行记账日 卡号后四位 交易描述 存入 支出 币种", _boc_credit),
    _format("bocom_credit", "交通银行信用卡", "card",
            "交易日期 记账日期 交易说明 交易币种/金额 入账币种/金额", _bocom_credit),
    _format("bocom_debit", "交通银行借记卡", "bank",
            "交易日期 交易时间 交易类型 借贷 交易金额 余额 对方户名 交易地点 摘要", _bocom_debit),
    _format("ccb_debit", "建设银行借记卡", "bank",
            "交易日期 交易时间 支出 收入 账户余额 币种 摘要 对方户名 交易地点", _ccb),
    _format("cgb_credit", "广发银行信用卡", "card",
            "交易日期 入账日期 交易摘要 交易金额 交易货币 入账金额 入账货币", _cgb),
    _format("citic_credit", "中信银行信用卡", "card",
            "交易日期 入账日期 交易描述 卡末四位 交易币种 结算币种 交易金额 结算金额", _citic),
    _format("cmb_credit", "招商银行信用卡", "card",
            "交易日 记账日 交易摘要 人民币金额 卡号末四位 交易地金额", _cmb_credit),
    _format("cmb_debit", "招商银行借记卡", "bank",
            "记账日期 货币 交易金额 联机余额 交易摘要 对手信息 客户摘要", _cmb_debit),
    _format("icbc_debit", "工商银行借记卡", "bank",
            "交易日期 摘要 交易场所 钞/汇 记账金额(收入) 记账金额(支出) 记账币种 余额 对方户名",
            _icbc),
    _format("icbc_credit", "工商银行信用卡", "card",
            "交易日期 记账日期 摘要 交易场所 记账金额(收入) 记账金额(支出) 记账币种 余额 对方户名",
            _icbc_credit),
    _format("spdb_debit", "浦发银行借记卡", "bank",
            "交易日期 交易类型 存入金额 取出金额 余额 交易对手名称 附言", _spdb),
)  # fmt: skip
"""Tried in this order; the headers tell them apart, so the order does not matter."""
