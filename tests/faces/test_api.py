"""The HTTP API, over a workspace in which a small market lived."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from jinqiao.domain.stage import CREDIT_CLASSES
from jinqiao.faces.api import app, build
from jinqiao.faces.api_asks import Asks
from jinqiao.faces.api_door import MOST_BYTES, VERSION, too_deep
from jinqiao.flow import access
from jinqiao.flow.access import RateLimits
from jinqiao.flow.desk import resume_product, stop_product
from jinqiao.flow.keys import key_create, new_session
from jinqiao.flow.odds import Odds
from jinqiao.flow.serve import Service, open_service
from jinqiao.flow.wiring import Engine
from jinqiao.propensity import ApprovalOdds, OddsBound
from tests_faces import Lived, Quiet

ROLES = ("nobody", "customer", "publishable", "institution", "operator")


@dataclass
class Site:
    """An application with a credential of every role; each test asks as whom it likes."""

    engine: Engine
    service: Service
    door: Any
    log: Quiet
    house: str
    tokens: dict[str, str]
    secret: str
    login: str
    made: dict[str, Any] = field(default_factory=dict)

    def ask(self, method: str, path: str, role: str = "nobody", **more: Any) -> httpx.Response:
        """Return one answer."""
        headers = dict(more.pop("headers", {}))
        if role in self.tokens:
            headers["authorization"] = f"Bearer {self.tokens[role]}"

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.door, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(go())

    def shelf(self, role: str = "customer", **params: Any) -> dict[str, Any]:
        """Return a shelf."""
        answer = self.ask("GET", "/v1/shelf", role, params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def enter(self, login: str) -> str:
        """Return the role name of another customer, signed in."""
        self.tokens[login] = new_session(self.engine, login).token
        return login


@pytest.fixture(scope="module")
def site(market: Lived) -> Iterator[Site]:
    """Return the application of this module's workspace; its background is not running."""
    with market.engine() as engine:
        log = Quiet()
        service = open_service(engine)
        door = app(service, limits=RateLimits(burst=100_000, per_second=1e6), log=log)
        house = engine.catalog().institutions[0].institution_id
        secret = key_create(engine, "webhook", institution_id=house)["secret"]
        login = market.consenting[0]
        tokens = {
            "operator": key_create(engine, "operator")["secret"],
            "publishable": key_create(engine, "publishable")["secret"],
            "institution": key_create(engine, "institution", institution_id=house)["secret"],
            "customer": new_session(engine, login).token,
        }
        yield Site(engine, service, door, log, house, tokens, secret, login)


# -- who may do what --------------------------------------------------------------------------

MAY: dict[tuple[str, str], set[str]] = {
    ("POST", "/v1/batch"): {"publishable", "operator"},
    ("POST", "/v1/sessions"): {"operator"},
    ("GET", "/v1/shelf"): {"nobody", "customer", "publishable"},
    ("GET", "/v1/products/{product_id}"): set(ROLES),
    ("GET", "/v1/products/{product_id}/why"): {"nobody", "customer", "publishable"},
    ("POST", "/v1/clicks"): {"customer"},
    ("GET", "/v1/applications"): {"customer", "institution", "operator"},
    ("POST", "/v1/postbacks"): {"institution"},
    ("GET", "/v1/limits"): {"institution", "operator"},
    ("GET", "/v1/statements/{institution_id}/{month}"): {"institution", "operator"},
    ("GET", "/v1/decisions/{trace_id}"): {"customer", "operator"},
    ("GET", "/v1/consents"): {"customer"},
    ("POST", "/v1/consents"): {"customer"},
    ("DELETE", "/v1/consents/{purpose}"): {"customer"},
    ("GET", "/v1/customer/export"): {"customer", "operator"},
    ("DELETE", "/v1/customer"): {"customer", "operator"},
    ("GET", "/v1/report"): {"operator"},
    ("GET", "/v1/experiments"): {"operator"},
    ("POST", "/v1/experiments"): {"operator"},
    ("GET", "/v1/experiments/{experiment_id}"): {"operator"},
    ("POST", "/v1/experiments/{experiment_id}/stop"): {"operator"},
    ("GET", "/v1/models"): {"operator"},
    ("GET", "/v1/models/{model_id}"): {"operator"},
    ("GET", "/v1/models/{model_id}/drift"): {"operator"},
    ("POST", "/v1/models/rollback"): {"operator"},
    ("POST", "/v1/models/{model_id}/promote"): {"operator"},
    ("POST", "/oauth/token"): set(ROLES),
    ("GET", "/healthz"): set(ROLES),
    ("GET", "/readyz"): set(ROLES),
    ("GET", "/metrics"): {"operator"},
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/batch": {"json": {"batch": []}},
    "/v1/sessions": {"json": {"user_id": "somebody"}},
    "/v1/clicks": {"json": {"trace_id": "shf_none", "position": 1}},
    "/v1/postbacks": {"json": {"reports": []}},
    "/v1/consents": {"json": {"purpose": "contact"}},
    "/v1/experiments": {
        "json": {
            "experiment_id": "none",
            "hypothesis": "x",
            "metrics": ["fame"],
            "arms": [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}],
        }
    },
    "/v1/experiments/{experiment_id}/stop": {"json": {"why": "x"}},
    "/v1/models/rollback": {"json": {}},
    "/v1/models/{model_id}/promote": {"json": {}},
    "/oauth/token": {"data": {"grant_type": "client_credentials"}},
}


