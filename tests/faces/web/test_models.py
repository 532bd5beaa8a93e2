"""The operator's page of models: who may read it, and that it says what the record says."""

from __future__ import annotations

from collections.abc import Callable

from starlette.testclient import TestClient

from faces.web.reading import field, text
from jinqiao.flow.model_record import model_list
from jinqiao.flow.serve import Service
from tests_faces import Lived

Enter = Callable[[str], TestClient]


def test_models_are_the_operators_alone(pages: TestClient, enter: Enter, lived: Lived) -> None:
    """A visitor is led to the door, a customer is refused and sees no link."""
    assert pages.get("/models").url.path == "/desk"
    customer = enter(lived.consenting[0])
    assert customer.get("/models").status_code == 403
    assert 'href="/models"' not in customer.get("/shelf").text


def test_the_page_says_what_is_on_record(
    pages: TestClient, operator_key: str, shop: Service
) -> None:
    """Every model, its status, the champion's figures and each decision, in both languages."""
    csrf = field(pages.get("/desk").text, "csrf")
    pages.post("/desk", data={"csrf": csrf, "key": operator_key})
    english, chinese = (pages.get("/models", params={"lang": one}).text for one in ("en", "zh"))
    found = model_list(shop.engine)
    for row in found["models"]:
        assert row["model_id"] in english
        assert row["model_id"] in chinese
    champion = next(row for row in found["models"] if row["status"] == "champion")
    assert champion["data_sha256"] in english
    assert f"{champion['metrics']['click']['log_loss']:.4f}" in english
    decided = [one for one in found["decisions"] if one["action"] != "registered"]
    assert text(english).count("promoted") == len(decided)
    assert text(chinese).count("晋升") == len(decided)
    assert english.count("<svg") == chinese.count("<svg") >= 8
    assert "PSI" in text(english)
    assert "style=" not in english
