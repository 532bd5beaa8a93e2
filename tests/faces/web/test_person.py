"""A customer's own pages: entry, consent, export, erasure, applications."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from faces.web.reading import field, links, offers, text, trace
from jinqiao.domain.consent import Purpose
from jinqiao.flow import access
from jinqiao.flow.keys import new_session
from jinqiao.flow.people import find_login, say_consent
from jinqiao.flow.serve import Service
from tests_faces import Lived

Enter = Callable[[str], TestClient]
PRIVATE = ("/data", "/applications", "/data/export", "/data/erase")


def _say(client: TestClient, purpose: str, action: str) -> str:
    """Press a consent button as the page has it; return the page that follows."""
    page = client.get("/data").text
    part = page[page.index(f'id="{purpose}"') :]
    form = {name: field(part, name) for name in ("csrf", "purpose", "version", "action")}
    assert form["action"] == action
    return client.post("/data/consent", data=form).text


def test_a_withdrawal_changes_the_very_next_shelf(enter: Enter, lived: Lived) -> None:
    """Withdrawn: nothing personal. Granted again: personal again. No wait between."""
    client = enter(lived.consenting[2])
    assert "Not personalised" not in client.get("/shelf").text
    assert "Withdrawn" in text(_say(client, "personalise", "withdraw"))
    after = client.get("/shelf").text
    assert "You withdrew your consent" in text(after)
    assert "of your income" not in text(after)
    _say(client, "personalise", "grant")
    assert "Not personalised" not in client.get("/shelf").text


def test_the_exact_words_and_their_version_are_shown(enter: Enter, lived: Lived) -> None:
    """Each purpose has its text and version, in the language of the page."""
    client = enter(lived.consenting[3])
    english, chinese = client.get("/data").text, client.get("/data?lang=zh").text
    for purpose in Purpose:
        assert f'id="{purpose.value}"' in english
        assert f"{purpose.value}@1" in english
    assert "Your raw ledger goes to no institution" in english
    assert "原始账单不会交给任何机构" in chinese


def test_what_is_known_is_told_in_words(enter: Enter, lived: Lived) -> None:
    """A consenting customer sees their profile by family; a refusing one sees that none is kept."""
    known = text(enter(lived.consenting[3]).get("/data").text)
    assert "No profile is kept" not in known
    assert "Income" in known
    assert "No profile is kept" in text(enter(lived.refusing[0]).get("/data").text)


def test_private_pages_need_a_session(pages: TestClient) -> None:
    """Without a session a customer's pages answer 401, whatever the address says."""
    for address in PRIVATE:
        assert pages.get(address).status_code == 401
        assert pages.get(f"{address}?customer_id=sub_0&user_id=u00000000").status_code == 401


def test_a_session_opens_by_a_signed_token_alone(pages: TestClient, shop: Service) -> None:
    """A forged, foreign or empty token opens nothing and sets no session."""
    good = new_session(shop.engine, "u00000001").token
    head, body, mark = good.split(".")
    for bad in ("", "x", f"{head}.{body}.{mark[::-1]}", f"{head}..{mark}"):
        answer = pages.get("/enter", params={"token": bad})
        assert answer.status_code == 401, bad
        assert "jinqiao_session" not in answer.headers.get("set-cookie", "")


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(
    pages: TestClient, shop: Service
) -> None:
    """HttpOnly, SameSite=Lax, bounded in time; the address with the token is left at once."""
    token = new_session(shop.engine, "u00000001").token
    answer = pages.get("/enter", params={"token": token}, follow_redirects=False)
    assert answer.status_code == 303
    assert "token" not in answer.headers["location"]
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "jinqiao_session" in c)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=" in cookie


def test_a_link_alone_replaces_no_other_session(
    enter: Callable[[str], TestClient], shop: Service
) -> None:
    """With a session open, another customer's link asks first; the form of that session enters."""
    client = enter("u00000001")
    mine = client.cookies["jinqiao_session"]
    other = new_session(shop.engine, "u00000002").token
    asked = client.get("/enter", params={"token": other})
    assert asked.url.path == "/enter"
    assert "Enter as somebody else?" in asked.text
    assert client.cookies["jinqiao_session"] == mine
    forged = {"csrf": "0" * 64, "token": other}
    assert client.post("/enter", data=forged).status_code == 403
    assert client.cookies["jinqiao_session"] == mine
    csrf = re.search(r'action="/enter".*?name="csrf" value="([0-9a-f]+)"', asked.text, re.S)
    assert csrf
    entered = client.post("/enter", data={"csrf": csrf[1], "token": other})
    assert entered.url.path == "/shelf"
    assert client.cookies["jinqiao_session"] == other
    again = client.get("/enter", params={"token": new_session(shop.engine, "u00000002").token})
    assert again.url.path == "/shelf"  # the same customer's new link


def test_an_expired_session_is_nobody_and_says_so(shop: Service, pages: TestClient) -> None:
    """A session past its hours shows a shelf without anything personal."""
    engine = shop.engine
    old = access.issue_session(
        engine.keyring, "u00000001", now_us=engine.clock() - 13 * 3_600_000_000, hours=12
    )
    pages.cookies.set("jinqiao_session", old.token)
    answer = pages.get("/shelf")
    assert "Your session has ended" in text(answer.text)
    assert "Not personalised" in answer.text


def test_a_session_may_be_narrower_than_a_customer(shop: Service, pages: TestClient) -> None:
    """A session issued for the shelf alone opens the shelf and nothing else."""
    engine = shop.engine
    narrow = access.issue_session(
        engine.keyring, "u00000001", now_us=engine.clock(), scopes=("shelf.read",)
    )
    pages.cookies.set("jinqiao_session", narrow.token)
    assert pages.get("/shelf").status_code == 200
    for address in (*PRIVATE, f"/why/{trace(pages.get('/shelf').text)}"):
        assert pages.get(address).status_code == 403, address