def addresses(site: Site) -> list[tuple[str, str]]:
    page = site.ask("GET", "/openapi.json").json()
    return [(verb.upper(), path) for path, verbs in page["paths"].items() for verb in verbs]


def test_the_table_of_routes_is_complete(site: Site) -> None:
    """Every documented route stands in the table of who may do what."""
    assert set(addresses(site)) == set(MAY)


def test_every_route_asks(site: Site) -> None:
    """Each route of the application has the one dependency that authorises."""
    inner = build(site.service, pages=False)
    routes = [route for route in inner.routes if getattr(route, "include_in_schema", False)]
    for route in _flat(routes):
        calls = [one.call for one in route.dependant.dependencies]
        assert any(isinstance(call, Asks) for call in calls), route.path


def _flat(routes: Any) -> Iterator[Any]:
    for route in routes:
        if hasattr(route, "dependant"):
            yield route


ERASURE = ("DELETE", "/v1/customer", "customer")
"""The one call that would end the customer of every later test; it has a test of its own."""
CALLS = [(*call, role) for call in MAY for role in ROLES if (*call, role) != ERASURE]


@pytest.mark.parametrize(("method", "path", "role"), CALLS, ids=lambda part: str(part))
def test_each_role_may_do_what_the_table_says(
    site: Site, method: str, path: str, role: str
) -> None:
    """Called as nobody and as every role: only those of the table get past 401 and 403."""
    where = (
        path.replace("{product_id}", "none")
        .replace("{institution_id}", site.house)
        .replace("{month}", "2025-03")
        .replace("{trace_id}", "none")
        .replace("{model_id}", "none")
        .replace("{experiment_id}", "none")
        .replace("{purpose}", "contact")
    )
    answer = site.ask(method, where, role, **BODIES.get(path, {}))
    refused = 401 if role == "nobody" else 403
    if role in MAY[method, path]:
        if path != "/oauth/token":  # it answers 401 to a wrong secret
            assert answer.status_code not in (401, 403, 500), answer.text
    else:
        assert answer.status_code == refused, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_forged_and_foreign_credentials_are_refused(site: Site) -> None:
    """A key that is no key, a session signed by others, a key of another house: all refused."""
    for bad in ("Bearer x", "Basic abc", "Bearer pk_0123456789abcdef.00", "Bearer a.b.c", "Bearer"):
        answer = site.ask("GET", "/v1/shelf", headers={"authorization": bad})
        assert answer.status_code == 401, bad
        assert answer.headers["www-authenticate"] == "Bearer"
    other = site.engine.catalog().institutions[1].institution_id
    assert site.ask("GET", f"/v1/statements/{other}/2025-03", "institution").status_code == 403
    asked = site.ask("GET", "/v1/applications", "institution", params={"institution_id": other})
    assert asked.status_code == 403
    asked = site.ask("GET", "/v1/applications", "customer", params={"customer_id": "sub_other"})
    assert asked.status_code == 403


