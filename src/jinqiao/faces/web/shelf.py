"""Handlers of what a visitor may look at: shelf, product, reasons, topics, and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from jinqiao.faces.web.rendering import page
from jinqiao.flow import pages

if TYPE_CHECKING:
    from starlette.responses import Response

    from jinqiao.faces.web.visit import Visit

__all__ = ["everything", "go", "leaving", "piece", "product", "show", "topics", "why", "why_not"]


def show(visit: Visit) -> Response:
    """Return the financial supermarket."""
    visit.allow("shelf.read")
    need = visit.query.get("need", "")
    found = pages.shelf_page(visit.live, visit.customer_id, visit.context(), need)
    return page(visit, "shelf.html", shelf=found)


def everything(visit: Visit) -> Response:
    """Return every product on sale, in order of institutions: a list, not a recommendation."""
    need = visit.query.get("need", "")
    need = need if need in pages.NEEDS else ""
    return page(visit, "all.html", need=need, entries=pages.all_products(visit.live, need))


def product(visit: Visit) -> Response:
    """Return one product with its whole cost."""
    found = pages.product_page(
        visit.live, visit.customer_id, visit.context(), visit.parts["product_id"],
        trace_id=visit.query.get("trace", ""), amount=visit.query.get("amount", ""),
        term=visit.query.get("term", ""),
    )  # fmt: skip
    origin = pages.origin_of(found.product)
    visit.form_hosts = (origin,) if origin else ()
    return page(visit, "product.html", page=found)


def go(visit: Visit) -> Response:
    """Hold a place and send the customer to the institution, or say that none is left."""
    customer_id = visit.customer("click.create")
    out = pages.go(
        visit.live, customer_id, visit.context(), visit.form.get("product", ""),
        visit.form.get("trace", ""),
    )  # fmt: skip
    if not out.decision.allowed:
        return page(visit, "soldout.html", out=out)
    if out.url and not out.invented:
        return RedirectResponse(out.url, status_code=303)
    return RedirectResponse(f"/leaving/{out.click.click_id}", status_code=303)


def leaving(visit: Visit) -> Response:
    """Return the page before an institution whose address is invented, or that has none."""
    customer_id = visit.customer("click.create")
    found = pages.leaving(visit.live, customer_id, visit.parts["click_id"])
    return page(visit, "leaving.html", out=found)


def why(visit: Visit) -> Response:
    """Return the reasons of a shelf this visitor was shown."""
    visit.allow("decision.explain")
    found = pages.why_page(visit.live, visit.customer_id, visit.parts["trace_id"])
    return page(visit, "why.html", why=found)


def why_not(visit: Visit) -> Response:
    """Return why a product is or is not on this visitor's shelf."""
    visit.allow("decision.explain")
    product_id = visit.parts["product_id"]
    found = pages.why_not(visit.live, visit.customer_id, visit.context(), product_id)
    return page(visit, "whynot.html", why=found)


def topics(visit: Visit) -> Response:
    """Return every approved piece."""
    return page(visit, "topics.html", pieces=pages.topics(visit.engine))


def piece(visit: Visit) -> Response:
    """Return one approved piece."""
    found = pages.one_piece(visit.engine, visit.parts["content_id"])
    kind = found.product_class
    need = next((name for name, classes in pages.NEEDS.items() if kind in classes), "")
    return page(visit, "piece.html", piece=found, need=need)