def test_signing_out_ends_it(enter: Enter, lived: Lived) -> None:
    """After the button, the customer's pages are closed on this device."""
    client = enter(lived.consenting[0])
    client.post("/leave", data={"csrf": field(client.get("/shelf").text, "csrf")})
    assert client.get("/data").status_code == 401


@pytest.mark.parametrize("address", ["/leave", "/data/consent", "/data/erase", "/go", "/desk"])
def test_every_form_needs_its_token(enter: Enter, lived: Lived, address: str) -> None:
    """A POST without the token, with another session's, or from another site is refused."""
    client, other = enter(lived.consenting[0]), enter(lived.consenting[1])
    foreign = field(other.get("/data").text, "csrf")
    own = field(client.get("/data").text, "csrf")
    assert client.post(address, data={"sure": "yes"}).status_code == 403
    assert client.post(address, data={"csrf": foreign, "sure": "yes"}).status_code == 403
    across = client.post(
        address, data={"csrf": own, "sure": "no"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert across.status_code == 403
    assert client.get("/data").status_code == 200


def test_the_export_is_ones_own_and_whole(enter: Enter, lived: Lived, shop: Service) -> None:
    """The file holds the login, consents and ledger of this customer and of nobody else."""
    client = enter(lived.consenting[4])
    answer = client.get("/data/export")
    assert "attachment" in answer.headers["content-disposition"]
    whole = json.loads(answer.text)
    with shop.engine.records.reading() as tx:
        mine = find_login(tx, shop.engine, lived.consenting[4])
        other = find_login(tx, shop.engine, lived.consenting[5])
    assert whole["customer_id"] == mine
    assert lived.consenting[4] in answer.text
    assert lived.consenting[5] not in answer.text
    assert str(other) not in answer.text
    assert whole["lake"]["transactions"]


def test_erasing_takes_two_steps_and_ends_everything(
    enter: Enter, lived: Lived, shop: Service
) -> None:
    """Unticked it only asks again; ticked, the session and the customer are gone."""
    login = lived.consenting[-1]
    client = enter(login)
    token = new_session(shop.engine, login).token
    csrf = field(client.get("/data/erase").text, "csrf")
    unsure = client.post("/data/erase", data={"csrf": csrf})
    assert "Please tick the box" in text(unsure.text)
    assert client.get("/data").status_code == 200
    done = client.post("/data/erase", data={"csrf": csrf, "sure": "yes"})
    assert "Erased" in text(done.text)
    assert client.get("/data").status_code == 401
    again = client.get("/enter", params={"token": token})
    assert again.status_code in (400, 401)


def test_applications_show_only_ones_own(enter: Enter, lived: Lived, shop: Service) -> None:
    """Each application page lists exactly the reserved clicks of that customer."""
    seen: dict[str, set[str]] = {}
    for login in lived.consenting[:40]:
        client = enter(login)
        with shop.engine.records.reading() as tx:
            mine = find_login(tx, shop.engine, login)
            rows = tx.find("clicks", {"customer_id": mine, "reserved": True})
        html = client.get("/applications").text
        listed = {row["application_id"] for row in rows if row["application_id"] in html}
        assert len(listed) == min(len(rows), 20)
        seen[login] = listed
    flat = [one for listed in seen.values() for one in listed]
    assert flat
    assert len(flat) == len(set(flat))


def test_an_application_tells_its_course_and_what_comes_next(enter: Enter, lived: Lived) -> None:
    """A card has the timeline, the next step and the terms of the version clicked."""
    for login in lived.consenting:
        words = text(enter(login).get("/applications").text)
        if "What happened" in words:
            for part in (
                "You went to the institution",
                "What comes next",
                "Terms when you clicked",
            ):
                assert part in words
            return
    raise AssertionError("nobody applied")


def test_another_customers_click_page_is_not_found(
    enter: Enter, lived: Lived, shop: Service
) -> None:
    """The page before leaving belongs to the customer who clicked."""
    with shop.engine.records.reading() as tx:
        rows = tx.find("clicks", {"reserved": True}, limit=1)
        owner = rows[0]["customer_id"]
        stranger = next(
            one for one in lived.consenting[:50] if find_login(tx, shop.engine, one) != owner
        )
    assert enter(stranger).get(f"/leaving/{rows[0]['click_id']}").status_code == 404


def test_a_customer_not_yet_in_the_snapshot_is_told_so(enter: Enter, shop: Service) -> None:
    """A new login that agrees sees that its profile comes with the next update."""
    client = enter("somebody-new")
    with shop.engine.records.reading() as tx:
        found = find_login(tx, shop.engine, "somebody-new")
    assert found is not None
    assert "You have not agreed" in text(client.get("/shelf").text)
    say_consent(shop.engine, found, Purpose.PERSONALISE, granted=True)
    assert "next update" in text(client.get("/shelf").text)


def test_a_shelf_of_one_customer_names_no_other(enter: Enter, lived: Lived, shop: Service) -> None:
    """No page holds an id of the lake, the customer's own or another's."""
    client = enter(lived.consenting[0])
    html = client.get("/shelf").text
    first = offers(html)[0]
    why, product = f"/why/{trace(html)}", f"/products/{first}"
    for address in ("/shelf", product, why, "/data", "/applications"):
        assert "sub_" not in client.get(address).text, address
    assert links(html, "/why/")
