"""Small worlds of lake rows, and a naive recomputation of every feature from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import stdev
from typing import Any

import pyarrow as pa

from jinqiao.domain.consent import Purpose
from jinqiao.domain.tables import (
    ATTRIBUTES,
    BEHAVIOUR,
    DECISIONS,
    LAKE_TABLES,
    OUTCOMES,
    TRANSACTIONS,
    TableSchema,
)
from jinqiao.store.arrow import arrow_schema
from jinqiao.store.memory import MemoryLake

AS_OF = datetime(2025, 6, 15, 4, 30, tzinfo=UTC)
AS_OF_US = 1_749_961_800_000_000
START = datetime(2025, 1, 1, tzinfo=UTC).replace(tzinfo=None)
DAY = timedelta(days=1)
CHINA = timedelta(hours=8)
CLASSES = {
    "p_card": "credit_card", "p_loan": "loan", "p_fund": "fund", "p_deposit": "deposit",
    "p_cover": "insurance", "p_pay": "payment",
}  # fmt: skip
CREDIT, WEALTH, COVER = {"p_card", "p_loan"}, {"p_fund", "p_deposit"}, {"p_cover"}
Row = dict[str, Any]


@dataclass
class World:
    """Rows of every lake table, who is whom, and who agreed to what."""

    transactions: list[Row] = field(default_factory=list)
    behaviour: list[Row] = field(default_factory=list)
    attributes: list[Row] = field(default_factory=list)
    decisions: list[Row] = field(default_factory=list)
    empty_shelves: list[Row] = field(default_factory=list)
    outcomes: list[Row] = field(default_factory=list)
    customer_of: dict[str, str] = field(default_factory=dict)
    purposes: tuple[Purpose, ...] = tuple(Purpose)

    def lake(self) -> MemoryLake:
        lake = MemoryLake()
        for schema in LAKE_TABLES:
            rows = getattr(self, schema.name)
            if rows:
                lake.append(schema, table(schema, rows), batch_id="all")
        return lake

    @property
    def customer_map(self) -> pa.Table:
        rows = [{"subject_id": s, "customer_id": c} for s, c in self.customer_of.items()]
        texts = pa.schema([("subject_id", pa.string()), ("customer_id", pa.string())])
        return pa.Table.from_pylist(rows, schema=texts)

    @property
    def consent_state(self) -> pa.Table:
        return consent(sorted(set(self.customer_of.values())), self.purposes)

    @property
    def products(self) -> pa.Table:
        return pa.table({"product_id": list(CLASSES), "product_class": list(CLASSES.values())})


def consent(
    customers: Iterable[str], purposes: Iterable[Purpose], granted: bool = True
) -> pa.Table:
    rows = [
        {"customer_id": c, "purpose": p.value, "granted": granted, "consent_version": "v1",
         "since": START}
        for c in customers for p in purposes
    ]  # fmt: skip
    shape = pa.schema([
        ("customer_id", pa.string()), ("purpose", pa.string()), ("granted", pa.bool_()),
        ("consent_version", pa.string()), ("since", pa.timestamp("us")),
    ])  # fmt: skip
    return pa.Table.from_pylist(rows, schema=shape)


_DEFAULTS: Mapping[str, Any] = {"string": "", "bool": True, "timestamp": START}


def table(schema: TableSchema, rows: list[Row]) -> pa.Table:
    """Return rows as a lake table; what a row leaves out is null, or nothing where it must be."""
    blank = {c.name: None if c.nullable else _DEFAULTS.get(c.type, 0) for c in schema.columns}
    full = [blank | {k: _naive(v) for k, v in row.items()} for row in rows]
    return pa.Table.from_pylist(full, schema=arrow_schema(schema))


def _naive(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def at(days_ago: float, hours: float = 0.0) -> datetime:
    """Return the instant so long before the as-of."""
    return AS_OF - timedelta(days=days_ago, hours=hours)


def transaction(
    number: int, who: str, days_ago: float, amount: int, category: str, **more: Any
) -> Row:
    moment = at(days_ago)
    return {
        "transaction_id": f"t{number}", "subject_id": who, "account_id": "a", "currency": "CNY",
        "occurred_at": moment, "received_at": moment, "amount_minor": amount,
        "category": category, "instrument": "bank",
    } | more  # fmt: skip


class View:
    """What one customer's rows are as of AS_OF, as plain lists."""

    def __init__(self, world: World, customer: str) -> None:
        mine = {s for s, c in world.customer_of.items() if c == customer}

        def known(rows: list[Row], key: str, owner: str = "subject_id") -> list[Row]:
            seen: dict[str, Row] = {}
            for row in rows:
                if row[key] not in seen:  # the lake keeps the first row of a key
                    seen[row[key]] = row
            return [
                r for r in seen.values()
                if r[owner] in mine and r["received_at"] <= AS_OF and r["occurred_at"] <= AS_OF
            ]  # fmt: skip

        self.tx = [r for r in known(world.transactions, "transaction_id") if r["currency"] == "CNY"]
        self.visits = [
            r for r in known(world.behaviour, "message_id") if r["type"] in ("track", "page")
        ]
        self.facts = known(world.attributes, "attribute_id")
        self.shown = known(world.decisions, "trace_id", "customer_id")
        standing: dict[tuple[Any, ...], Row] = {}
        for row in sorted(
            {r["outcome_id"]: r for r in reversed(world.outcomes)}.values(),
            key=lambda r: (r["sequence"], r["outcome_id"]),
        ):
            if row["received_at"] <= AS_OF and row["occurred_at"] <= AS_OF:
                standing[row["trace_id"], row["position"], row["stage"]] = row
        self.standing = [r for r in standing.values() if r["customer_id"] in mine]

    def fact(self, name: str, kind: str) -> Any:
        rows = [r for r in self.facts if r["attribute"] == name]
        if not rows:
            return None
        key = lambda r: (r["occurred_at"], r["received_at"], r["attribute_id"])  # noqa: E731
        return max(rows, key=key).get(kind)


