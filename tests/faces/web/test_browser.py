"""The pages in a real browser: both languages, a phone and a desk, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jinqiao.flow.keys import new_session
from jinqiao.flow.serve import Service
from tests_faces import Lived

pytestmark = pytest.mark.browser
SIZES = {"phone": (390, 844), "desk": (1280, 900)}
SIGNED = (
    "/shelf",
    "/shelf?need=borrow",
    "/all",
    "/topics",
    "/applications",
    "/data",
    "/data/erase",
)


@pytest.fixture
def tab(browser: Any, site: str) -> Iterator[Any]:
    """Return a way to open a tab: (language, size, login) → page with its complaints noted."""
    opened: list[Any] = []

    def open_tab(language: str, size: str, token: str = "", script: bool = True) -> Any:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=script,
            locale="en-GB" if language == "en" else "zh-CN", base_url=site,
        )  # fmt: skip
        opened.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda m: page.complaints.append(f"{page.url}: {m.text}"))
        page.on("pageerror", lambda e: page.complaints.append(f"{page.url}: {e}"))
        if token:
            page.goto(f"/enter?token={token}")
        return page

    yield open_tab
    for context in opened:
        context.close()


def _follow(page: Any, link: Any) -> None:
    """Click and wait until the next page is there: a click alone returns while it is on its way."""
    with page.expect_navigation(wait_until="load"):
        link.click()


def _checked(page: Any) -> None:
    """Assert that what is shown does not scroll sideways and has one heading and a language."""
    page.wait_for_load_state("load")
    wide = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1], (page.url, wide)
    assert page.locator("h1").count() == 1, page.url
    assert page.locator("html").get_attribute("lang") in ("zh-CN", "en")


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_fits_and_nothing_complains(
    tab: Any, shop: Service, lived: Lived, operator_key: str, language: str, size: str
) -> None:
    """No sideways scroll, no console message, no policy violation, on every page there is."""
    page = tab(language, size, new_session(shop.engine, lived.consenting[0]).token)
    for address in SIGNED:
        assert page.goto(address).status == 200, address
        _checked(page)
    page.goto("/shelf")
    _follow(page, page.locator(".offer .button").first)
    _checked(page)
    _follow(page, page.locator("a[href^='/why-not/']").first)
    _checked(page)
    page.goto("/shelf")
    _follow(page, page.locator(".trace a"))
    _checked(page)
    page.goto("/topics")
    _follow(page, page.locator(".piece a").first)
    _checked(page)
    desk = tab(language, size)
    desk.goto("/desk")
    desk.fill("#key", operator_key)
    _follow(desk, desk.locator("main button"))
    assert desk.url.endswith("/report")
    _checked(desk)
    desk.locator(".metric summary").first.click()
    _checked(desk)
    _follow(desk, desk.locator("nav a[href='/models']"))
    _checked(desk)
    assert page.complaints == []
    assert desk.complaints == []


def test_everything_works_without_scripts(tab: Any, shop: Service, lived: Lived) -> None:
    """With JavaScript off: consent, calculator, the way out and the applications."""
    page = tab("en", "phone", new_session(shop.engine, lived.consenting[6]).token, script=False)
    page.goto("/data")
    _follow(page, page.locator("#personalise button"))
    page.goto("/shelf")
    assert "Not personalised" in page.content()
    page.goto("/data")
    _follow(page, page.locator("#personalise button"))
    page.goto("/shelf")
    assert "Not personalised" not in page.content()
    _follow(page, page.locator(".offer .button").first)
    if page.locator("#amount").count():
        page.fill("#amount", "999999999999")
        _follow(page, page.locator(".calc button"))
        assert page.locator(".fault").count() == 1
    _follow(page, page.locator(".apply button"))
    assert "/leaving/" in page.url
    assert "clk_" in page.content()
    page.goto("/applications")
    assert page.locator(".application").count() >= 1


def test_the_keyboard_reaches_the_content_first(tab: Any) -> None:
    """The first stop of the tab key is the way past the menu, and it can be seen."""
    page = tab("en", "desk")
    page.goto("/shelf")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    box = page.locator(".skip").bounding_box()
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")


def test_every_control_is_named_and_large_enough(tab: Any, shop: Service, lived: Lived) -> None:
    """Buttons, fields and links have names; buttons are at least 24 px high (WCAG 2.2, 2.5.8)."""
    page = tab("en", "phone", new_session(shop.engine, lived.consenting[0]).token)
    for address in ("/shelf", "/data", "/data/erase"):
        page.goto(address)
        for one in page.locator("a, button, input:not([type=hidden])").all():
            name = one.evaluate(
                "e => (e.labels && e.labels[0] ? e.labels[0].innerText : e.textContent).trim()"
            )
            assert name, (address, one.evaluate("e => e.outerHTML"))
        for one in page.locator(".button").all():
            assert one.bounding_box()["height"] >= 24
