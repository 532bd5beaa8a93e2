"""From the fields of one file to an institution record: names, types and ranges, in file order."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from jinqiao.catalog.fields import MAX_WHOLE, Fields, Place
from jinqiao.catalog.node import Node
from jinqiao.domain.catalog import (
    Branch,
    Charged,
    Cost,
    Delivery,
    Fee,
    Institution,
    LicenceKind,
    Limit,
    Measure,
    Payout,
    PayoutBasis,
    PayoutTier,
    Period,
    Product,
    RepaymentMethod,
    Schedule,
)
from jinqiao.domain.ids import InstitutionId, ProductId
from jinqiao.domain.money import CURRENCIES
from jinqiao.domain.stage import ProductClass, Stage

__all__ = ["CHANNELS", "ROUTES", "ZONE", "read_institution"]

ZONE = "Asia/Shanghai"
ROUTES = ("redirect", "api_lead", "file", "prescreen")
CHANNELS = ("app", "web", "mini_program", "partner")
RISKS = ("R1", "R2", "R3", "R4", "R5")
KINDS = ("person", "merchant")
_MAX_DAYS = 50 * 365
_MAX_BPS = 1_000_000


def read_institution(node: Node, place: Place) -> Institution:
    """Return the institution of a file's tree; what is wrong is in ``place.faults``."""
    top = Fields(node, "", place)
    institution_id = InstitutionId(top.identity("institution_id"))
    name_zh, name_en = top.both("name")
    licence = top.choice("licence", LicenceKind)
    jurisdiction = top.text("jurisdiction")
    currency = top.word("currency", tuple(CURRENCIES))
    zone = _zone(top)
    floor = top.share("approval_rate_floor")
    limits = _limits(top)
    branches = tuple(_branch(part) for part in top.parts("branches"))
    products = tuple(
        _product(part, institution_id, currency) for part in top.parts("products", needed=True)
    )
    top.close()
    return Institution(
        institution_id=institution_id,
        name_zh=name_zh,
        name_en=name_en,
        licence=licence,
        jurisdiction=jurisdiction,
        currency=currency,
        zone=zone,
        products=products,
        limits=limits,
        approval_rate_floor=floor,
        branches=branches,
    )


def _zone(top: Fields) -> str:
    zone = top.text("zone", ZONE)
    try:
        ZoneInfo(zone)
    except Exception:
        # zoneinfo answers odd names with errors of the file system.
        top.fault("zone", f"no time zone {zone[:80]!r}", "for example Asia/Shanghai")
        return ZONE
    return zone


def _branch(part: Fields) -> Branch:
    branch_id = part.identity("branch_id")
    name_zh, name_en = part.both("name")
    branch = Branch(branch_id, name_zh, name_en, part.text("region"), _limits(part))
    part.close()
    return branch


def _limits(owner: Fields) -> tuple[Limit, ...]:
    limits = tuple(_limit(part) for part in owner.parts("limits"))
    seen: set[tuple[str, ...]] = set()
    for index, limit in enumerate(limits):
        key = (limit.measure, limit.period, limit.stage)
        if key in seen:
            said = f"a second {limit.measure} limit a {limit.period}"
            owner.fault(f"limits[{index}]", said, "keep the smaller one")
        seen.add(key)
    return limits


def _limit(part: Fields) -> Limit:
    """Return a quota ``{count: 40, period: day}`` or a budget ``{money_minor: …, period: …}``."""
    money = part.has("money_minor")
    if money and part.has("count"):
        part.fault("count", "count and money_minor in one limit", "write two limits")
    key = "money_minor" if money else "count"
    at_most = part.whole(key, 0, MAX_WHOLE if money else 10**12)
    period = part.choice("period", Period)
    stage = Stage.APPLICATION if money else part.choice("stage", Stage, Stage.APPLICATION)
    part.asked += ["count", "money_minor", *([] if money else ["stage"])]
    part.close()
    return Limit(Measure.MONEY if money else Measure.COUNT, period, at_most, stage)


def _product(part: Fields, institution_id: InstitutionId, currency: str) -> Product:
    product_id = ProductId(part.identity("product_id"))
    product_class = part.choice("class", ProductClass)
    name_zh, name_en = part.both("name")
    summary_zh, summary_en = part.both("summary", needed=False)
    product = Product(
        product_id=product_id,
        institution_id=institution_id,
        product_class=product_class,
        name_zh=name_zh,
        name_en=name_en,
        currency=currency,
        risk_level=int(part.word("risk", RISKS)[1:]),
        customer_kind=part.word("customer_kind", KINDS, "person"),
        cost=_cost(part.part("cost")),
        eligibility=part.text("eligibility", "", longest=4_000),
        payout=_payout(part.part("payout")),
        delivery=_delivery(part.part("delivery")),
        limits=_limits(part),
        schedule=_schedule(part.part("schedule", needed=False)),
        summary_zh=summary_zh,
        summary_en=summary_en,
    )
    part.close()
    return product


