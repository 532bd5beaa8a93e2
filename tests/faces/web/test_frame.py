"""What holds of every page: headers, languages, errors, texts, contrast."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from faces.web.reading import text
from jinqiao.domain.messages import codes
from jinqiao.faces.web.rendering import style_text
from jinqiao.faces.web.routes import web_app
from jinqiao.faces.web.wording import Wording
from jinqiao.flow.access import RateLimits
from jinqiao.flow.serve import Service
from tests_faces import Lived

Enter = Callable[[str], TestClient]
OPEN = ("/", "/shelf", "/all", "/topics", "/desk", "/nothing", "/data")


@pytest.mark.parametrize("address", OPEN)
def test_every_page_has_strict_headers(pages: TestClient, address: str) -> None:
    """No script, no frame, nothing from elsewhere, nothing kept, on good pages and bad."""
    answer = pages.get(address)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert not re.search(r"(src|href)=\"https?:", answer.text)


def test_a_products_form_may_lead_to_its_institution_only(pages: TestClient, shop: Service) -> None:
    """The way out is allowed to the origin of that product's own address."""
    for product in list(shop.live.catalog.products())[:10]:
        policy = pages.get(f"/products/{product.product_id}").headers["content-security-policy"]
        if product.delivery.url:
            host = product.delivery.url.split("/")[2]
            assert policy.endswith(f"form-action 'self' https://{host}")
        else:
            assert policy.endswith("form-action 'self'")


def test_the_language_is_asked_kept_or_guessed(pages: TestClient) -> None:
    """A link chooses and is remembered; else the browser's wish; else Chinese."""
    assert 'lang="en"' in pages.get("/topics").text
    assert 'lang="zh-CN"' in pages.get("/topics", headers={"accept-language": ""}).text
    assert 'lang="zh-CN"' in pages.get("/topics?lang=zh").text
    assert 'lang="zh-CN"' in pages.get("/topics").text
    odd = {"accept-language": "de;q=x, en;q=0.1, zh;q=0.9"}
    pages.cookies.delete("jinqiao_lang")
    assert 'lang="zh-CN"' in pages.get("/topics", headers=odd).text


def test_only_approved_pieces_are_shown(pages: TestClient, shop: Service) -> None:
    """The piece that nobody approved is on no list and has no page."""
    from jinqiao.flow.pieces import all_pieces, approved_pieces

    every, standing = all_pieces(shop.engine), approved_pieces(shop.engine)
    left = {p.content_id for p in every} - {p.content_id for p in standing}
    assert left
    listed = pages.get("/topics").text
    for name in left:
        assert f"/topics/{name}" not in listed
        assert pages.get(f"/topics/{name}").status_code == 404
    for piece in standing:
        page = pages.get(f"/topics/{piece.content_id}").text
        assert text(page).startswith("Topics") or piece.title_en in text(page)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_errors_are_told_in_words_with_an_id(pages: TestClient, language: str) -> None:
    """404, 401, 403 and 405 have a page in the reader's language, with the id that is logged."""
    cases = {"/nothing": 404, "/data": 401}
    for address, status in cases.items():
        answer = pages.get(address, params={"lang": language})
        assert answer.status_code == status
        assert answer.headers["jinqiao-trace"] in answer.text
    assert pages.post("/leave").status_code == 403
    assert pages.get("/go").status_code == 405
    assert pages.post("/shelf").status_code == 405


def test_unknown_addresses_of_the_api_stay_problems(pages: TestClient) -> None:
    """Under /v1 a wrong address is a problem in JSON, never a page."""
    answer = pages.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_asking_too_often_is_refused_with_a_page(shop: Service) -> None:
    """After the burst comes 429, with when to come back."""
    small = web_app(shop, limits=RateLimits(burst=3, per_second=0.001))
    client = TestClient(small, headers={"accept-language": "en"})
    found = [client.get("/topics").status_code for _ in range(5)]
    assert found == [200, 200, 200, 429, 429]
    answer = client.get("/topics")
    assert "Too many requests" in text(answer.text)
    assert answer.headers["retry-after"]


