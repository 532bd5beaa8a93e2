"""The operator's pages of experiments: who may see them, what they say, and how one is stopped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from faces.web.reading import field, text
from jinqiao.domain.experiment import Arm, Guardrail, Trial
from jinqiao.errors import Conflict
from jinqiao.flow.experiments import experiment_show, start_experiment, stop_experiment
from jinqiao.flow.serve import Service
from tests_faces import Lived

TRIAL = Trial(
    "more-learning", "More learning", "exploring more finds <better> offers", ("activations",),
    (Arm("as-is", 0.5), Arm("more", 0.5, {"exploration_share": 0.08})),
    guardrails=(Guardrail("refusal_rate", "up", 0.02),), holdout=0.1,
)  # fmt: skip


@pytest.fixture
def desk(pages: TestClient, operator_key: str, shop: Service) -> TestClient:
    """Return an operator's desk with an experiment that was started."""
    with suppress(Conflict):  # started by the test before
        start_experiment(shop.engine, TRIAL, actor="ann")
    csrf = field(pages.get("/desk").text, "csrf")
    pages.post("/desk", data={"csrf": csrf, "key": operator_key})
    return pages


def test_experiments_are_the_operators_alone(
    pages: TestClient, enter: Callable[[str], TestClient], lived: Lived
) -> None:
    """A visitor is led to the door, a customer is refused, and neither stops anything."""
    for path in ("/experiments", "/experiments/more-learning"):
        assert pages.get(path).url.path == "/desk"
        assert enter(lived.consenting[0]).get(path).status_code == 403
    csrf = field(pages.get("/desk").text, "csrf")
    asked = pages.post("/experiments/more-learning/stop", data={"csrf": csrf, "why": "x"})
    assert asked.status_code in (401, 403)


def test_a_page_says_what_is_found(desk: TestClient) -> None:
    """List and page name experiment, arms, what differs and the verdict, in both languages."""
    listed = text(desk.get("/experiments").text)
    assert "More learning" in listed
    assert "running" in listed
    english = desk.get("/experiments/more-learning").text
    assert "&lt;better&gt;" in english
    assert "exploration_share = 0.08" in text(english)
    assert "Too early" in text(english)
    assert "style=" not in english
    chinese = text(desk.get("/experiments/more-learning", params={"lang": "zh"}).text)
    assert "还太早" in chinese
    assert desk.get("/experiments/never").status_code == 404


def test_it_is_stopped_by_its_form(desk: TestClient, shop: Service) -> None:
    """The form stops it, with who and why; without its token nothing happens."""
    assert desk.post("/experiments/more-learning/stop", data={"why": "x"}).status_code == 403
    csrf = field(desk.get("/experiments/more-learning").text, "csrf")
    ended = desk.post("/experiments/more-learning/stop", data={"csrf": csrf, "why": "seen enough"})
    assert ended.url.path == "/experiments/more-learning"
    assert "seen enough" in text(ended.text)
    row = experiment_show(shop.engine, "more-learning")
    assert (row["running"], row["stopped_why"]) == (False, "seen enough")
    assert row["stopped_by"].startswith("operator:")
    assert stop_experiment(shop.engine, "more-learning", actor="x", why="y")["stopped_by"] != "x"


@pytest.mark.browser
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)], ids=["phone", "desk"])
def test_the_pages_fit_in_both_languages(
    browser: Any, site: str, shop: Service, operator_key: str, size: tuple[int, int]
) -> None:
    """No sideways scroll and no complaint of the browser."""
    drawn = replace(TRIAL, experiment_id=f"drawn-{size[0]}", arms=(Arm("a", 0.5), Arm("b", 0.5)))
    start_experiment(shop.engine, drawn, actor="ann")
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)),
                                  base_url=site)  # fmt: skip
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text))
    page.goto("/desk")
    page.fill("#key", operator_key)
    with page.expect_navigation():
        page.locator("main button").click()
    for language in ("zh", "en"):
        for path in ("/experiments", f"/experiments/{drawn.experiment_id}"):
            assert page.goto(f"{path}?lang={language}").status == 200
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), path
            assert page.locator("h1").count() == 1
    context.close()
    stop_experiment(shop.engine, drawn.experiment_id, actor="ann", why="drawn")
    assert complaints == []