def within(rows: list[Row], days: int) -> list[Row]:
    return [r for r in rows if AS_OF - r["occurred_at"] < days * DAY]


def ago(row: Row) -> int:
    return (AS_OF - row["occurred_at"]) // DAY


def local(moment: datetime) -> datetime:
    return moment.astimezone(UTC) + CHINA


def month(row: Row) -> int:
    """Return how many months that end on the as-of's day lie after the row's."""
    end, day = local(AS_OF), local(row["occurred_at"])
    whole = (end.year - day.year) * 12 + end.month - day.month
    return whole - 1 if day.day > end.day else whole


INCOME = {"salary", "pension", "gig_income", "business_income"}
SPEND = {
    "rent", "groceries", "dining", "transport", "shopping", "entertainment", "gambling",
    "utilities", "household", "education", "health", "travel", "insurance_premium", "tax", "fee",
    "penalty", "cash_out", "other_out",
}  # fmt: skip


def income(row: Row) -> int:
    return row["amount_minor"] if row["category"] in INCOME and row["amount_minor"] > 0 else 0


def spend(row: Row) -> int:
    return -row["amount_minor"] if row["category"] in SPEND and row["amount_minor"] < 0 else 0


def total(rows: list[Row], *categories: str) -> int | None:
    """Return the sum of some categories; None when there is no row at all."""
    if not rows:
        return None
    return sum(r["amount_minor"] for r in rows if r["category"] in categories)


def minus(number: int | None) -> int | None:
    return None if number is None else -number


def over(top: float | None, below: float | None) -> float | None:
    return None if top is None or not below else top / below


def three(view: View) -> list[Row]:
    return [r for r in view.tx if month(r) < 3]


def months_covered(view: View) -> float | None:
    if not view.tx:
        return None
    return min(3.0, max(1.0, (max(map(ago, view.tx)) + 1) / 30.4375))


