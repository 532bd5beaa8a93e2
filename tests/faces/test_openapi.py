"""The API's own page is complete and true: whatever it allows to be asked is never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jinqiao.faces.api import app
from jinqiao.flow.access import RateLimits
from jinqiao.flow.keys import key_create, new_session
from jinqiao.flow.serve import open_service
from tests_faces import Lived, Quiet

CHECKS = [
    not_a_server_error, response_schema_conformance, status_code_conformance,
    content_type_conformance,
]  # fmt: skip
ROLE = {
    "/v1/batch": "publishable", "/v1/sessions": "operator", "/v1/report": "operator",
    "/v1/decisions/{trace_id}": "operator", "/v1/postbacks": "institution",
    "/v1/statements/{institution_id}/{month}": "operator", "/v1/limits": "operator",
    "/v1/applications": "operator", "/metrics": "operator",
    "/v1/experiments": "operator", "/v1/experiments/{experiment_id}": "operator",
    "/v1/experiments/{experiment_id}/stop": "operator",
    "/v1/models": "operator", "/v1/models/{model_id}": "operator",
    "/v1/models/{model_id}/drift": "operator", "/v1/models/rollback": "operator",
    "/v1/models/{model_id}/promote": "operator",
}  # fmt: skip
ROUTES = [
    ("POST", "/v1/batch"), ("POST", "/v1/sessions"), ("GET", "/v1/shelf"),
    ("GET", "/v1/products/{product_id}"), ("GET", "/v1/products/{product_id}/why"),
    ("POST", "/v1/clicks"), ("GET", "/v1/applications"), ("POST", "/v1/postbacks"),
    ("GET", "/v1/limits"), ("GET", "/v1/statements/{institution_id}/{month}"),
    ("GET", "/v1/decisions/{trace_id}"), ("GET", "/v1/consents"), ("POST", "/v1/consents"),
    ("DELETE", "/v1/consents/{purpose}"), ("GET", "/v1/customer/export"), ("GET", "/v1/report"),
    ("GET", "/v1/experiments"), ("POST", "/v1/experiments"),
    ("GET", "/v1/experiments/{experiment_id}"), ("POST", "/v1/experiments/{experiment_id}/stop"),
    ("GET", "/v1/models"), ("GET", "/v1/models/{model_id}"),
    ("GET", "/v1/models/{model_id}/drift"), ("POST", "/v1/models/rollback"),
    ("POST", "/v1/models/{model_id}/promote"),
    ("POST", "/oauth/token"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
]  # fmt: skip
TOKENS: dict[str, str] = {}


@pytest.fixture(scope="module")
def page(market: Lived) -> Iterator[Any]:
    """Return the schema of an application over this module's workspace."""
    with market.engine() as engine:
        house = engine.catalog().institutions[0].institution_id
        TOKENS.update(
            operator=key_create(engine, "operator")["secret"],
            publishable=key_create(engine, "publishable")["secret"],
            institution=key_create(engine, "institution", institution_id=house)["secret"],
            customer=new_session(engine, market.consenting[5]).token,
        )
        limits = RateLimits(burst=10**6, per_second=1e6)
        service = open_service(engine)
        door = app(service, limits=limits, log=Quiet(), pages=False)
        service.start()
        yield schemathesis.openapi.from_asgi("/openapi.json", door)
        service.stop()


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=lambda part: str(part))
def test_what_may_be_asked_is_answered(page: Any, method: str, path: str) -> None:
    """Any request the page allows: no 500, a documented status, an answer of its schema."""
    role = ROLE.get(path, "customer")
    # a process that is busy may truly not be ready: that 503 is documented, and no fault
    checks = CHECKS[1:] if path == "/readyz" else CHECKS
    headers = {"authorization": f"Bearer {TOKENS[role]}"}

    @given(case=page[path][method].as_strategy())
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any) -> None:
        case.validate_response(case.call(headers=headers), checks=checks)

    ask()


def test_every_route_is_asked(page: Any) -> None:
    """The routes asked above are the routes of the page, but for the one that ends the asker."""
    there = {(m.upper(), path) for path, verbs in page.raw_schema["paths"].items() for m in verbs}
    assert there == {*ROUTES, ("DELETE", "/v1/customer")}


def test_the_page_is_openapi_3_1_and_whole(page: Any) -> None:
    """Version 3.1, bearer security on every route, problems for every refusal."""
    raw = page.raw_schema
    assert raw["openapi"].startswith("3.1")
    assert raw["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, verbs in raw["paths"].items():
        for verb in verbs.values():
            assert verb["security"] == [{"bearer": []}], path
            assert {"401", "403", "404", "422", "429"} <= set(verb["responses"]), path
            assert verb["description"], path
