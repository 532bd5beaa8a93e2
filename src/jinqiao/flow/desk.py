"""What stands where, for those who ask: products, limits, applications, refused rows, plan, model.

Every verb returns plain rows (text, numbers, None) with stable names, newest or first things first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jinqiao.domain.application import Application
from jinqiao.domain.catalog import Catalog, Institution, Product
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound, Unavailable
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.store.base import Tx

__all__ = [
    "application_row", "applications", "catalog_history", "catalog_list", "cost_of", "feature_rows",
    "instants", "limit_list", "one_application", "over_delivered", "plan_report",
    "product_list", "product_show", "resume_product", "snapshot_state", "stop_product",
]  # fmt: skip


def instants(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a records row with its ``_at`` columns as ISO 8601 texts."""
    return {
        key: from_us(value).isoformat() if key.endswith("_at") and isinstance(value, int) else value
        for key, value in row.items()
    }


# -- catalog ----------------------------------------------------------------------------------


def catalog_list(engine: Engine) -> list[dict[str, Any]]:
    """Return the institutions in force, in id order, with their version and products."""
    catalog = engine.catalog()
    versions = dict(catalog.versions)
    return [
        {
            "institution_id": i.institution_id, "name_zh": i.name_zh, "name_en": i.name_en,
            "licence": i.licence.value, "version": versions.get(i.institution_id, 1),
            "products": len(i.products), "branches": len(i.branches),
            "jurisdiction": i.jurisdiction, "currency": i.currency,
        }
        for i in catalog.institutions
    ]  # fmt: skip


def catalog_history(engine: Engine, institution_id: str) -> list[dict[str, Any]]:
    """Return every version of an institution's file, oldest first, with what it changed."""
    from jinqiao import catalog

    with engine.records.reading() as tx:
        versions = catalog.history(tx, institution_id)
    if not versions:
        raise NotFound(
            "no such institution", record=institution_id, fix="see `jinqiao catalog list`"
        )
    return [
        {
            "institution_id": v.institution_id, "version": v.version, "author": v.author,
            "valid_from": v.valid_from.isoformat(), "digest": v.digest, "diff": v.diff,
        }
        for v in versions
    ]  # fmt: skip


def product_list(engine: Engine, *, institution_id: str | None = None) -> list[dict[str, Any]]:
    """Return every product on sale, in catalog order: terms in short, payout, whether stopped."""
    from jinqiao import catalog as catalogs

    now = engine.clock()
    catalog = engine.catalog(now)
    table = catalogs.product_table(catalog, now).to_pylist()
    rows = []
    for product, line in zip(catalog.products(), table, strict=True):
        if institution_id in (None, product.institution_id):
            rows.append(_product_row(product, line))
    return rows


def _product_row(product: Product, line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "product_id": product.product_id, "institution_id": product.institution_id,
        "product_class": product.product_class.value,
        "name_zh": product.name_zh, "name_en": product.name_en,
        "customer_kind": product.customer_kind, "risk_level": product.risk_level,
        "rate_bps": line["rate_bps"], "all_in_bps": line["all_in_bps"],
        "all_in_cost_minor": line["all_in_cost_minor"], "currency": product.currency,
        "payout_basis": line["payout_basis"], "payout_stage": line["payout_stage"],
        "payout_amount_minor": line["payout_amount_minor"],
        "product_version": line["product_version"], "stopped": line["stopped"],
    }  # fmt: skip


def product_show(engine: Engine, product_id: str) -> dict[str, Any]:
    """Return one product in full: its row, its conditions, its cost table, what is left of limits.

    Raises NotFound when it is not on sale.
    """
    product, institution = _product(engine.catalog(), product_id)
    row = next(one for one in product_list(engine) if one["product_id"] == product_id)
    return row | {
        "institution_zh": institution.name_zh, "institution_en": institution.name_en,
        "licence": institution.licence.value,
        "summary_zh": product.summary_zh, "summary_en": product.summary_en,
        "eligibility": product.eligibility,
        "amount_min_minor": product.cost.amount_min_minor,
        "amount_max_minor": product.cost.amount_max_minor,
        "term_min_days": product.cost.term_min_days, "term_max_days": product.cost.term_max_days,
        "cost": cost_of(engine, product_id),
        "limits": [one for one in limit_list(engine) if _counts(one, product)],
    }  # fmt: skip


