"""The product page: cost in full, conditions met or not, the way out; and the click-out itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jinqiao.domain.application import Click
from jinqiao.domain.catalog import Institution, Product
from jinqiao.domain.content import Material
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.money import CURRENCIES, Money
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us, to_us
from jinqiao.errors import InputError, NotFound

if TYPE_CHECKING:
    from jinqiao.catalog import CostTable
    from jinqiao.flow.live import Live

__all__ = [
    "Clause", "Example", "Leaving", "ProductPage", "go", "leaving", "origin_of", "product_page",
    "profile_of",
]  # fmt: skip

_PIECES = 3


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of an institution in words, and how it stands: met, missed or unknown."""

    wanted: Reason
    got: Reason | None
    verdict: str
    shortfall: Reason | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """What was asked of the calculator, as it was typed, and what is wrong with it."""

    amount: str = ""
    term: str = ""
    fault: Reason | None = None


@dataclass(frozen=True, slots=True)
class ProductPage:
    """``may_apply``: whether there is a way out from here, and why not. ``trace_id`` "" when the
    visitor did not come from a shelf that shows the product.
    """

    product: Product
    institution: Institution
    version: int
    cost: CostTable
    example: Example
    clauses: tuple[Clause, ...]
    suitability: Decision | None
    quota: Decision
    may_apply: Decision
    trace_id: str
    personalised: bool
    pieces: tuple[Material, ...]


@dataclass(frozen=True, slots=True)
class Leaving:
    """A customer on the way out. ``url`` "" when the institution has no page of its own to go to;
    ``invented``: the address is of a reserved name that leads nowhere.
    """

    click: Click
    decision: Decision
    product: Product
    institution: Institution
    url: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def invented(self) -> bool:
        return self.host.endswith((".example", ".test", ".invalid"))