def test_one_customer_cannot_touch_anothers_shelf(site: Site, market: Lived) -> None:
    """Click and explanation of another customer's trace are forbidden."""
    trace = site.shelf()["trace_id"]
    other = site.enter(market.consenting[1])
    clicked = site.ask("POST", "/v1/clicks", other, json={"trace_id": trace, "position": 1})
    assert clicked.status_code == 403
    assert site.ask("GET", f"/v1/decisions/{trace}", other).status_code == 403
    assert site.ask("GET", f"/v1/decisions/{trace}", "customer").status_code == 200


# -- shelves ----------------------------------------------------------------------------------


def test_a_shelf_is_personal_only_with_consent(site: Site, market: Lived) -> None:
    """Consent makes a shelf personal; without it no chance of approval is claimed."""
    own = site.shelf(lang="en")
    assert own["personalised"]
    assert own["versions"]["consent"]
    assert [offer["position"] for offer in own["offers"]] == list(range(1, len(own["offers"]) + 1))
    assert all(offer["reasons"][0]["text"] for offer in own["offers"])
    for role in ("nobody", site.enter(market.refusing[0])):
        other = site.shelf(role)
        assert not other["personalised"]
        assert all(offer["p_approval"] is None for offer in other["offers"])


def test_a_withdrawal_changes_the_very_next_shelf(site: Site, market: Lived) -> None:
    """Grant, shelf, withdraw, shelf: each follows what was said last."""
    role = site.enter(market.consenting[2])
    assert site.shelf(role)["personalised"]
    gone = site.ask("DELETE", "/v1/consents/personalise", role)
    assert gone.json()["action"] == "withdraw"
    assert not site.shelf(role)["personalised"]
    back = site.ask("POST", "/v1/consents", role, json={"purpose": "personalise"})
    assert back.status_code == 201
    assert site.shelf(role)["personalised"]
    rows = site.ask("GET", "/v1/consents", role).json()["consents"]
    assert next(row for row in rows if row["purpose"] == "personalise")["granted"]


def test_languages_are_asked_for(site: Site) -> None:
    """?lang comes first, then Accept-Language, then Chinese."""
    english = site.ask("GET", "/v1/shelf", headers={"accept-language": "fr, en;q=0.5"}).json()
    chinese = site.ask("GET", "/v1/shelf").json()
    assert english["offers"][0]["reasons"][0]["text"].isascii()
    assert not chinese["offers"][0]["reasons"][0]["text"].isascii()
    both = site.ask("GET", "/v1/shelf?lang=en", headers={"accept-language": "zh"}).json()
    assert both["offers"][0]["reasons"][0]["text"].isascii()


def test_a_product_has_its_whole_cost_and_a_why(site: Site) -> None:
    """Cost table for its own example and for another; six steps say why or why not."""
    name = site.shelf()["offers"][0]["product_id"]
    made = site.ask("GET", f"/v1/products/{name}").json()
    assert "payout_amount_minor" not in made
    amount = made["amount_max_minor"]
    other = site.ask("GET", f"/v1/products/{name}", params={"amount_minor": amount}).json()
    assert other["cost"]["amount_minor"] == amount
    beyond = site.ask("GET", f"/v1/products/{name}", params={"amount_minor": amount + 1})
    assert beyond.status_code == 400
    assert beyond.json()["field"] == "amount_minor"
    why = site.ask("GET", f"/v1/products/{name}/why", "customer").json()
    steps = [step["step"] for step in why["steps"]]
    assert steps == ["eligibility", "suitability", "propensity", "price", "rank", "quota"]
    assert site.ask("GET", "/v1/products/none").status_code == 404