def _counts(limit: Mapping[str, Any], product: Product) -> bool:
    if limit["product_id"] is not None:
        return bool(limit["product_id"] == product.product_id)
    return bool(limit["institution_id"] == product.institution_id)


def _product(catalog: Catalog, product_id: str) -> tuple[Product, Institution]:
    product = catalog.product(product_id)
    if product is None:
        raise NotFound("no such product", record=product_id, fix="see `jinqiao product list`")
    institution = catalog.institution(product.institution_id)
    assert institution is not None
    return product, institution


def cost_of(
    engine: Engine, product_id: str, *, amount_minor: int | None = None,
    term_days: int | None = None, catalog: Catalog | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the whole cost of one example of a product, for its own amount and term or others.

    ``all_in_bps`` is None where no money is lent or saved. Raises NotFound for an unknown product,
    InputError for an amount or term it does not offer.
    """
    from jinqiao import catalog as catalogs

    product, _ = _product(engine.catalog() if catalog is None else catalog, product_id)
    found = catalogs.cost_table(product, amount_minor, term_days)
    return {
        "product_id": product_id, "currency": found.currency, "amount_minor": found.amount_minor,
        "term_days": found.term_days, "rate_bps": found.rate_bps, "all_in_bps": found.all_in_bps,
        "all_in_cost_minor": found.all_in.cost_minor,
        "repayment": product.cost.repayment.value,
        "fees": [
            {
                "name_zh": line.fee.name_zh, "name_en": line.fee.name_en,
                "charged": line.fee.charged.value, "payee": line.fee.payee, "times": line.times,
                "each_minor": line.each_minor, "total_minor": line.total_minor,
                "counted": line.counted,
            }
            for line in found.fees
        ],
        "schedule": [
            {
                "number": one.number, "day": one.day, "principal_minor": one.principal_minor,
                "interest_minor": one.interest_minor, "due_minor": one.due_minor,
                "balance_minor": one.balance_minor,
            }
            for one in found.all_in.instalments
        ],
    }  # fmt: skip


def stop_product(engine: Engine, product_id: str, *, actor: str) -> bool:
    """Take a product off every shelf within a second; return False when it was off already."""
    from jinqiao import catalog

    def step(tx: Tx) -> bool:
        return catalog.stop(tx, product_id, actor=actor, now_us=engine.clock())

    return bool(engine.write(step, durable=True))


def resume_product(engine: Engine, product_id: str, *, actor: str) -> bool:
    """Put a stopped product back; return False when it was not stopped."""
    from jinqiao import catalog

    def step(tx: Tx) -> bool:
        return catalog.resume(tx, product_id, actor=actor, now_us=engine.clock())

    return bool(engine.write(step, durable=True))


def limit_list(engine: Engine, *, institution_id: str | None = None) -> list[dict[str, Any]]:
    """Return every limit in its present period: what it is, what is posted, reserved, kept
    back for late reports and left.
    """
    from jinqiao import catalog as catalogs
    from jinqiao import conversion

    now = engine.clock()
    catalog = engine.catalog(now)
    with engine.records.reading() as tx:
        late = conversion.late_reports(tx)
        rows: list[dict[str, Any]] = catalogs.limit_rows(tx, catalog, now, late).to_pylist()
    return [row for row in rows if institution_id in (None, row["institution_id"])]


def over_delivered(engine: Engine, *, institution_id: str | None = None) -> list[dict[str, Any]]:
    """Return the reports that found no free unit: none, unless one came after its hold expired."""
    from dataclasses import asdict

    from jinqiao import catalog as catalogs

    with engine.records.reading() as tx:
        found = catalogs.exceptions(tx, institution_id=institution_id)
    rows = [asdict(one) for one in found]
    for row in rows:
        row["reported_at"] = from_us(row.pop("reported_us")).isoformat()
    return rows


# -- applications -----------------------------------------------------------------------------


def application_row(one: Application) -> dict[str, Any]:
    """Return an application as a plain row, without the customer: what an institution may see."""
    return {
        "application_id": one.application_id, "click_id": one.click_id,
        "product_id": one.product_id, "institution_id": one.institution_id,
        "product_version": one.product_version, "state": one.state,
        "reached": [
            {"stage": stage.value, "at": at.isoformat(), "amount_minor": amount}
            for stage, at, amount in one.reached
        ],
        "refused_at": one.refused_at.isoformat() if one.refused_at else None,
        "refused_stage": one.refused_stage.value if one.refused_stage else None,
        "reversals": [
            {
                "stage": stage.value, "reached_at": reached.isoformat(),
                "reversed_at": undone.isoformat(), "amount_minor": amount,
            }
            for stage, reached, undone, amount in one.reversals
        ],
    }  # fmt: skip


def applications(
    engine: Engine, *, customer_id: str | None = None, institution_id: str | None = None,
    cursor: str | None = None, limit: int = 50,
) -> dict[str, Any]:  # fmt: skip
    """Return a page of a customer's or an institution's applications, newest click first.

    ``next_cursor`` gets the next page, None: there is none. Raises NotFound for neither.
    """
    from jinqiao import conversion, customer

    with engine.records.reading() as tx:
        if customer_id is not None:
            ids = customer.members(tx, customer_id)
            page = conversion.applications_of(tx, ids, cursor=cursor, limit=limit)
        elif institution_id is not None:
            page = conversion.of_institution(tx, institution_id, cursor=cursor, limit=limit)
        else:
            raise NotFound("whose applications?", fix="name a customer or an institution")
    return {
        "applications": [application_row(one) for one in page.applications],
        "next_cursor": page.cursor,
    }


def one_application(engine: Engine, application_id: str) -> dict[str, Any]:
    """Return an application with every report it was folded from and every transfer it caused."""
    from jinqiao import conversion, settlement

    with engine.records.reading() as tx:
        found = conversion.application(tx, application_id)
        reports = tx.find(
            "reports", {"click_id": found.click_id}, order_by=("received_at", "report_id")
        )
        moved = settlement.transfers_of(tx, application_id)
    told = [{k: v for k, v in instants(row).items() if k != "body_digest"} for row in reports]
    return application_row(found) | {
        "customer_id": found.customer_id,
        "trace_id": found.trace_id,
        "reports": told,
        "transfers": [
            {
                "transfer_id": one.transfer_id, "debit_account": one.debit_account,
                "credit_account": one.credit_account, "amount_minor": one.amount_minor,
                "currency": one.currency, "occurred_at": one.occurred_at.isoformat(),
                "reason": one.reason, "corrects": one.corrects,
            }
            for one in moved
        ],
    }  # fmt: skip


# -- features, plan, model, snapshot ----------------------------------------------------------


def feature_rows(engine: Engine, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the dictionary: what each feature means, its unit, sources and allowed purposes."""
    known = engine.dictionary.by_name
    for name in names:
        if name not in known:
            raise NotFound("no such feature", record=name, fix="see `jinqiao feature list`")
    chosen = [known[name] for name in names] if names else list(engine.dictionary)
    return [
        {
            "name": f.name, "type": f.type, "unit": f.unit, "family": f.family, "zh": f.zh,
            "en": f.en, "sources": sorted(f.sources),
            "purposes": sorted(purpose.value for purpose in f.purposes),
            "window_days": f.window_days, "expression": f.expression, "values": list(f.values),
        }
        for f in chosen
    ]  # fmt: skip


def feature_sentences(engine: Engine, name: str, language: str) -> tuple[str, ...]:
    """Return what a feature is, in sentences."""
    from jinqiao import profile

    return profile.explain(name, language)


def plan_report(engine: Engine) -> dict[str, Any]:
    """Return the published plan's certificate and the price of every limit.

    Raises Unavailable before anything was published.
    """
    folder = engine.snapshots.current()
    if folder is None or not (folder / "plan.json").is_file():
        raise Unavailable("no plan is published yet", fix="run `jinqiao publish`")
    found: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return found


def snapshot_state(engine: Engine) -> dict[str, Any]:
    """Return the current snapshot's name and age in seconds; both None before the first."""
    version = engine.snapshots.current_version()
    if version is None:
        return {"snapshot": None, "age_s": None}
    from datetime import UTC, datetime

    stamp = version.split("-", 1)[0]
    try:
        made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return {"snapshot": version, "age_s": None}
    age = (from_us(engine.clock()) - made).total_seconds()
    return {"snapshot": version, "age_s": max(round(age), 0)}
