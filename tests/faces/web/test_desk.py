"""The operator's page: who may read it, and that it says what insight says."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from faces.web.reading import field, text
from jinqiao.domain.time import DAY_US
from jinqiao.flow.access import Role
from jinqiao.flow.calibration import calibration_of
from jinqiao.flow.indicators import indicators_of
from jinqiao.flow.keys import key_create, key_revoke
from jinqiao.flow.serve import Service
from tests_faces import Lived

Enter = Callable[[str], TestClient]


def _open(pages: TestClient, key: str) -> TestClient:
    csrf = field(pages.get("/desk").text, "csrf")
    pages.post("/desk", data={"csrf": csrf, "key": key})
    return pages


def test_the_report_is_the_operators_alone(
    pages: TestClient, enter: Enter, lived: Lived, shop: Service
) -> None:
    """A visitor is led to the door, a customer is refused, other keys open nothing."""
    assert pages.get("/report").url.path == "/desk"
    assert enter(lived.consenting[0]).get("/report").status_code == 403
    house = shop.engine.catalog().institutions[0].institution_id
    for role, named in (("publishable", None), ("institution", house)):
        key = key_create(shop.engine, role, institution_id=named)["secret"]
        assert _open(pages, key).get("/report").url.path == "/desk"
        bearer = pages.get("/report", headers={"authorization": f"Bearer {key}"})
        assert bearer.status_code == 403


def test_the_desk_opens_by_a_key_and_dies_with_it(pages: TestClient, shop: Service) -> None:
    """The cookie does not hold the key; revoking the key closes the desk at once."""
    made = key_create(shop.engine, Role.OPERATOR.value)
    desk = _open(pages, made["secret"])
    assert desk.get("/report").status_code == 200
    assert made["secret"].partition(".")[2] not in str(desk.cookies.get("jinqiao_desk"))
    key_revoke(shop.engine, made["key_id"])
    assert desk.get("/report").url.path == "/desk"


def test_every_indicator_stands_with_its_figure_and_definition(
    pages: TestClient, operator_key: str, shop: Service
) -> None:
    """All eighteen are there by name, family after family, in both languages."""
    _open(pages, operator_key)
    english = pages.get("/report").text
    chinese = pages.get("/report", params={"lang": "zh"}).text
    metrics = indicators_of(shop.engine)
    assert english.count('class="card metric"') == len(metrics)
    for metric in metrics:
        assert metric.en in english
        assert metric.zh in chinese
    assert english.count("<svg") == 3
    assert "style=" not in english


def test_the_plan_is_proven_and_its_limits_are_priced(pages: TestClient, operator_key: str) -> None:
    """The certificate has value, bound, gap and violation; prices stand beside limits."""
    words = text(_open(pages, operator_key).get("/report").text)
    for part in ("Value of the plan", "Upper bound", "Gap", "Worst violation", "Prices of limits"):
        assert part in words


def test_other_windows_are_asked_for_by_link(pages: TestClient, operator_key: str) -> None:
    """A window that is offered is used; any other is the usual one."""
    desk = _open(pages, operator_key)
    assert "last 7 days" in text(desk.get("/report", params={"days": "7"}).text)
    for odd in ("0", "9999", "x", "-1"):
        assert "last 28 days" in text(desk.get("/report", params={"days": odd}).text)


def test_calibration_is_the_operators_alone_and_stands_beside_chance(
    pages: TestClient, enter: Enter, lived: Lived, shop: Service, operator_key: str
) -> None:
    """Each step's error has its noise floor and picture beside it; the shown set has its ratios."""
    assert pages.get("/calibration").url.path == "/desk"
    assert enter(lived.consenting[0]).get("/calibration").status_code == 403
    _open(pages, operator_key)
    english = pages.get("/calibration").text
    chinese = pages.get("/calibration", params={"lang": "zh"}).text
    found = calibration_of(shop.engine)
    assert "click" in found.whole
    assert english.count("<svg") == len(found.whole)
    assert english.count('class="card metric"') == len(found.shown) == 4
    for one in found.whole.values():
        assert f"{one.error * 100:.1f}%" in english
        assert f"{one.noise_most * 100:.1f}%" in chinese
    assert "噪声底" in chinese
    assert "style=" not in english


def test_calibration_counts_each_offer_once(shop: Service) -> None:
    """Sets and groups of a step add up to it; what is open is there and not taken for a no."""
    found = calibration_of(shop.engine)
    sets = found.by_set["click"]
    assert sum(one.cases for one in sets.values()) <= found.whole["click"].cases == found.offers
    for parts in found.by_group["click"].values():
        assert sum(one.cases for one in parts.values()) <= found.offers
    reached = [one.came for one in found.shown]
    assert reached == sorted(reached, reverse=True)
    before = calibration_of(shop.engine, as_of_us=shop.engine.clock() - 18 * DAY_US)
    assert before.whole["application"].open > 0
    later = found.whole["application"]
    share = before.whole["application"]
    came = sum(one.came * one.cases for one in share.bins) / share.cases
    final = sum(one.came * one.cases for one in later.bins) / later.cases
    assert abs(came - final) < 0.5 * final