def test_a_product_that_was_not_shown_is_explained_too(site: Site) -> None:
    """The story of a trace tells why a product of then was kept off the shelf."""
    made = site.shelf()
    shown = {offer["product_id"] for offer in made["offers"]}
    other = next(n for n in site.service.live.serving.product_ids if n not in shown)
    path = f"/v1/decisions/{made['trace_id']}"
    story = site.ask("GET", path, "operator", params={"product_id": other}).json()
    (offer,) = story["offers"]
    assert (offer["product_id"], offer["position"]) == (other, 0)
    assert not all(step["allowed"] for step in offer["steps"])
    gone = site.ask("GET", path, "operator", params={"product_id": "none"})
    assert gone.status_code == 404


# -- click-outs -------------------------------------------------------------------------------


def test_a_click_is_made_once(site: Site) -> None:
    """The same click again gives the same id; its key for another request is a conflict."""
    trace = site.shelf()["trace_id"]
    key = {"idempotency-key": f"click-{trace}"}
    body = {"trace_id": trace, "position": 1}
    first = site.ask("POST", "/v1/clicks", "customer", json=body, headers=key)
    again = site.ask("POST", "/v1/clicks", "customer", json=body, headers=key)
    plain = site.ask("POST", "/v1/clicks", "customer", json=body)
    assert first.json()["allowed"]
    url = first.json()["url"]  # a lead goes by API: there is no address to open
    assert url is None or first.json()["click_id"] in url
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert plain.json()["click_id"] == first.json()["click_id"]
    other = {"trace_id": trace, "position": 2}
    assert site.ask("POST", "/v1/clicks", "customer", json=other, headers=key).status_code == 409
    nowhere = {"trace_id": trace, "position": 99}
    assert site.ask("POST", "/v1/clicks", "customer", json=nowhere).status_code == 404
    own = site.ask("GET", "/v1/applications", "customer").json()["applications"]
    assert first.json()["application_id"] in {one["application_id"] for one in own}


