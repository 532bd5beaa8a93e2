"""One request to a page: who asks, in which language, from which session."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.messages import LANGUAGES
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us
from jinqiao.errors import Forbidden, Unauthenticated
from jinqiao.flow import access, pages
from jinqiao.flow.access import NOBODY, Principal

if TYPE_CHECKING:
    from starlette.datastructures import Headers, QueryParams
    from starlette.requests import Request

    from jinqiao.flow.live import Live
    from jinqiao.flow.wiring import Engine

__all__ = ["DESK", "LANGUAGE", "SESSION", "VISIT", "State", "Visit", "visit_of"]

SESSION, VISIT, LANGUAGE, DESK = (
    "jinqiao_session", "jinqiao_visit", "jinqiao_lang", "jinqiao_desk",
)  # fmt: skip
CHANNELS = ("web", "app", "mini_program", "partner")
SCENES = ("home", "ledger", "checkout", "branch", "embed")
_SAFE_SITES = ("same-origin", "none", "")


class State(Protocol):
    """What the pages need of the running service."""

    @property
    def engine(self) -> Engine: ...
    @property
    def live(self) -> Live: ...


@dataclass
class Visit:
    """``session_id`` counts a visit; ``cookies`` are to be set on the answer ("" deletes)."""

    state: State
    path: str
    query: QueryParams
    headers: Headers
    language: str
    principal: Principal
    customer_id: str | None
    visit_key: str
    session_id: str
    secure: bool
    form: Mapping[str, str] = field(default_factory=dict)
    cookies: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    session_ended: bool = False
    trace_id: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    form_hosts: tuple[str, ...] = ()

    @property
    def engine(self) -> Engine:
        return self.state.engine

    @property
    def live(self) -> Live:
        return self.state.live

    @property
    def csrf(self) -> str:
        """The token every form of this session carries."""
        key = self.engine.keyring.derived("page-forms")
        return hmac.digest(key, self.visit_key.encode(), "sha256").hex()

    def check_form(self) -> None:
        """Raise Forbidden unless the form was made for this very session, on this site."""
        given = self.form.get("csrf", "")
        if self.headers.get("sec-fetch-site", "") not in _SAFE_SITES:
            raise Forbidden("this form came from another site", field="sec-fetch-site")
        if not hmac.compare_digest(given.encode(), self.csrf.encode()):
            raise Forbidden("this form is not of this session", field="csrf", fix="open it again")

    def customer(self, action: str) -> str:
        """Return the customer who asks, if they may; raise Unauthenticated or Forbidden."""
        access.authorise(self.principal, action, self._own)
        if self.customer_id is None:
            raise Unauthenticated("this login has no customer", record=action)
        return self.customer_id

    def allow(self, action: str) -> None:
        """Raise Forbidden when a customer's session may not do this; a visitor's page is open."""
        if self.customer_id is not None:
            access.authorise(self.principal, action, self._own)

    @property
    def _own(self) -> access.Resource:
        return access.Resource(customer_id=self.customer_id)

    def operator(self, action: str) -> Principal:
        """Return the operator who asks by the desk's cookie or a key, if they may."""
        access.authorise(self.principal, action)
        return self.principal

    def context(self) -> Context:
        """Return where and when this page is asked for; unknown words fall back to the web.

        A region is what the query names; a branch that nobody has is passed over.
        """
        channel, scene = self.query.get("channel", ""), self.query.get("scene", "")
        return Context(
            from_us(self.engine.clock()), self.session_id,
            channel if channel in CHANNELS else "web",
            scene if scene in SCENES else "home",
            region=self.query.get("region", "")[:96] or None,
            branch_id=self._branch(),
        )  # fmt: skip

    def _branch(self) -> str | None:
        named = self.query.get("branch", "")
        if not named:
            return None
        houses = self.live.catalog.institutions
        known = any(branch.branch_id == named for house in houses for branch in house.branches)
        return named if known else None


def visit_of(request: Request, state: State) -> Visit:
    """Return the visit of a request. A session that is over counts as nobody's."""
    language, chosen = _language(request)
    session, ended = request.cookies.get(SESSION, ""), False
    principal, customer_id = NOBODY, None
    try:
        principal, customer_id = _who(request, state, session)
    except Unauthenticated:
        ended = bool(session)
    visit = request.cookies.get(VISIT, "")
    fresh = not (len(visit) == 32 and visit.isalnum())
    if fresh:
        visit = secrets.token_hex(16)
    key = f"{visit}:{session if principal is not NOBODY else ''}"
    found = Visit(
        state, request.url.path, request.query_params, request.headers, language, principal,
        customer_id, key, keyed_id("web", key), request.url.scheme == "https",
        session_ended=ended, trace_id=_trace(request),
    )  # fmt: skip
    if fresh:
        found.cookies[VISIT] = (visit, None)
    if chosen:
        found.cookies[LANGUAGE] = (language, 365 * 86_400)
    if ended:
        found.cookies[SESSION] = ("", 0)
    return found


def _trace(request: Request) -> str:
    """Return the id this request is logged under."""
    given = request.scope.get("state", {}).get("trace_id")
    return str(given) if given else f"req_{secrets.token_hex(12)}"


def _who(request: Request, state: State, session: str) -> tuple[Principal, str | None]:
    """Return who a request speaks for: a customer's cookie, an operator's, or a key."""
    from jinqiao.flow.people import find_login

    engine = state.engine
    now = engine.clock()
    if session:
        who = access.open_session(engine.keyring, session, now_us=now)
        with engine.records.reading() as tx:
            customer_id = find_login(tx, engine, who.user_id or "")
        if customer_id is None:
            raise Unauthenticated("this login has no customer", field="session")
        return _resolved(who, customer_id), customer_id
    header = request.headers.get("authorization")
    if header:
        with engine.records.reading() as tx:
            return access.principal_of(tx, engine.keyring, header, now_us=now), None
    desk = request.cookies.get(DESK, "")
    if desk:
        return pages.open_desk(engine, desk), None
    return NOBODY, None


def _resolved(who: Principal, customer_id: str) -> Principal:
    from dataclasses import replace

    return replace(who, customer_id=customer_id)


def _language(request: Request) -> tuple[str, bool]:
    """Return the language asked for, and whether it was chosen just now."""
    asked = request.query_params.get("lang", "")[:2]
    if asked in LANGUAGES:
        return asked, True
    kept = request.cookies.get(LANGUAGE, "")
    if kept in LANGUAGES:
        return kept, False
    return _preferred(request.headers.get("accept-language", "")), False


def _preferred(header: str) -> str:
    """Return the language a browser would rather read.

    >>> _preferred("en-GB,en;q=0.9,zh;q=0.8"), _preferred("zh-CN"), _preferred("")
    ('en', 'zh', 'zh')
    """
    best, language = 0.0, LANGUAGES[0]
    for part in header.split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if name[:2].lower() in LANGUAGES and weight > best:
            best, language = weight, name[:2].lower()
    return language
