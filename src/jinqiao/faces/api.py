"""The HTTP API: routes put together, every error a problem, the service looked after."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from jinqiao import __version__
from jinqiao.errors import InputError, JinqiaoError, NotFound, SchemaError
from jinqiao.faces import (
    api_customer,
    api_experiments,
    api_models,
    api_operator,
    api_partner,
)
from jinqiao.faces.api_bodies import Problem
from jinqiao.faces.api_door import Door, json_bytes, logger_of, problem_headers
from jinqiao.faces.api_metrics import Metrics
from jinqiao.faces.status import problem
from jinqiao.flow.access import RateLimits
from jinqiao.flow.serve import Service

__all__ = ["app", "build", "documented"]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {"schema": {
        "$ref": "#/components/schemas/Problem"}}}}
    for status, text in (
        (400, "Wrong input"), (401, "Who asks is not known"), (403, "Not allowed"),
        (404, "No such record"), (409, "In conflict"), (413, "Too large"),
        (422, "Does not fit its schema"), (429, "Too many requests"), (503, "Not available now"),
    )
}  # fmt: skip


def app(
    service: Service, *, limits: RateLimits | None = None, log: Any = None, pages: bool = True
) -> Door:
    """Return the ASGI application of a service: API, pages, and what looks after them.

    ``limits``: how often one asker may ask; None is 200 at once and 50 a second.
    """
    made = build(service, limits=limits, log=log, pages=pages)
    return Door(made, log=made.state.log, seen=made.state.metrics.seen)


def build(
    service: Service, *, limits: RateLimits | None = None, log: Any = None, pages: bool = True
) -> FastAPI:
    """Return the application without its door: the one whose OpenAPI page is served."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await run_in_threadpool(service.stop)

    made = _bare(living)
    made.state.service = service
    made.state.limits = limits or RateLimits(burst=200, per_second=50.0)
    made.state.metrics = Metrics()
    level = service.engine.settings.serve.log_level
    made.state.log = logger_of(level) if log is None else log
    service.log = _background(made.state.log)
    made.add_exception_handler(JinqiaoError, _problem)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(HTTPException, _http)
    made.add_exception_handler(Exception, _unexpected)
    made.add_api_route("/v1/{rest:path}", _nowhere, methods=["GET"], include_in_schema=False)
    if pages and find_spec("jinqiao.faces.web") and find_spec("jinqiao.faces.web.routes"):
        from jinqiao.faces.web import routes as web

        web.mount(made, service)
    return made


def documented() -> dict[str, Any]:
    """Return the OpenAPI page of the API."""
    page: dict[str, Any] = _bare(None).openapi()
    return page


def _bare(living: Any) -> FastAPI:
    """Return the application's routes and page, with no service behind them yet."""
    made = FastAPI(
        title="Jinqiao", version=__version__, lifespan=living, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json", responses=_PROBLEMS, redirect_slashes=False,
        summary="A financial marketplace: shelf, click-outs, reports, statements.",
    )  # fmt: skip
    for part in (api_customer, api_partner, api_operator, api_models, api_experiments):
        made.include_router(part.routes)
    _document(made)
    return made


def _background(log: Any) -> Any:
    def note(step: str, error: BaseException) -> None:
        log.error("background", step=step, error=f"{type(error).__name__}: {error}")

    return note


def _document(made: FastAPI) -> None:
    """Put the problem's schema onto the OpenAPI page."""
    plain = made.openapi

    def openapi() -> dict[str, Any]:
        page = plain()
        schemas = page.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return page

    made.openapi = openapi  # type: ignore[method-assign]


async def _nowhere(request: Request) -> Response:
    raise NotFound("no such address", record=request.url.path, fix="see /openapi.json")


def _told(request: Request, error: JinqiaoError, status: int | None = None) -> Response:
    state = request.scope.get("state", {})
    details = problem(error, state.get("trace_id"))
    if status is not None:
        details["status"] = status
    return Response(json_bytes(details), details["status"], problem_headers(error, state))


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, JinqiaoError)
    if status_is_ours(error):
        request.app.state.log.error("failed", trace_id=_trace(request), error=str(error))
    return _told(request, error)


def status_is_ours(error: JinqiaoError) -> bool:
    """Return whether an error is a fault of ours, to be looked into."""
    from jinqiao.faces.status import status_of

    return status_of(error).http == 500


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    said = str(first["msg"])
    return _told(request, SchemaError(said[:1].lower() + said[1:], field=".".join(where) or "body"))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: dict[int, JinqiaoError] = {404: NotFound("no such address", record=request.url.path)}
    fault = known.get(error.status_code, InputError(str(error.detail)))
    answer = _told(request, fault, error.status_code)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _unexpected(request: Request, error: Exception) -> Response:
    request.app.state.log.error(
        "unexpected", trace_id=_trace(request), error=type(error).__name__,
        where="".join(traceback.format_tb(error.__traceback__)[-3:]),
    )  # fmt: skip
    return _told(request, JinqiaoError("something went wrong here", fix="quote the trace id"))


def _trace(request: Request) -> str | None:
    trace: str | None = request.scope.get("state", {}).get("trace_id")
    return trace