def test_approval_odds_are_answered_where_they_hold(
    site: Site, market: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offer of credit says its odds with their numbers, or null; why tells which and why not."""
    live = site.service.live
    houses = [house.institution_id for house in live.catalog.institutions]
    bounds = tuple(OddsBound(name, 0.6, 0.0, 214, 0.7, 0.64) for name in houses[::2])
    odds = Odds(0, ApprovalOdds(bounds, dict.fromkeys(houses[::2], 214), 0.95))
    monkeypatch.setattr(live, "odds", odds)
    credit = {one.value for one in CREDIT_CLASSES}
    offers = []
    for login in market.consenting[:8]:
        offers += site.ask("GET", "/v1/shelf?lang=en", site.enter(login)).json()["offers"]
    assert any(offer["approval_odds"] for offer in offers)
    for offer in offers:
        held = offer["product_class"] in credit and offer["institution_id"] in houses[::2]
        told = offer["approval_odds"]
        assert (told is not None) == held
        if told:
            assert told["text"].startswith("Of 214 people like you")
            assert (told["cases"], told["level"], told["as_of"]) == (214, 0.6, "1970-01-01")
    other = next(
        p for p in live.catalog.products()
        if p.product_class in CREDIT_CLASSES and p.institution_id in houses[1::2]
    )  # fmt: skip
    steps = site.ask("GET", f"/v1/products/{other.product_id}/why", "customer").json()["steps"]
    codes = [r["code"] for step in steps for r in step["reasons"] if r["code"].startswith("odds_")]
    assert codes == ["odds_few"]


def test_sold_out_is_a_decision_not_an_error(site: Site) -> None:
    """A product stopped after it was shown: the click is answered, not allowed, and says why."""
    made = site.shelf()
    name = made["offers"][0]["product_id"]
    stop_product(site.engine, name, actor="test")
    try:
        body = {"trace_id": made["trace_id"], "position": 1}
        answer = site.ask("POST", "/v1/clicks?lang=en", "customer", json=body)
    finally:
        resume_product(site.engine, name, actor="test")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["allowed"], said["url"]) == (False, None)
    assert said["reasons"]


# -- reports ----------------------------------------------------------------------------------


def _own_click(site: Site, market: Lived) -> str:
    """Return a click on the house's own product, made now."""
    for login in market.consenting[3:60]:
        role = site.enter(login)
        made = site.shelf(role)
        for offer in made["offers"]:
            if offer["institution_id"] != site.house:
                continue
            body = {"trace_id": made["trace_id"], "position": offer["position"]}
            got = site.ask("POST", "/v1/clicks", role, json=body).json()
            if got["allowed"]:
                return str(got["click_id"])
    raise AssertionError("nobody was shown a product of the house")


def test_a_signed_report_counts_once(site: Site, market: Lived) -> None:
    """A report signed by Standard Webhooks is accepted, and harmless to repeat."""
    click = _own_click(site, market)
    at = site.engine.clock()
    from jinqiao.domain.time import from_us

    report = {"report_id": "s-1", "click_id": click, "stage": "application",
              "occurred_at": from_us(at).isoformat()}  # fmt: skip
    body = json.dumps(report).encode()

    def send(message: str, content: bytes = body, house: str = site.house) -> httpx.Response:
        signed = access.sign_webhook(site.secret, message, body, now_us=site.engine.clock())
        headers = signed | {"jinqiao-institution": house, "content-type": "application/json"}
        return site.ask("POST", "/v1/postbacks", content=content, headers=headers)

    first = send("msg_1")
    assert first.status_code == 200, first.text
    assert first.json()["accepted"] == 1
    repeated = send("msg_1")
    assert repeated.headers["idempotent-replayed"] == "true"
    assert send("msg_2").json()["duplicate"] == 1
    assert send("msg_3", body + b" ").status_code == 401
    assert send("msg_4", house="another-house").status_code == 401
    listed = site.ask("GET", "/v1/applications", "institution").json()["applications"]
    state = next(one for one in listed if one["click_id"] == click)["state"]
    assert state == "application"


def test_reports_of_a_batch_have_each_a_result(site: Site) -> None:
    """Good, unknown and impossible reports come in one body; each is told what became of it."""
    reports = [
        {"report_id": f"b-{n}", "click_id": "clk_none", "stage": stage,
         "occurred_at": "2025-04-01T00:00:00Z"}
        for n, stage in enumerate(("application", "wedding"))
    ]  # fmt: skip
    got = site.ask("POST", "/v1/postbacks", "institution", json={"reports": reports}).json()
    assert (got["received"], got["accepted"], len(got["rejected"])) == (2, 0, 2)
    assert {one["field"] for one in got["rejected"]} == {"click_id"}
    missing = site.ask("POST", "/v1/postbacks", "institution", json={"report_id": "x"})
    assert missing.status_code == 422
    assert missing.json()["field"] == "click_id"
    foreign = {**reports[0], "institution_id": "another"}
    assert site.ask("POST", "/v1/postbacks", "institution", json=foreign).status_code == 422


def test_a_token_is_given_for_a_key(site: Site) -> None:
    """OAuth 2 client credentials, in the form or by Basic, give a bearer token that works."""
    secret = site.tokens["institution"]
    name = secret.partition(".")[0]
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    got = site.ask("POST", "/oauth/token", data=form).json()
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 900)
    site.tokens["token"] = got["access_token"]
    assert site.ask("GET", "/v1/limits", "token").status_code == 200
    wrong = site.ask("POST", "/oauth/token", data=form | {"client_secret": secret[:-1] + "0"})
    assert wrong.status_code in (200, 401)
    other = site.ask("POST", "/oauth/token", data={"grant_type": "password"})
    assert other.status_code == 400


def test_a_statement_is_json_or_csv(site: Site) -> None:
    """The same statement either way; an unknown institution is no empty one."""
    path = f"/v1/statements/{site.house}/2025-03"
    found = site.ask("GET", path, "institution").json()
    text = site.ask("GET", path, "institution", headers={"accept": "text/csv"}).text
    assert len(text.strip().splitlines()) == len(found["lines"]) + 1
    assert sum(line["amount_minor"] for line in found["lines"]) == found["total_minor"]
    assert site.ask("GET", "/v1/statements/nobody/2025-03", "operator").status_code == 404
    assert site.ask("GET", f"/v1/statements/{site.house}/2025-13", "operator").status_code == 422


