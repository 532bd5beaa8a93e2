"""What a transaction was for, told from its words, its direction, and its merchant code.

Rules are tried in order, the first that matches decides; a category that is known already is kept.
Words are matched as a person would read them, Chinese and English; no name is looked up anywhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["UNSORTED", "categorise", "category_of", "category_of_mcc"]

UNSORTED = frozenset({"other_in", "other_out"})

_IN: tuple[tuple[str, str], ...] = (
    ("refund", r"退款|退货|退回|冲正|\brefund"),
    ("salary", r"工资|代发(?!住房)|薪|奖金|\bsalary\b|\bpayroll\b"),
    ("pension", r"养老金|退休金|\bpension\b"),
    ("interest_income", r"结息|存款利息|利息收入|\binterest\b"),
    ("investment_income", r"赎回|卖出|分红|收益|红利|\bdividend"),
    ("loan_in", r"放款|贷款发放|借款到账|贷款入账|\bloan\b"),
    ("gig_income", r"骑手|跑单|接单|劳务|稿费"),
    ("business_income", r"二维码收款|收款码|商户结算|结算款|货款|经营"),
    ("cash_in", r"现金存|存现|ATM\s*存|\bcash deposit"),
    ("own_transfer", r"提现|充值"),
    ("transfer_in", r"转账|转入|汇入|汇款|网转|红包|转存|入账|\btransfer"),
)
_OUT: tuple[tuple[str, str], ...] = (
    ("penalty", r"滞纳金|罚息|违约金|逾期"),
    ("tax", r"利息税|个人所得税|缴税|税款|税务|\btax\b"),
    ("card_repayment", r"信用卡.{0,8}还款|还款.{0,8}信用卡|自动还款|月付.*还款|掌上生活还款"),
    ("mortgage", r"房贷|按揭|住房贷款|\bmortgage\b"),
    ("loan_instalment", r"贷款还款|还贷|正常还款|借呗|花呗|白条还款|网商贷|微粒贷|分期|\bloan\b"),
    ("fee", r"手续费|服务费|年费|管理费|工本费"),
    ("insurance_premium", r"保险|保费|人寿|\binsurance\b"),
    ("gambling", r"彩票|体彩|福彩|博彩|\bcasino\b|\blottery\b"),
    ("investment_out", r"基金(?!会)|理财|申购|买入|证券|余额宝|零钱通|小金库|股票"),
    ("deposit_out", r"定期存|存单|零存整取|大额存"),
    ("rent", r"房租|租金|房东|自如|公寓|\brent\b"),
    ("utilities", r"电费|水费|燃气|国网|电力|供电|供水|话费|中国移动|中移动|中国联通|中国电信"
                  r"|宽带|取暖|供暖"),
    ("household", r"物业|家政|保洁"),
    ("education", r"学费|培训|教育|学校|大学|幼儿园|课程|\btuition\b"),
    ("health", r"医院|药店|药房|大药|诊所|体检|医疗|挂号|\bpharmacy\b"),
    ("travel", r"酒店|航空|机票|携程|飞猪|去哪儿|旅行|民宿|\bhotel\b|\bairline"),
    ("dining", r"餐|饭|米线|米粉|面馆|烧烤|火锅|烤鱼|盖码|外卖|食堂|小吃|茶|咖啡|甜品|蛋挞|丸子"
               r"|牛羊肉|烤肉|菜馆|鱼府|菜小酒馆|麦当劳|金拱门|肯德基|星巴克|瑞幸|饿了么|美团|三快"
               r"|\brestaurant\b|\bcoffee\b"),
    ("transport", r"地铁|公交|交通卡|交通出行|一卡通|滴滴|嘀嘀|打车|高德|铁路|12306|加油|石油|石化"
                  r"|停车|ETC|电子收费|顺风车|网约车|单车|suica|\btaxi\b"),
    ("groceries", r"超市|便利|便民|生鲜|水果|蔬菜|粮油|盒马|永辉|沃尔玛|日用|食品酒饮"
                  r"|\bgrocer|supermarket"),
    ("entertainment", r"影票|电影|影院|游戏|视频|音乐|KTV|xbox|steam|演出|会员|赞赏|直播"),
    ("own_transfer", r"提现|充值|转入零钱|余额提现"),
    ("cash_out", r"取现|取款|ATM|\bcash\b"),
    ("supplier_payment", r"货款|采购|供应商|进货"),
    ("shopping", r"京东|淘宝|天猫|拼多多|唯品会|抖音|旗舰店|服饰|数码|电脑|家化|购物|网购|百货"
                 r"|运动户外|快递|一号店|平台商户|\bamazon\b|网银在线"),
    ("transfer_out", r"转账|汇款|网转|红包|转出|亲情卡|亲属卡|代付|群收款|捐|\btransfer"),
    ("loan_instalment", r"还款"),
)  # fmt: skip

_COMPILED = {
    1: [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _IN],
    -1: [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _OUT],
}

_MCC: tuple[tuple[int, int, str], ...] = (
    (3000, 3999, "travel"), (4011, 4131, "transport"), (4411, 4411, "travel"),
    (4511, 4511, "travel"), (4722, 4722, "travel"), (4784, 4789, "transport"),
    (4812, 4814, "utilities"), (4829, 4829, "transfer_out"), (4899, 4900, "utilities"),
    (5411, 5499, "groceries"), (5541, 5542, "transport"), (5811, 5814, "dining"),
    (5912, 5912, "health"), (5000, 5999, "shopping"), (6010, 6011, "cash_out"),
    (6211, 6211, "investment_out"), (6300, 6399, "insurance_premium"), (6513, 6513, "rent"),
    (7011, 7012, "travel"), (7230, 7299, "household"), (7512, 7549, "transport"),
    (7800, 7802, "gambling"), (7995, 7995, "gambling"), (7829, 7999, "entertainment"),
    (8011, 8099, "health"), (8211, 8299, "education"), (8651, 8699, "other_out"),
    (9311, 9311, "tax"), (9754, 9754, "gambling"),
)  # fmt: skip
"""Merchant category codes (ISO 18245), first range that holds the code."""


def category_of(memo: str, sign: int) -> str:
    """Return the category of a memo, given the direction of the money (+1 in, −1 out).

    >>> category_of("代发工资", 1), category_of("美团 · 火锅", -1), category_of("?", -1)
    ('salary', 'dining', 'other_out')
    """
    for name, pattern in _COMPILED[1 if sign > 0 else -1]:
        if pattern.search(memo):
            return name
    return "other_in" if sign > 0 else "other_out"


def category_of_mcc(code: int) -> str | None:
    """Return the category of a merchant category code (0 to 9999), None where it says nothing."""
    return next((name for low, high, name in _MCC if low <= code <= high), None)


def categorise(table: pa.Table, *, mcc: pa.Array | None = None) -> pa.Table:
    """Return the table with every row that had no category given one.

    Parameters
    ----------
    table : rows of RAW_TRANSACTIONS, or of a bill, with ``memo``, ``amount_minor``, ``category``.
    mcc : merchant category codes (n,), null where unknown; they decide for spending when known.
    """
    import pyarrow as pa

    codes = mcc.to_pylist() if mcc is not None else [None] * table.num_rows
    columns = (table[name].to_pylist() for name in ("category", "memo", "amount_minor"))
    known: dict[tuple[object, ...], str] = {}
    found = []
    for category, memo, amount, code in zip(*columns, codes, strict=True):
        words, sign = _words(memo), 1 if amount > 0 else -1
        key = (category, words, sign, code)
        if key not in known:
            known[key] = _one(category, words, sign, code)
        found.append(known[key])
    at = table.column_names.index("category")
    return table.set_column(at, table.schema.field("category"), pa.array(found, pa.string()))


def _one(category: str, words: str, sign: int, mcc: int | None) -> str:
    if category not in UNSORTED:
        return category
    by_code = category_of_mcc(mcc) if mcc is not None and sign < 0 else None
    return by_code or category_of(words, sign)


def _words(memo: str | None) -> str:
    """Return the memo without the account a payment drew on, which says nothing of its purpose."""
    return (memo or "").split("付款方式：", 1)[0]