def _cost(part: Fields) -> Cost:
    if not part.nodes:
        return Cost(0, 0, 1, 1, 1, 1, 1)
    amount, term, example = part.part("amount_minor"), part.part("term_days"), part.part("example")
    promotion_zh, promotion_en = part.both("promotion", needed=False)
    cost = Cost(
        rate_bps=part.whole("rate_bps", 0, _MAX_BPS),
        amount_min_minor=amount.whole("min"),
        amount_max_minor=amount.whole("max", 1),
        term_min_days=term.whole("min", 1, _MAX_DAYS),
        term_max_days=term.whole("max", 1, _MAX_DAYS),
        reference_amount_minor=example.whole("amount_minor", 1, 10**13),
        reference_term_days=example.whole("term_days", 1, _MAX_DAYS),
        repayment=part.choice("repayment", RepaymentMethod, RepaymentMethod.NONE),
        fees=tuple(_fee(fee) for fee in part.parts("fees")),
        promotion_zh=promotion_zh,
        promotion_en=promotion_en,
    )
    for one in (amount, term, example, part):
        one.close()
    return cost


def _fee(part: Fields) -> Fee:
    name_zh, name_en = part.both("name")
    charged = part.choice("charged", Charged)
    payee = part.text("payee", "institution")
    fixed = part.has("amount_minor")
    if fixed == part.has("rate_bps"):
        part.fault("amount_minor", "a fee is an amount or a rate", "keep one of them")
    amount = part.whole("amount_minor", default=0)
    rate = part.whole("rate_bps", 0, _MAX_BPS, default=0)
    part.close()
    return Fee(name_zh, name_en, charged, payee, amount if fixed else None, None if fixed else rate)


def _payout(part: Fields) -> Payout:
    if not part.nodes:
        return Payout(PayoutBasis.CPA, Stage.APPLICATION, (PayoutTier(1, 0),))
    basis = part.choice("basis", PayoutBasis)
    stage = part.choice("stage", Stage)
    tiers = tuple(_tier(tier, basis) for tier in part.parts("tiers", needed=True))
    if not tiers:
        part.fault("tiers", "a payout has at least one tier", "add {from_count: 1, …}")
    payout = Payout(basis, stage, tiers, part.whole("clawback_days", 0, _MAX_DAYS, 0))
    part.close()
    return payout


def _tier(part: Fields, basis: PayoutBasis) -> PayoutTier:
    count = part.whole("from_count", 1, 10**12)
    share = basis is PayoutBasis.CPS
    wanted, other = ("rate_bps", "amount_minor") if share else ("amount_minor", "rate_bps")
    if part.has(other):
        what = "a share of the money" if share else "an amount"
        part.fault(other, f"{basis} pays {what}", f"write {wanted}")
        part.asked.append(other)
    number = part.whole(wanted, 0, 10_000 if share else MAX_WHOLE)
    part.close()
    return PayoutTier(count, None if share else number, number if share else None)


def _schedule(part: Fields) -> Schedule:
    schedule = Schedule(
        launch_on=part.day("launch_on"),
        withdraw_on=part.day("withdraw_on"),
        hours=_hours(part),
        regions=part.words("regions"),
        channels=part.words("channels"),
    )
    for index, channel in enumerate(schedule.channels):
        if channel not in CHANNELS:
            fix = f"use one of {', '.join(CHANNELS)}"
            part.fault(f"channels[{index}]", f"no channel {channel[:40]!r}", fix)
    part.close()
    return schedule


def _hours(part: Fields) -> tuple[int, int] | None:
    """Return ``[8, 22]``: offered from 8:00 until before 22:00; ``[22, 6]`` goes over midnight."""
    node = part.node("hours", False)
    if node is None:
        return None
    found = node.value if isinstance(node.value, list) else []
    hours = [child.value for child in found]
    whole = all(isinstance(hour, int) and not isinstance(hour, bool) for hour in hours)
    if len(hours) != 2 or not whole or not all(0 <= hour <= 24 for hour in hours):
        part.fault("hours", "two whole hours from 0 to 24 are needed", "for example [8, 22]")
        return None
    if hours[0] == hours[1]:
        part.fault("hours", "no hour at all", "leave hours out for the whole day")
    return hours[0], hours[1]


def _delivery(part: Fields) -> Delivery:
    if not part.nodes:
        return Delivery("redirect")
    kind = part.word("route", ROUTES)
    url = part.text("url", "")
    if kind == "redirect" and not url:
        part.fault("url", "a redirect needs a url", "add it")
    if url and not url.startswith("https://"):
        part.fault("url", f"{url[:80]!r} is not an https address", "begin with https://")
    delivery = Delivery(kind, url, part.whole("hold_hours", 1, 24 * 365, 48))
    part.close()
    return delivery