def test_pages_of_applications_do_not_overlap(site: Site) -> None:
    """Following the cursor sees every application once."""
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 7}
    while True:
        page = site.ask("GET", "/v1/applications", "institution", params=params).json()
        seen += [one["application_id"] for one in page["applications"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) > 7


# -- events, own data -------------------------------------------------------------------------


def test_events_are_taken_once(site: Site) -> None:
    """A batch sent twice is accepted once; a message without an id is refused with its row."""
    message = {"type": "track", "event": "offer_viewed", "messageId": "api-1",
               "userId": site.login, "timestamp": "2025-04-01T00:00:00Z"}  # fmt: skip
    body = {"batch": [message, {"type": "track"}]}
    first = site.ask("POST", "/v1/batch?lang=en", "publishable", json=body).json()
    assert (first["received"], first["accepted"], first["rejected"]) == (2, 1, 1)
    assert first["faults"][0]["row"] == 2
    again = site.ask("POST", "/v1/batch", "publishable", json={"batch": [message]}).json()
    assert (again["accepted"], again["duplicate"]) == (0, 1)
    assert site.ask("POST", "/v1/batch", "publishable", content=b"{").status_code == 422


def test_own_data_are_exported_and_erased(site: Site, market: Lived) -> None:
    """Export holds the login; after erasure the same session opens nothing."""
    login = market.consenting[70]
    role = site.enter(login)
    kept = site.ask("GET", "/v1/customer/export", role).json()
    assert {"kind": "login", "value": login} in kept["identifiers"]
    gone = site.ask("DELETE", "/v1/customer", role)
    assert gone.json()["identifiers"] > 0
    assert site.ask("GET", "/v1/shelf", role).status_code == 401


# -- the door ---------------------------------------------------------------------------------


def test_bodies_are_bounded_in_size_and_depth(site: Site) -> None:
    """More than a mebibyte is 413, deeper than thirty-two is 422; both are problems."""
    large = site.ask("POST", "/v1/batch", "publishable", content=b" " * (MOST_BYTES + 1))
    assert large.status_code == large.json()["status"] == 413
    deep = b"[" * 5000 + b"]" * 5000
    headers = {"content-type": "application/json"}
    for path in ("/v1/clicks", "/v1/postbacks", "/v1/batch"):
        answer = site.ask("POST", path, "operator", content=deep, headers=headers)
        assert answer.status_code == 422, path
    wide = json.dumps([{"a": "[[[[{{{{"}] * 1000).encode()
    assert not too_deep(wide)


def test_every_answer_carries_version_trace_limits_and_safety(site: Site) -> None:
    """Good answers and problems alike; and CORS is off."""
    for path, role in (("/v1/shelf", "customer"), ("/v1/report", "nobody"), ("/v1/none", "nobody")):
        answer = site.ask("GET", path, role, headers={"origin": "https://other.example"})
        headers = answer.headers
        assert headers["jinqiao-version"] == VERSION
        assert headers["jinqiao-trace"].startswith("req_")
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        if answer.status_code >= 400:
            assert answer.json()["trace_id"] == headers["jinqiao-trace"]
    limited = site.ask("GET", "/v1/shelf", "customer").headers
    assert int(limited["ratelimit-limit"]) > int(limited["ratelimit-remaining"]) >= 0
    pinned = site.ask("GET", "/healthz", headers={"jinqiao-version": VERSION})
    assert pinned.status_code == 200
    other = site.ask("GET", "/healthz", headers={"jinqiao-version": "1999-01-01"})
    assert (other.status_code, other.json()["code"]) == (400, "protocol")


def test_who_asks_too_often_waits(site: Site) -> None:
    """Beyond the burst: 429 with Retry-After, for this asker alone."""
    limits = RateLimits(burst=2, per_second=0.001)
    narrow = app(site.service, limits=limits, log=Quiet(), pages=False)
    asker = Site(
        site.engine, site.service, narrow, Quiet(), site.house, site.tokens, site.secret, site.login
    )
    answers = [asker.ask("GET", "/v1/consents", "customer") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[2].json()["code"] == "overloaded"
    assert asker.ask("GET", "/v1/limits", "institution").status_code == 200


def test_no_secret_is_logged(site: Site) -> None:
    """The access log has a line a request, and no key, token, cookie or query in any."""
    site.log.clear()
    for role in site.tokens:
        site.ask("GET", f"/enter?token={site.tokens['customer']}", role)
        site.ask("GET", "/v1/shelf?session=secret-session", role)
        site.ask("POST", "/oauth/token", data={"client_secret": site.tokens["institution"]})
    text = json.dumps(site.log)
    assert len(site.log) >= 3 * len(site.tokens)
    for secret in (*site.tokens.values(), site.secret, "secret-session", site.login):
        assert secret not in text
    assert all(line["trace_id"].startswith("req_") for line in site.log)


def test_what_nobody_foresaw_tells_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error outside the tree is a 500 problem without its message; the log has the place."""

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(site.service, "shelf", breaks)
    answer = site.ask("GET", "/v1/shelf", "customer")
    assert answer.status_code == answer.json()["status"] == 500
    assert "42" not in answer.text


# -- what keeps it current --------------------------------------------------------------------


def until(true: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Return whether something came true within so many seconds."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_a_stop_is_off_every_shelf_without_a_publish(site: Site) -> None:
    """The background reads stops: the product leaves the shelf, and comes back after a resume."""
    service = open_service(site.engine)
    service.start()
    try:
        name = _shown(service)[0]
        stop_product(site.engine, name, actor="test")
        assert until(lambda: name not in _shown(service))
        resume_product(site.engine, name, actor="test")
        assert until(lambda: name in _shown(service))
    finally:
        service.stop()


def _shown(service: Service) -> list[str]:
    from jinqiao.flow.serve import Asked

    return [offer.product_id for offer in service.shelf(None, Asked()).offers]


def test_decisions_reach_the_lake_and_the_rest_at_the_end(site: Site) -> None:
    """The log is written in the background; what is left is written when the service stops."""
    from jinqiao.flow.explain import logged_rows
    from jinqiao.flow.serve import Asked

    service = open_service(site.engine)
    service.start()
    first = service.shelf(None, Asked()).trace_id

    def there() -> bool:
        found = site.engine.lake.query(
            "select 1 as one from decisions where trace_id = $trace", trace=first
        )
        return found.num_rows > 0

    assert until(there)
    last = [service.shelf(None, Asked()).trace_id for _ in range(5)]
    service.stop()
    assert all(logged_rows(site.engine, trace) for trace in last)


def test_a_new_snapshot_is_served_without_a_gap(site: Site) -> None:
    """While another snapshot is published, every request is answered, and then from the new one."""
    from jinqiao.flow import daily
    from jinqiao.flow.serve import Asked

    service = open_service(site.engine)
    before = service.live.serving.versions.snapshot
    service.start()
    try:
        daily.daily(site.engine, seed=99, train=False)

        def moved() -> bool:
            return service.shelf(None, Asked()).versions.snapshot != before

        assert until(moved, 30.0)
        assert service.live.serving.versions.snapshot == site.engine.snapshots.current_version()
    finally:
        service.stop()


def test_before_the_first_publish_it_says_so(tmp_path: Any) -> None:
    """Without a snapshot health is good, readiness is not, and a shelf is 503."""
    from jinqiao.flow.intake import apply_catalog
    from jinqiao.flow.wiring import open_engine
    from jinqiao.flow.workspace import init_workspace

    with open_engine(workspace=init_workspace(tmp_path / "mine")) as engine:
        apply_catalog(engine, author="test")
        service = open_service(engine)
        bare = Site(engine, service, app(service, log=Quiet()), Quiet(), "", {}, "", "")
        assert bare.ask("GET", "/healthz").status_code == 200
        for path in ("/readyz", "/v1/shelf"):
            answer = bare.ask("GET", path)
            assert answer.status_code == 503
            assert "publish" in answer.json()["fix"]


def test_metrics_count_what_was_answered(site: Site) -> None:
    """Prometheus' format, by route template."""
    site.ask("GET", "/v1/products/none")
    text = site.ask("GET", "/metrics", "operator").text
    assert 'path="/v1/products/{product_id}",status="404"' in text
    assert "jinqiao_snapshot_age_seconds" in text