def monthly(view: View, amount: float | None) -> int | None:
    share = over(amount, months_covered(view))
    return None if share is None else int(share // 1)


def earned(view: View) -> int | None:
    return sum(map(income, three(view))) if three(view) else None


def spent(view: View) -> int | None:
    return sum(map(spend, three(view))) if three(view) else None


def debt(view: View) -> int | None:
    return minus(total(three(view), "loan_instalment", "card_repayment", "mortgage"))


def covered_incomes(view: View) -> list[int]:
    """Return the income of each of the last six months that the ledger covers, newest first."""
    if not view.tx:
        return []
    whole = max(map(month, view.tx))
    return [sum(income(r) for r in view.tx if month(r) == k) for k in range(min(6, whole))]


def stability(view: View) -> float | None:
    found = covered_incomes(view)
    if len(found) < 2 or not sum(found):
        return None
    mean = sum(found) / len(found)
    square = sum(x * x for x in found) / len(found)
    return 1 / (1 + max(square - mean * mean, 0) ** 0.5 / mean)


def trend(view: View) -> float | None:
    found = covered_incomes(view)
    ratio = over(sum(found[:3]), sum(found[3:])) if len(found) == 6 else None
    return None if ratio is None else ratio - 1


def spend_share(view: View, chosen: Callable[[Row], bool]) -> float | None:
    rows = within(view.tx, 90)
    return over(sum(spend(r) for r in rows if chosen(r)), sum(map(spend, rows)))


def of(*categories: str) -> Callable[[View], float | None]:
    return lambda view: spend_share(view, lambda r: r["category"] in categories)


def accounts(view: View) -> list[list[Row]]:
    named: dict[str, list[Row]] = {}
    for row in view.tx:
        named.setdefault(row["account_id"], []).append(row)
    return list(named.values())


def balance(view: View, over_rows: Callable[[list[int]], float] | None, days: int) -> float | None:
    """Return the sum over accounts of a figure of recent balances, else of the latest one."""
    found = []
    for rows in accounts(view):
        seen = [r for r in rows if r.get("balance_minor") is not None]
        recent = [r["balance_minor"] for r in within(seen, days)]
        if over_rows is not None and recent:
            found.append(over_rows(recent))
        elif seen:
            key = lambda r: (r["occurred_at"], r["transaction_id"])  # noqa: E731
            found.append(max(seen, key=key)["balance_minor"])
    return sum(found) if found else None


def mean(numbers: list[int]) -> float:
    return sum(numbers) / len(numbers)


def rounded(number: float | None) -> int | None:
    return None if number is None else int(abs(number) + 0.5) * (1 if number >= 0 else -1)


def hour(row: Row) -> int:
    return local(row["occurred_at"]).hour


def at_night(row: Row) -> bool:
    return hour(row) >= 23 or hour(row) < 5


def weekend(row: Row) -> bool:
    return local(row["occurred_at"]).weekday() >= 5


def visit_share(view: View, chosen: Callable[[Row], bool]) -> float | None:
    rows = within(view.visits, 90)
    return over(sum(map(chosen, rows)), len(rows))


def sessions(view: View, days: int) -> dict[str, Row]:
    """Return the latest event of each session that has one in the window."""
    found: dict[str, Row] = {}
    for row in within(view.visits, days):
        name = row.get("session_id")
        if name and (name not in found or found[name]["occurred_at"] < row["occurred_at"]):
            found[name] = row
    return found


def most(view: View, choices: tuple[str, ...], key: Callable[[Row], Any]) -> str | None:
    found = [key(r) for r in within(view.visits, 90)]
    best = max(choices, key=lambda c: (found.count(c), -choices.index(c)))
    return best if found.count(best) else None


def daypart(row: Row) -> str:
    return ("night", "morning", "afternoon", "evening")[hour(row) // 6]


def looks(view: View, days: int, products: Iterable[str] | None = None) -> int:
    return sum(
        r["event"] in ("offer_viewed", "product_viewed")
        and (products is None or r.get("product_id") in set(products))
        for r in within(view.visits, days)
    )


def reached(
    view: View, stage: str, days: int = 10**6, products: Iterable[str] | None = None
) -> list[Row]:
    return [
        r for r in within(view.standing, days)
        if r["stage"] == stage and r["polarity"] == "reached"
        and (products is None or r["product_id"] in set(products))
    ]  # fmt: skip


def held(view: View, products: set[str]) -> int:
    return len({r["product_id"] for r in reached(view, "activation", products=products)})


def refused(view: View, days: int) -> int:
    return sum(r["polarity"] == "refused" for r in within(view.standing, days))


def age(view: View) -> int | None:
    year = view.fact("birth_year", "number")
    found = None if year is None else local(AS_OF).year - year
    return int(found // 1) if found is not None and 0 <= found <= 120 else None


def level(view: View, name: str) -> int | None:
    found = view.fact(name, "number")
    return int(found // 1) if found is not None and 1 <= found <= 5 else None


def city_tier(view: View) -> int | None:
    stated = level(view, "city_tier")
    seen = [r for r in within(view.visits, 90) if r.get("city_tier") in range(1, 6)]
    if stated is not None or not seen:
        return stated
    return max((r["occurred_at"], r["city_tier"]) for r in seen)[1]


def text(view: View, name: str, values: tuple[str, ...]) -> str | None:
    found = view.fact(name, "text")
    if found is None or found in values:
        return found
    return "other" if "other" in values else None


def payday(view: View) -> int | None:
    rows = [
        (r["occurred_at"], local(r["occurred_at"]).day) for r in within(view.tx, 93)
        if r["category"] in ("salary", "pension") and r["amount_minor"] > 0
    ]  # fmt: skip
    return max(rows)[1] if rows else None


def receipts(view: View) -> list[Row]:
    return [r for r in within(view.tx, 90) if r["category"] == "business_income"]


def receipt_gap(view: View) -> float | None:
    days = [ago(r) for r in receipts(view)]
    return over(max(days) - min(days), len(days) - 1) if len(days) > 1 else None


def income_share(view: View, *categories: str) -> float | None:
    rows = within(view.tx, 180)
    return over(total(rows, *categories), sum(map(income, rows)))


def refund_share(view: View) -> float | None:
    rows = within(view.tx, 90)
    return over(total(rows, "refund"), sum(map(spend, rows)))


def margin(view: View) -> float | None:
    came = total(three(view), "business_income")
    went = minus(total(three(view), "supplier_payment"))
    return None if came is None or went is None else over(came - went, came)


def spend_trend(view: View) -> float | None:
    recent = within(view.tx, 30)
    usual = monthly(view, spent(view))
    ratio = over(sum(map(spend, recent)), usual) if recent else None
    return None if ratio is None else ratio - 1


def saved(view: View) -> float | None:
    rows = three(view)
    if not rows:
        return None
    share = over(earned(view) - spent(view) - debt(view), earned(view))
    return None if share is None else max(-10.0, share)


def fewest(rows: list[Row]) -> int | None:
    return min(map(ago, rows)) if rows else None


def count_of(view: View, days: int, category: str) -> int:
    return sum(r["category"] == category for r in within(view.tx, days))


def sum_within(view: View, days: int, kind: Callable[[Row], int]) -> int | None:
    rows = within(view.tx, days)
    return sum(map(kind, rows)) if rows else None


def shown(view: View, days: int, products: Iterable[str] | None = None) -> int:
    rows = within(view.shown, days)
    return sum(products is None or r["product_id"] in set(products) for r in rows)


def spread(view: View, days: int) -> int | None:
    """Return the sum over accounts of the standard deviation of balances in a window."""
    found = []
    for rows in accounts(view):
        recent = [r.get("balance_minor") for r in within(rows, days)]
        seen = [left for left in recent if left is not None]
        if len(seen) > 1:
            found.append(stdev(seen))
    return rounded(sum(found)) if found else None


def balance_ever(view: View, over_rows: Callable[[list[int]], float]) -> int | None:
    found = []
    for rows in accounts(view):
        seen = [r["balance_minor"] for r in rows if r.get("balance_minor") is not None]
        if seen:
            found.append(over_rows(seen))
    return rounded(sum(found)) if found else None


def months_seen(view: View) -> float | None:
    return max(1.0, (max(map(ago, view.tx)) + 1) / 30.4375) if view.tx else None


def flow(rows: list[Row], sign: int) -> int | None:
    return sum(max(sign * r["amount_minor"], 0) for r in rows) if rows else None


def whole(number: float | None) -> int | None:
    return None if number is None else int(number // 1)


def ever(sign: int, *categories: str) -> Callable[[View], int | None]:
    """Return the monthly mean, over the whole ledger, of some categories."""

    def found(view: View) -> int | None:
        amount = total(view.tx, *categories)
        return None if amount is None else whole(over(sign * amount, months_seen(view)))

    return found


OCCUPATIONS = (
    "salaried", "gig", "self_employed", "business_owner", "student", "retired", "unemployed",
    "other",
)  # fmt: skip

ORACLE: dict[str, Callable[[View], Any]] = {
    "age": age,
    "customer_kind": lambda v: text(v, "kind", ("person", "merchant")),
    "occupation": lambda v: text(v, "occupation", OCCUPATIONS),
    "risk_tolerance": lambda v: level(v, "risk_tolerance"),
    "city_tier": city_tier,
    "ledger_tenure_days": lambda v: max(map(ago, v.tx)) if v.tx else None,
    "transactions_30d": lambda v: len(within(v.tx, 30)),
    "income_30d_minor": lambda v: sum_within(v, 30, income),
    "salary_share": lambda v: income_share(v, "salary", "pension"),
    "gig_share": lambda v: income_share(v, "gig_income"),
    "payday_day": payday,
    "last_income_days": lambda v: fewest([r for r in v.tx if income(r) > 0]),
    "business_receipts_90d": lambda v: len(receipts(v)),
    "business_receipt_gap_days": receipt_gap,
    "spend_30d_minor": lambda v: sum_within(v, 30, spend),
    "living_share": of("groceries", "household", "utilities", "transport"),
    "dining_share": of("dining"),
    "shopping_share": of("shopping"),
    "leisure_share": of("entertainment", "travel"),
    "gambling_share": of("gambling"),
    "cash_out_share": of("cash_out"),
    "night_spend_share": lambda v: spend_share(v, at_night),
    "weekend_spend_share": lambda v: spend_share(v, weekend),
    "wallet_share": lambda v: spend_share(v, lambda r: r["instrument"] == "wallet"),
    "refund_share": refund_share,
    "loan_received_180d_minor": lambda v: total(within(v.tx, 180), "loan_in"),
    "late_fees_180d": lambda v: count_of(v, 180, "penalty"),
    "bank_fees_90d_minor": lambda v: minus(total(within(v.tx, 90), "fee")),
    "overdrafts_90d": lambda v: sum((r.get("balance_minor") or 0) < 0 for r in within(v.tx, 90)),
    "wealth_net_invested_minor": lambda v: minus(
        total(v.tx, "investment_out", "deposit_out", "investment_income")
    ),
    "insurance_premium_365d_minor": lambda v: minus(
        total(within(v.tx, 365), "insurance_premium")
    ),
    "balance_minor": lambda v: balance(v, None, 0),
    "balance_mean_30d_minor": lambda v: rounded(balance(v, mean, 30)),
    "balance_min_30d_minor": lambda v: balance(v, min, 30),
    "balance_min_90d_minor": lambda v: balance(v, min, 90),
    "accounts_seen": lambda v: len(accounts(v)),
    "tenure_days": lambda v: max(map(ago, v.visits)) if v.visits else None,
    "last_visit_days": lambda v: fewest(v.visits),
    "night_visit_share": lambda v: visit_share(v, at_night),
    "weekend_visit_share": lambda v: visit_share(v, weekend),
    "bought_visit_share": lambda v: visit_share(v, lambda r: r.get("source") == "bought"),
    "ledger_views_30d": lambda v: sum(r["event"] == "ledger_viewed" for r in within(v.visits, 30)),
    "content_reads_30d": lambda v: sum(r["event"] == "content_read" for r in within(v.visits, 30)),
    "product_views_90d": lambda v: looks(v, 90),
    "credit_views_30d": lambda v: looks(v, 30, CREDIT),
    "wealth_views_30d": lambda v: looks(v, 30, WEALTH),
    "insurance_views_30d": lambda v: looks(v, 30, COVER),
    "visits_30d": lambda v: len(sessions(v, 30)),
    "visits_90d": lambda v: len(sessions(v, 90)),
    "active_days_30d": lambda v: len({
        local(r["occurred_at"]).date() for r in sessions(v, 30).values()
    }),
    "impressions_30d": lambda v: shown(v, 30),
    "credit_impressions_30d": lambda v: shown(v, 30, CREDIT),
    "wealth_impressions_30d": lambda v: shown(v, 30, WEALTH),
    "insurance_impressions_30d": lambda v: shown(v, 30, COVER),
    "credit_clicks_30d": lambda v: len(reached(v, "click", 30, CREDIT)),
    "wealth_clicks_30d": lambda v: len(reached(v, "click", 30, WEALTH)),
    "insurance_clicks_30d": lambda v: len(reached(v, "click", 30, COVER)),
    "clicks_30d": lambda v: len(reached(v, "click", 30)),
    "applications_30d": lambda v: len(reached(v, "application", 30)),
    "applications_180d": lambda v: len(reached(v, "application", 180)),
    "last_application_days": lambda v: fewest(reached(v, "application")),
    "refusals_90d": lambda v: refused(v, 90),
    "refusals_180d": lambda v: refused(v, 180),
    "approvals_180d": lambda v: len(reached(v, "approval", 180)),
    "credit_products_held": lambda v: held(v, CREDIT),
    "wealth_products_held": lambda v: held(v, WEALTH),
    "insurance_products_held": lambda v: held(v, COVER),
    "monthly_income_minor": lambda v: monthly(v, earned(v)),
    "income_stability": stability,
    "income_months_seen": lambda v: sum(x > 0 for x in covered_incomes(v)),
    "income_trend": trend,
    "business_income_monthly_minor": lambda v: monthly(v, total(three(v), "business_income")),
    "supplier_payment_monthly_minor": lambda v: monthly(
        v, minus(total(three(v), "supplier_payment"))
    ),
    "business_margin": margin,
    "monthly_spend_minor": lambda v: monthly(v, spent(v)),
    "recurring_spend_monthly_minor": lambda v: monthly(v, minus(total(
        three(v), "rent", "mortgage", "utilities", "insurance_premium", "education"
    ))),
    "spend_trend": spend_trend,
    "rent_monthly_minor": lambda v: monthly(v, minus(total(three(v), "rent"))),
    "rent_ratio": lambda v: over(minus(total(three(v), "rent")), earned(v)),
    "debt_service_monthly_minor": lambda v: monthly(v, debt(v)),
    "debt_service_ratio": lambda v: over(debt(v), earned(v)),
    "savings_rate": saved,
    "liquidity_months": lambda v: over(
        rounded(balance(v, mean, 30)), monthly(v, spent(v))
    ),
    "channel_main": lambda v: most(
        v, ("app", "web", "mini_program", "partner"), lambda r: r.get("channel")
    ),
    "scene_main": lambda v: most(
        v, ("home", "ledger", "checkout", "branch", "embed"), lambda r: r.get("scene")
    ),
    "daypart_main": lambda v: most(v, ("night", "morning", "afternoon", "evening"), daypart),
    "click_rate_90d": lambda v: over(len(reached(v, "click", 90)), shown(v, 90)),
    "balance_mean_90d_minor": lambda v: rounded(balance(v, mean, 90)),
    "balance_mean_180d_minor": lambda v: rounded(balance(v, mean, 180)),
    "balance_mean_minor": lambda v: balance_ever(v, mean),
    "balance_min_180d_minor": lambda v: balance(v, min, 180),
    "balance_min_minor": lambda v: balance_ever(v, min),
    "balance_sd_90d_minor": lambda v: spread(v, 90),
    "balance_sd_180d_minor": lambda v: spread(v, 180),
    "balance_sd_minor": lambda v: spread(v, 10**6),
    "balance_swing": lambda v: over(spread(v, 10**6), balance_ever(v, mean)),
    "late_fees_ever": lambda v: count_of(v, 10**6, "penalty"),
    "overdrafts_ever": lambda v: sum((r.get("balance_minor") or 0) < 0 for r in v.tx),
    "inflow_monthly_minor": lambda v: monthly(v, flow(three(v), 1)),
    "outflow_monthly_minor": lambda v: monthly(v, flow(three(v), -1)),
    "inflow_monthly_ever_minor": lambda v: whole(over(flow(v.tx, 1), months_seen(v))),
    "outflow_monthly_ever_minor": lambda v: whole(over(flow(v.tx, -1), months_seen(v))),
    "transferred_in_monthly_minor": ever(1, "salary", "pension", "transfer_in"),
    "cash_in_monthly_minor": ever(1, "cash_in"),
    "cash_out_monthly_minor": ever(-1, "cash_out"),
    "household_monthly_minor": ever(-1, "household", "rent", "mortgage", "utilities"),
    "insurance_monthly_minor": ever(-1, "insurance_premium"),
    "interest_monthly_minor": ever(1, "interest_income"),
    "transactions_monthly": lambda v: over(len(v.tx), months_seen(v)),
    "outflow_share": lambda v: over(flow(v.tx, -1), flow(v.tx, 1)),
}  # fmt: skip

SCHEMAS = {s.name: s for s in (TRANSACTIONS, BEHAVIOUR, ATTRIBUTES, DECISIONS, OUTCOMES)}
