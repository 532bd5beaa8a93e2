"""The shelf, the list of everything, the product page and the way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from faces.web.reading import field, links, offers, text, trace
from jinqiao.domain.money import Money
from jinqiao.domain.stage import ProductClass
from jinqiao.flow.desk import cost_of, resume_product, stop_product
from jinqiao.flow.odds import Odds
from jinqiao.flow.pages import NEEDS
from jinqiao.flow.serve import Service
from jinqiao.propensity import ApprovalOdds, OddsBound
from tests_faces import Lived

Enter = Callable[[str], TestClient]


def _first(enter: Enter, lived: Lived) -> tuple[TestClient, str, list[str]]:
    """Return a customer whose shelf has offers, the shelf, and its products."""
    for login in lived.consenting:
        client = enter(login)
        html = client.get("/shelf").text
        if len(offers(html)) >= 2:
            return client, html, offers(html)
    raise AssertionError("nobody sees two offers")


def test_a_personal_shelf_states_cost_and_reason(enter: Enter, lived: Lived) -> None:
    """Each card has the product, its all-in figure with an example, and at least one reason."""
    _, html, found = _first(enter, lived)
    cards = html.split('<article class="card offer"')[1:]
    assert len(cards) == len(found)
    for card in cards:
        assert 'class="figure">' in card
        assert "¥" in card
        assert "<li>" in card
        assert "Risk R" in card
    assert "Not personalised" not in html


def test_odds_stand_on_a_card_only_while_they_hold(
    enter: Enter, lived: Lived, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured is said on cards of credit, in both languages; else nothing is."""
    live = shop.live
    houses = [house.institution_id for house in live.catalog.institutions]
    bounds = tuple(OddsBound(name, 0.6, 0.0, 214, 0.7, 0.64) for name in houses)
    held = Odds(0, ApprovalOdds(bounds, dict.fromkeys(houses, 214), 0.95))
    said = "Of 214 people like you who applied here, at least 6 in 10 were approved"
    seen = 0
    for login in lived.consenting[:8]:
        client = enter(login)
        for odds in (held, None):
            monkeypatch.setattr(live, "odds", odds)
            html = client.get("/shelf", params={"need": "borrow"}).text
            there = text(html).count(said)
            assert there == (len(offers(html)) if odds else 0)
            assert ("not a promise" in text(html)) == (there > 0)
            seen += there
    assert seen > 0
    monkeypatch.setattr(live, "odds", held)
    assert "至少有 6 人获批" in text(client.get("/shelf?need=borrow&lang=zh").text)


def test_a_shelf_is_logged_under_the_trace_it_shows(
    enter: Enter, lived: Lived, shop: Service
) -> None:
    """The small print's trace id leads to decision rows of exactly the products shown."""
    _, html, found = _first(enter, lived)
    shop.flush()
    rows = shop.decision_rows(trace(html))
    assert [row["product_id"] for row in rows] == found


def test_a_need_shows_only_what_serves_it(enter: Enter, lived: Lived, shop: Service) -> None:
    """A need's shelf holds products of its classes alone, and is logged as such."""
    client, _, _ = _first(enter, lived)
    for need, classes in NEEDS.items():
        html = client.get("/shelf", params={"need": need}).text
        products = [shop.live.catalog.product(name) for name in offers(html)]
        assert all(p is not None and p.product_class in classes for p in products)
        if products:
            assert trace(html).startswith(f"shf-{need}_")


def test_a_visitor_gets_a_shelf_that_used_nothing_personal(pages: TestClient) -> None:
    """Without a session the shelf says that it is not personalised."""
    html = pages.get("/").text
    assert "Not personalised" in text(html)
    assert "You are not signed in" in text(html)


def test_a_shelf_without_consent_says_so_and_how_to_change_it(enter: Enter, lived: Lived) -> None:
    """A customer who did not agree is told why, with the way to their choices."""
    html = enter(lived.refusing[0]).get("/shelf").text
    assert "nothing personal was used" in text(html)
    assert "/data" in links(html, "/data")


def test_scene_and_channel_reach_the_log(enter: Enter, lived: Lived, shop: Service) -> None:
    """The context asked for is the context logged; unknown words fall back."""
    client, _, _ = _first(enter, lived)
    html = client.get("/shelf", params={"scene": "checkout", "channel": "app"}).text
    shop.flush()
    row = shop.decision_rows(trace(html))[0]
    assert (row["scene"], row["channel"]) == ("checkout", "app")
    odd = client.get("/shelf", params={"scene": "<b>", "channel": "x" * 500})
    assert odd.status_code == 200


def test_everything_on_sale_is_listed(pages: TestClient, shop: Service) -> None:
    """The list of everything has each product once, with no order of our making."""
    listed = links(pages.get("/all").text, "/products/")
    assert len(listed) == len(set(listed)) > 0
    known = {f"/products/{p.product_id}" for p in shop.live.catalog.products()}
    assert set(listed) <= known
    loans = links(pages.get("/all", params={"need": "borrow"}).text, "/products/")
    assert set(loans) <= set(listed)


