"""Addresses of the pages, and the one door each request comes through."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from jinqiao.errors import Overloaded
from jinqiao.faces.web import desk, experiments, models, person, shelf
from jinqiao.faces.web.faults import fault_page
from jinqiao.faces.web.headers import secured
from jinqiao.faces.web.rendering import style_digest, style_text
from jinqiao.faces.web.visit import State, Visit, visit_of
from jinqiao.flow.access import RateLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["mount", "web_app"]

_LOG = logging.getLogger("jinqiao.pages")
Handler = Callable[[Visit], Response]
_FORM_BYTES = 16_384

_PAGES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", shelf.show),
    ("GET", "/shelf", shelf.show),
    ("GET", "/all", shelf.everything),
    ("GET", "/products/{product_id}", shelf.product),
    ("POST", "/go", shelf.go),
    ("GET", "/leaving/{click_id}", shelf.leaving),
    ("GET", "/why/{trace_id}", shelf.why),
    ("GET", "/why-not/{product_id}", shelf.why_not),
    ("GET", "/topics", shelf.topics),
    ("GET", "/topics/{content_id}", shelf.piece),
    ("GET", "/enter", person.enter),
    ("POST", "/enter", person.switch),
    ("POST", "/leave", person.leave),
    ("GET", "/applications", person.applications),
    ("GET", "/data", person.data),
    ("POST", "/data/consent", person.consent),
    ("GET", "/data/export", person.export),
    ("GET", "/data/erase", person.erase_asked),
    ("POST", "/data/erase", person.erase),
    ("GET", "/report", desk.report),
    ("GET", "/calibration", desk.calibration),
    ("GET", "/models", models.models),
    ("GET", "/experiments", experiments.experiments),
    ("GET", "/experiments/{experiment_id}", experiments.experiment),
    ("POST", "/experiments/{experiment_id}/stop", experiments.stop),
    ("GET", "/desk", desk.door),
    ("POST", "/desk", desk.enter),
    ("POST", "/desk/leave", desk.leave),
)


def mount(app: Starlette, state: State, *, limits: RateLimits | None = None) -> None:
    """Put the pages under an application; call it last, after every other route."""
    app.router.routes.append(Mount("/", app=web_app(state, limits=limits)))


def web_app(state: State, *, limits: RateLimits | None = None) -> Starlette:
    """Return the pages as an application of their own.

    ``limits``: how often one customer, or one address without a session, may ask; None is 120 at
    once and 20 a second.
    """
    buckets = limits or RateLimits(burst=120, per_second=20.0)
    routes = [Route("/static/jinqiao.css", _style), Route("/favicon.ico", _nothing)]
    for method, path, handler in _PAGES:
        routes.append(Route(path, _endpoint(handler, state, buckets), methods=[method]))

    async def missed(request: Request, error: Exception) -> Response:
        return await run_in_threadpool(_fault, request, state, error)

    return Starlette(routes=routes, exception_handlers={HTTPException: missed})


def _endpoint(handler: Handler, state: State, buckets: RateLimits) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        form = await _form(request) if request.method == "POST" else {}
        return await run_in_threadpool(_answer, handler, request, state, form, buckets)

    return endpoint


async def _form(request: Request) -> Mapping[str, str]:
    """Return the fields of a small form; anything larger or else is no form."""
    size = request.headers.get("content-length", "")
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded" or not size.isdigit():
        return {}
    if int(size) > _FORM_BYTES:
        return {}
    found = await request.form(max_fields=32)
    return {name: value for name, value in found.items() if not isinstance(value, UploadFile)}


def _answer(
    handler: Handler, request: Request, state: State, form: Mapping[str, str], buckets: RateLimits
) -> Response:
    try:
        visit = visit_of(request, state)
    except Exception:
        return _speechless(request)
    visit.form = form
    try:
        address = request.client.host if request.client else ""
        asker = visit.customer_id or f"address:{address}"
        if not buckets.take(asker, now_us=state.engine.clock()).allowed:
            raise Overloaded("too many requests", fix="wait a moment")
        if request.method == "POST":
            visit.check_form()
        visit.parts = dict(request.path_params)
        response = handler(visit)
    except Exception as error:
        response = fault_page(visit, error)
    return _finished(response, visit)


def _fault(request: Request, state: State, error: Exception) -> Response:
    visit = visit_of(request, state)
    return _finished(fault_page(visit, error), visit)


def _speechless(request: Request) -> Response:
    """Return the bare answer where even who asks cannot be looked up."""
    _LOG.exception("no visit: %s", request.url.path)
    answer = PlainTextResponse("Unavailable. 暂时无法使用。", status_code=503)
    return secured(answer, https=request.url.scheme == "https")


def _finished(response: Response, visit: Visit) -> Response:
    for name, (value, seconds) in visit.cookies.items():
        if value:
            response.set_cookie(
                name, value, max_age=seconds, path="/", secure=visit.secure, httponly=True,
                samesite="lax",
            )  # fmt: skip
        else:
            response.delete_cookie(
                name, path="/", secure=visit.secure, httponly=True, samesite="lax"
            )
    return secured(response, https=visit.secure, form_hosts=visit.form_hosts)


async def _style(request: Request) -> Response:
    response = PlainTextResponse(style_text(), media_type="text/css")
    known = request.query_params.get("v") == style_digest()
    response.headers["cache-control"] = (
        "public, max-age=31536000, immutable" if known else "no-cache"
    )
    return secured(response, https=request.url.scheme == "https")


async def _nothing(request: Request) -> Response:
    return secured(Response(status_code=204), https=request.url.scheme == "https")