def origin_of(product: Product) -> str:
    """Return the origin a product's applications go to, "" when it has no page of its own."""
    parts = urlsplit(product.delivery.url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme == "https" and parts.netloc else ""


def product_page(
    live: Live, customer_id: str | None, context: Context, product_id: str,
    *, trace_id: str = "", amount: str = "", term: str = "",
) -> ProductPage:  # fmt: skip
    """Return one product for one visitor. Raises NotFound for a product that is not on sale."""
    from jinqiao import content
    from jinqiao.flow.pieces import approved_pieces

    product, house = _on_sale(live, product_id)
    cost, example = _example(product, amount, term)
    row = profile_of(live, customer_id)
    shown = _shown(live, trace_id, product_id, customer_id)
    steps = _steps(live, customer_id, _where_shown(context, shown), product_id)
    known = customer_id is not None and row is not None
    offered = trace_id if shown else ""
    pieces = content.rank(approved_pieces(live.engine), [product.product_class], count=_PIECES)
    return ProductPage(
        product, house, dict(live.catalog.versions).get(house.institution_id, 1), cost, example,
        _clauses(live, product, row), steps.get("suitability") if known else None, steps["quota"],
        _may_apply(customer_id, steps), offered, known, pieces,
    )  # fmt: skip


def go(
    live: Live, customer_id: str, context: Context, product_id: str, trace_id: str = ""
) -> Leaving:
    """Return where a customer goes who applies: a unit is held, or nobody leaves.

    The click belongs to the shelf that showed the product; without one it is a visit of its own.
    """
    product, house = _on_sale(live, product_id)
    row = _shown(live, trace_id, product_id, customer_id)
    context = _where_shown(context, row)
    steps = _steps(live, customer_id, context, product_id)
    allowed = _may_apply(customer_id, steps)
    asked = _asked(live, row, product, customer_id, context)
    if not allowed.allowed:
        return Leaving(_never(asked, product, context), allowed, product, house, "")
    out = live.click_out(asked)
    url = out.url if product.delivery.url else ""
    return Leaving(out.click, out.decision, product, house, url)


def leaving(live: Live, customer_id: str, click_id: str) -> Leaving:
    """Return a click that this customer made; raise NotFound for anybody else's."""
    from jinqiao import conversion, customer

    with live.engine.records.reading() as tx:
        click = conversion.click(tx, click_id)
        mine = customer.members(tx, customer_id)
    if click.customer_id not in mine or not click.reserved:
        raise NotFound("no such click", record=click_id)
    product, house = _on_sale(live, click.product_id)
    mark = "&" if "?" in product.delivery.url else "?"
    url = f"{product.delivery.url}{mark}click_id={click_id}" if product.delivery.url else ""
    return Leaving(click, Decision(True, "quota"), product, house, url)


def _on_sale(live: Live, product_id: str) -> tuple[Product, Institution]:
    product = live.catalog.product(product_id)
    if product is None:
        raise NotFound("no such product", record=product_id)
    house = live.catalog.institution(product.institution_id)
    assert house is not None
    return product, house


def _steps(
    live: Live, customer_id: str | None, context: Context, product_id: str
) -> dict[str, Decision]:
    if product_id not in live.serving.product_ids:
        gone = Decision(False, "quota", (Reason("shelf_not_on_offer"),))
        return {"eligibility": gone, "quota": gone}
    return {step.step: step for step in live.explain(customer_id, context, product_id)}


def _may_apply(customer_id: str | None, steps: dict[str, Decision]) -> Decision:
    """Return whether a visitor may leave for the institution from a product's own page."""
    if customer_id is None:
        return Decision(False, "consent", (Reason("page_apply_signed_out"),))
    for name in ("quota", "eligibility", "suitability"):
        step = steps.get(name)
        if step is not None and not step.allowed:
            return Decision(False, name, step.reasons)
    return Decision(True, "quota")


def profile_of(live: Live, customer_id: str | None) -> dict[str, Any] | None:
    """Return the profile a shelf would read: none without a standing consent."""
    if customer_id is None or live.consent_version(customer_id) is None:
        return None
    row = live.serving.index.find(customer_id)
    if row < 0:
        return None
    found: dict[str, Any] = live.serving.profiles.slice(row, 1).to_pylist()[0]
    return found


def _clauses(live: Live, product: Product, row: dict[str, Any] | None) -> tuple[Clause, ...]:
    from jinqiao.engines.rules import parse

    if not product.eligibility.strip():
        return ()
    fields = live.engine.dictionary.by_name
    rule = parse(product.eligibility, fields)
    return tuple(_clause(one, fields, product, row is not None) for one in rule.explain(row or {}))


def _clause(one: Any, fields: Any, product: Product, known: bool) -> Clause:
    feature = fields.get(one.field)
    label: object = {"zh": feature.zh, "en": feature.en} if feature else one.field
    numbers: dict[str, Any] = {"field": label, "unit": one.unit, "currency": product.currency}
    wanted = one.wanted
    if one.relation in ("between", "outside"):
        numbers |= {"lower": wanted[0], "upper": wanted[1]}
    elif isinstance(wanted, tuple):
        numbers["wanted"] = tuple(wanted)
    elif wanted is not None:
        numbers["wanted"] = wanted
    verdict = {"true": "met", "false": "missed"}.get(one.verdict.value, "unknown")
    got = Reason("page_clause_got", numbers | {"got": one.got})
    short = None
    if verdict == "missed" and one.shortfall:
        short = Reason("page_clause_short", numbers | {"shortfall": one.shortfall})
    shown = got if known and one.got is not None else None
    return Clause(
        Reason(f"page_clause_{one.relation}", numbers), shown, verdict if known else "", short
    )


def _example(product: Product, amount: str, term: str) -> tuple[CostTable, Example]:
    """Return the cost of what was asked, or of the product's own example and what is wrong."""
    from jinqiao import catalog

    fault = None
    amount_minor: int | None = None
    term_days: int | None = None
    if amount.strip():
        amount_minor, fault = _amount(product, amount)
    if term.strip() and fault is None:
        term_days, fault = _term(product, term)
    if fault is None:
        try:
            table = catalog.cost_table(product, amount_minor, term_days)
            return table, Example(amount.strip(), term.strip())
        except InputError:
            fault = Reason("page_calc_no_answer")
    return catalog.cost_table(product), Example(amount.strip(), term.strip(), fault)


def _amount(product: Product, text: str) -> tuple[int | None, Reason | None]:
    lower, upper = product.cost.amount_min_minor, product.cost.amount_max_minor
    bounds = {"lower": lower, "upper": upper, "currency": product.currency}
    try:
        given = Money.parse(text.strip().replace(",", "").replace("，", ""), product.currency)
    except InputError:
        digits = CURRENCIES[product.currency]
        return None, Reason("page_calc_amount_unread", bounds | {"digits": digits})
    if not lower <= given.amount_minor <= upper:
        return None, Reason("page_calc_amount_out", bounds)
    return given.amount_minor, None


def _term(product: Product, text: str) -> tuple[int | None, Reason | None]:
    lower, upper = product.cost.term_min_days, product.cost.term_max_days
    bounds = {"lower": lower, "upper": upper}
    plain = text.strip()
    if not plain.isascii() or not plain.isdigit() or len(plain) > 6:
        return None, Reason("page_calc_term_unread", bounds)
    if not lower <= int(plain) <= upper:
        return None, Reason("page_calc_term_out", bounds)
    return int(plain), None


def _shown(
    live: Live, trace_id: str, product_id: str, customer_id: str | None
) -> dict[str, Any] | None:
    """Return the decision row of a product on a shelf this visitor was shown, or None."""
    from jinqiao.flow.pages.why import logged

    if not trace_id:
        return None
    for row in logged(live, trace_id):
        if row["product_id"] == product_id and row["customer_id"] == (customer_id or ""):
            return row
    return None


def _where_shown(context: Context, row: dict[str, Any] | None) -> Context:
    """Return a context in the place, and for the branch, of the shelf that showed the product."""
    if row is None:
        return context
    region, branch = row.get("region"), row.get("branch_id")
    return replace(context, region=context.region or region, branch_id=context.branch_id or branch)


def _asked(
    live: Live, row: dict[str, Any] | None, product: Product, customer_id: str, context: Context
) -> dict[str, Any]:
    if row is not None:
        names = ("trace_id", "position", "product_id", "product_version", "customer_id")
        return {name: row[name] for name in names} | {"branch_id": row.get("branch_id")}
    versions = dict(live.catalog.versions)
    return {
        "trace_id": keyed_id("own", context.session_id, product.product_id, customer_id),
        "position": 1,
        "product_id": product.product_id,
        "product_version": versions.get(product.institution_id, 1),
        "customer_id": customer_id,
        "branch_id": context.branch_id,
    }


def _never(asked: dict[str, Any], product: Product, context: Context) -> Click:
    """Return the click that did not happen: nothing is recorded and nobody leaves."""
    at = from_us(to_us(context.at))
    return Click(
        click_id=keyed_id("none", asked["trace_id"], product.product_id),  # type: ignore[arg-type]
        trace_id=asked["trace_id"], position=asked["position"], product_id=product.product_id,
        institution_id=product.institution_id, product_version=asked["product_version"],
        customer_id=asked["customer_id"], clicked_at=at, expires_at=at, reserved=False,
    )  # fmt: skip