def test_a_product_page_has_every_fee_of_every_party(pages: TestClient, shop: Service) -> None:
    """Each fee line of the cost table stands on the page with its amount, and so does the total."""
    for product in shop.live.catalog.products():
        html = pages.get(f"/products/{product.product_id}").text
        words, cost = text(html).lower(), cost_of(shop.engine, product.product_id)
        for fee in cost["fees"]:
            shown = fee["total_minor"] if fee["counted"] else fee["each_minor"]
            amount = str(Money(shown, "CNY")).removesuffix(" CNY")
            assert fee["name_en"].lower() in words, product.product_id
            assert f"¥{amount}" in words, (product.product_id, fee)
        rows = html.count('<tr><th scope="row">')
        assert rows >= len(cost["schedule"])


def test_the_calculator_answers_within_bounds_and_refuses_beyond(
    pages: TestClient, shop: Service
) -> None:
    """An amount in bounds changes the table; out of bounds or unreadable is said in words."""
    product = next(
        p for p in shop.live.catalog.products()
        if p.product_class is ProductClass.LOAN and p.cost.amount_max_minor > 2_000_000
    )  # fmt: skip
    address = f"/products/{product.product_id}"
    good = pages.get(address, params={"amount": "20000", "term": product.cost.term_min_days})
    assert "For ¥20,000" in text(good.text)
    too_much = pages.get(address, params={"amount": "999999999"})
    assert too_much.status_code == 200
    assert "The amount must be from" in text(too_much.text)
    for said in ("abc", "1.234", "-5", "1e9", "NaN", "９"):
        answer = pages.get(address, params={"amount": said})
        assert answer.status_code == 200
        assert 'class="fault"' in answer.text or said == "９"
    for term in ("0", "99999", "1.5", "x"):
        answer = pages.get(address, params={"term": term})
        assert "The term must be from" in text(answer.text) or "whole days" in text(answer.text)


def test_conditions_are_told_with_what_the_customer_has(enter: Enter, lived: Lived) -> None:
    """A customer sees each condition beside their own value, and by how much one is missed."""
    client, _, found = _first(enter, lived)
    words = text(client.get(f"/products/{found[0]}").text)
    assert "yours:" in words
    assert "Met" in words
    missed = [
        page
        for one in links(client.get("/all").text, "/products/")
        if "Not met" in (page := text(client.get(one).text))
    ]
    assert missed
    assert any("off by" in page for page in missed)


def test_applying_leads_to_the_institution_with_one_signed_id(
    enter: Enter, lived: Lived, shop: Service
) -> None:
    """The form holds a place, and the page before an invented address lists what is sent."""
    client, html, found = _first(enter, lived)
    address = f"/products/{found[0]}?trace={trace(html)}"
    page = client.get(address).text
    form = {name: field(page, name) for name in ("csrf", "product", "trace")}
    assert form["trace"] == trace(html)
    out = client.post("/go", data=form)
    assert out.url.path.startswith("/leaving/clk_")
    click_id = out.url.path.rpartition("/")[2]
    assert click_id in out.text
    assert "Not sent: name" in text(out.text)
    with shop.engine.records.reading() as tx:
        row = tx.get("clicks", {"click_id": click_id})
    assert row is not None
    assert (row["trace_id"], row["position"]) == (trace(html), 1)
    again = client.post("/go", data=form)
    assert again.url == out.url


def test_a_trace_of_somebody_else_is_not_used(enter: Enter, lived: Lived) -> None:
    """A product page opened with another customer's trace does not take it over."""
    _, html, found = _first(enter, lived)
    other = enter(next(one for one in lived.consenting[::-1]))
    page = other.get(f"/products/{found[0]}", params={"trace": trace(html)}).text
    if 'name="trace"' in page:
        assert field(page, "trace") == ""


def test_sold_out_is_a_page_not_an_error(enter: Enter, lived: Lived, shop: Service) -> None:
    """When the product was stopped meanwhile, nobody leaves and nothing is recorded."""
    client, html, found = _first(enter, lived)
    page = client.get(f"/products/{found[-1]}?trace={trace(html)}").text
    form = {name: field(page, name) for name in ("csrf", "product", "trace")}
    with shop.engine.records.reading() as tx:
        before = tx.count("clicks")
    stop_product(shop.engine, found[-1], actor="test")
    shop.watch()
    try:
        answer = client.post("/go", data=form)
    finally:
        resume_product(shop.engine, found[-1], actor="test")
        shop.watch()
    assert answer.status_code == 200
    assert "You were not sent on" in text(answer.text)
    with shop.engine.records.reading() as tx:
        assert tx.count("clicks") == before


def test_only_a_customer_may_leave(pages: TestClient, shop: Service) -> None:
    """A visitor's page has no way out, and a form made by hand is refused."""
    product = next(iter(shop.live.catalog.products())).product_id
    page = pages.get(f"/products/{product}").text
    assert 'action="/go"' not in page
    token = field(pages.get("/desk").text, "csrf")
    answer = pages.post("/go", data={"csrf": token, "product": product})
    assert answer.status_code == 401
