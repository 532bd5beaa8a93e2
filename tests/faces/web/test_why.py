"""Reasons: of a shelf that was shown, and of any product now."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from faces.web.reading import links, offers, text, trace
from tests_faces import Lived

Enter = Callable[[str], TestClient]
STEPS = (
    "The institution's conditions", "Suitability", "Chances", "Value and price", "Rank", "Places",
)  # fmt: skip


def test_a_shelf_is_explained_step_by_step(enter: Enter, lived: Lived) -> None:
    """Every offer has its six steps in order, as sentences, in both languages."""
    client = enter(lived.consenting[0])
    html = client.get("/shelf").text
    page = client.get(f"/why/{trace(html)}")
    assert page.status_code == 200
    assert page.text.count('<details class="card chain"') == len(offers(html))
    first = text(page.text.split("<details")[1])
    places = [first.index(step) for step in STEPS]
    assert places == sorted(places)
    chinese = client.get(f"/why/{trace(html)}", params={"lang": "zh"})
    assert "机构准入" in chinese.text


def test_a_needs_shelf_can_be_explained_too(enter: Enter, lived: Lived) -> None:
    """The trace of a need's shelf leads to its own reasons."""
    client = enter(lived.consenting[0])
    for need in ("borrow", "grow", "protect"):
        html = client.get("/shelf", params={"need": need}).text
        if offers(html):
            assert client.get(f"/why/{trace(html)}").status_code == 200


def test_nobody_reads_another_customers_reasons(
    enter: Enter, lived: Lived, pages: TestClient
) -> None:
    """A trace of somebody else looks like one that was never there."""
    html = enter(lived.consenting[0]).get("/shelf").text
    address = f"/why/{trace(html)}"
    other = enter(lived.consenting[1])
    strange = other.get("/why/shf_000000000000000000000000")
    assert other.get(address).status_code == strange.status_code == 404
    assert pages.get(address).status_code == 404


def test_why_not_says_which_step_stopped_a_product(enter: Enter, lived: Lived) -> None:
    """A product off the shelf names a step that did not let it be shown."""
    client = enter(lived.consenting[0])
    shown = set(offers(client.get("/shelf").text))
    others = [
        one for one in links(client.get("/all").text, "/products/")
        if one.removeprefix("/products/") not in shown
    ]  # fmt: skip
    assert others
    for one in others[:6]:
        words = text(client.get(one.replace("/products/", "/why-not/")).text)
        assert "Stopped here" in words
        assert "It would not be shown now" in words


def test_an_unknown_product_is_not_found(pages: TestClient) -> None:
    """Addresses of nothing answer 404 on every kind of page."""
    for address in ("/products/none", "/why-not/none", "/topics/none", "/leaving/none"):
        assert pages.get(address).status_code in (401, 404), address
