"""Routes of the operator: sessions, decisions, indicators; and health, readiness, metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import PlainTextResponse

from jinqiao.errors import Unavailable
from jinqiao.faces import api_bodies as bodies
from jinqiao.faces.api_asks import Asks, service_of
from jinqiao.faces.api_customer import answered
from jinqiao.faces.cli_decision import told
from jinqiao.faces.output import plain
from jinqiao.flow.access import Principal, Resource, authorise

__all__ = ["routes"]

routes = APIRouter()
STALE_S = 10.0
"""Limits not looked at for so long: this process is not ready."""


@routes.post(
    "/v1/sessions", responses={201: {"model": bodies.SessionAnswer}}, status_code=201,
    tags=["access"],
)  # fmt: skip
def session(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("session.create"))],
    asked: bodies.SessionAsked,
) -> Response:
    """Return a signed session for one of your logins; a new login becomes a customer."""
    from jinqiao.flow.keys import new_session

    made = new_session(service_of(request).engine, asked.user_id, hours=asked.hours)
    return answered(
        {
            "token": made.token,
            "customer_id": made.customer_id,
            "expires_in_s": made.expires_in_s,
            "path": f"/enter?token={made.token}",
        },
        201,
    )


@routes.get(
    "/v1/decisions/{trace_id}", responses={200: {"model": bodies.DecisionStory}}, tags=["decisions"]
)
def decision(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("decision.explain"))],
    trace_id: Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")],
    product_id: Annotated[str | None, Query(max_length=96)] = None,
) -> Response:
    """Return a shelf's whole story: every step of every offer, and what became of it."""
    from jinqiao.flow.explain import explain

    service = service_of(request)
    rows = service.decision_rows(trace_id)
    authorise(principal, "decision.explain", Resource(customer_id=service.owner_of(rows[0])))
    return answered(told(explain(service.engine, trace_id, product_id=product_id, rows=rows)))


@routes.get("/v1/report", responses={200: {"model": bodies.ReportPage}}, tags=["report"])
def report(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("report.read"))],
    days: Annotated[int, Query(ge=1, le=3650)] = 28,
) -> Response:
    """Return the three families of indicators, each with its numbers and interval."""
    from jinqiao.flow.indicators import indicators_of

    found = indicators_of(service_of(request).engine, window_days=days)
    return answered({"indicators": plain(found)})


@routes.get("/healthz", responses={200: {"model": bodies.Health}}, tags=["health"])
def healthz(
    request: Request, principal: Annotated[Principal, Depends(Asks("health.read"))]
) -> Response:
    """Say that the process answers."""
    return answered({"status": "ok"})


@routes.get("/readyz", responses={200: {"model": bodies.Ready}}, tags=["health"])
def readyz(
    request: Request, principal: Annotated[Principal, Depends(Asks("health.read"))]
) -> Response:
    """Say that shelves can be served, and from how old a snapshot; 503 otherwise."""
    service = service_of(request)
    live, state = service.live, service.state()
    if state["checked_s"] > STALE_S:
        raise Unavailable(f"limits were last looked at {state['checked_s']:.0f} s ago")
    return answered(
        {
            "status": "ready",
            "snapshot": live.serving.versions.snapshot,
            "age_s": state["age_s"],
            "checked_s": state["checked_s"],
        }
    )


@routes.get(
    "/metrics", tags=["health"], response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def metrics(
    request: Request, principal: Annotated[Principal, Depends(Asks("metrics.read"))]
) -> Response:
    """Return counters and gauges in Prometheus' text format."""
    found = request.app.state.metrics
    return Response(found.text(service_of(request)), media_type=found.media_type)