def test_a_fault_of_ours_tells_nothing_of_the_inside(shop: Service) -> None:
    """An unforeseen error is a 500 page with an id, and no word of what broke."""

    class Broken:
        engine = shop.engine

        @property
        def live(self) -> Any:
            raise RuntimeError("secret of the inside")

    client = TestClient(web_app(Broken()), headers={"accept-language": "en"})
    answer = client.get("/shelf")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "req_" in answer.text


def test_before_the_first_snapshot_pages_say_so(shop: Service) -> None:
    """Without anything published a shelf answers 503 in words."""
    client = TestClient(web_app(Service(shop.engine)), headers={"accept-language": "en"})
    answer = client.get("/shelf")
    assert answer.status_code == 503
    assert "being prepared" in text(answer.text)


def test_every_text_a_page_names_exists_and_every_text_is_named() -> None:
    """Templates and handlers name only texts that exist, and no text is left over."""
    import jinqiao.faces.web as web
    import jinqiao.flow.pages as views

    folders = [Path(str(resources.files("jinqiao.faces.web") / "templates"))]
    folders += [Path(str(one.__file__)).parent for one in (web, views)]
    source = "".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix in (".html", ".py")
    )
    named = set(re.findall(r"""['"](page_[a-z0-9_]+)['"{]""", source))
    starts = {name for name in named if name.endswith("_")}
    starts |= set(re.findall(r"(page_[a-z_]+_)\{", source))
    known = {code for code in codes() if code.startswith("page_")}
    assert {name for name in named if not name.endswith("_")} <= known
    left = {c for c in known - named if not any(c.startswith(s) for s in starts)}
    assert not left


def test_amounts_terms_and_dates_read_as_people_write_them() -> None:
    """Whole amounts without decimals, even terms in years or months, days in words."""
    from datetime import UTC, datetime

    zh, en = Wording("zh", "Asia/Shanghai"), Wording("en", "Asia/Shanghai")
    assert en.money(1_234_500) == "¥12,345"
    assert en.money(-5, "EUR") == "−€0.05"
    assert en.money(1_000, "CZK") == "10 CZK"
    assert en.plain(150) == "1.50"
    assert (en.term(365), en.term(90), en.term(1), en.term(100)) == (
        "1 year", "3 months", "1 day", "100 days",
    )  # fmt: skip
    assert zh.term(730) == "2 年"
    late = datetime(2025, 3, 31, 16, 30, tzinfo=UTC)
    assert en.day(late) == "1 April 2025"
    assert zh.moment(late) == "2025 年 4 月 1 日 00:30"


PAIRS = [
    ("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("accent", "card"),
    ("accent", "paper"), ("accent-ink", "accent"), ("accent", "accent-wash"),
    ("gold", "gold-wash"), ("ink", "gold-wash"), ("bad", "bad-wash"), ("bad", "card"),
    ("card", "bad"), ("ink", "bad-wash"), ("ink", "accent-wash"),
]  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_contrast_enough(theme: str) -> None:
    """Every pair of text and ground reaches 4.5 : 1 (WCAG 2.2, 1.4.3), in both themes."""
    parts = style_text().split("prefers-color-scheme: dark")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", parts[theme == "dark"]))
    for front, ground in PAIRS:
        found = _contrast(colours[front], colours[ground])
        assert found >= 4.5, (theme, front, ground, round(found, 2))


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_pages_hold_what_people_type_as_text(pages: TestClient, shop: Service) -> None:
    """What comes in by an address comes out escaped."""
    product = next(iter(shop.live.catalog.products())).product_id
    odd = '"><img src=x onerror=alert(1)>'
    answer = pages.get(f"/products/{product}", params={"amount": odd, "trace": odd, "term": odd})
    assert "<img" not in answer.text
    assert "<img" not in pages.get("/shelf", params={"need": odd, "scene": odd}).text


def test_a_customer_lands_on_pages_in_their_language(enter: Enter, lived: Lived) -> None:
    """Signed-in pages follow the chosen language too, from the first."""
    client = enter(lived.consenting[0])
    for address, word in (
        ("/shelf", "金融超市"),
        ("/data", "我的数据"),
        ("/applications", "我的申请"),
    ):
        assert word in client.get(address, params={"lang": "zh"}).text
