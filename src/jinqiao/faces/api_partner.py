"""Routes of institutions: tokens, reports, applications, limits, statements."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from jinqiao.errors import InputError, ProtocolError, SchemaError
from jinqiao.faces import api_bodies as bodies
from jinqiao.faces.api_asks import Asks, admit, language_of, own, service_of
from jinqiao.faces.api_customer import Key, answered
from jinqiao.faces.api_door import json_bytes
from jinqiao.faces.output import plain
from jinqiao.flow.access import Principal, Resource, authorise, issue_token

__all__ = ["routes"]

routes = APIRouter()
_MOST_REPORTS = 1000

Institution = Annotated[str, Path(min_length=1, max_length=96, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Month = Annotated[str, Path(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
OneInstitution = Annotated[str | None, Query(max_length=96, pattern=r"^[a-z0-9][a-z0-9_-]*$")]


@routes.post("/oauth/token", responses={200: {"model": bodies.TokenAnswer}}, tags=["access"])
def token(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("token.create"))],
    grant_type: Annotated[str, Form(max_length=64)],
    client_id: Annotated[str, Form(max_length=128)] = "",
    client_secret: Annotated[str, Form(max_length=256)] = "",
    scope: Annotated[str, Form(max_length=1024)] = "",
) -> Response:
    """Return an institution's access token (OAuth 2, client credentials, 15 minutes)."""
    if grant_type != "client_credentials":
        raise ProtocolError("only client_credentials", field="grant_type")
    name, secret = _basic(request) or (client_id, client_secret)
    engine = service_of(request).engine
    with engine.records.reading() as tx:
        made = issue_token(tx, engine.keyring, name, secret, now_us=engine.clock(), scope=scope)
    return answered(
        {
            "access_token": made.token, "token_type": "Bearer",
            "expires_in": made.expires_in_s, "scope": " ".join(made.scopes),
        }
    )  # fmt: skip


def _basic(request: Request) -> tuple[str, str] | None:
    """Return a client's name and secret from ``Authorization: Basic``, or None."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise InputError("not a basic credential", field="authorization") from error
    return name, secret


class _Reports(Asks):
    """The same for reports: a bearer key, or a signed body of the institution named."""

    async def __call__(self, request: Request) -> Principal:  # type: ignore[override]
        service = service_of(request)
        if "webhook-signature" not in request.headers or request.headers.get("authorization"):
            return await run_in_threadpool(super().__call__, request)
        name = request.headers.get("jinqiao-institution", "")
        if not name:
            raise InputError(
                "whose signature?", field="jinqiao-institution", fix="send your institution's id"
            )
        body = await request.body()
        principal, message_id = await run_in_threadpool(
            service.signed, name, dict(request.headers), body
        )
        admit(request, principal)
        authorise(principal, self.action, own(principal))
        request.state.message_id = message_id
        return principal


@routes.post(
    "/v1/postbacks", responses={200: {"model": bodies.ReportsAnswer}}, tags=["reports"],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "anyOf": [
                            bodies.ReportAsked.model_json_schema(),
                            {
                                "type": "object",
                                "required": ["reports"],
                                "properties": {
                                    "reports": {
                                        "type": "array",
                                        "maxItems": _MOST_REPORTS,
                                        "items": bodies.ReportAsked.model_json_schema(),
                                    }
                                },
                            },
                        ]
                    }
                }
            },
        }
    },
)  # fmt: skip
async def postbacks(
    request: Request,
    principal: Annotated[Principal, Depends(_Reports("postback.send"))],
    key: Key = None,
) -> Response:
    """Take in one report or many, in any order, each harmless to repeat, each with its result.

    Bearer key, or a Standard Webhooks signature with ``Jinqiao-Institution``; the message id of a
    signed body is its Idempotency-Key when there is none.
    """
    body = await request.body()
    reports = _reports(body)
    named = key or getattr(request.state, "message_id", None)
    language = language_of(request)
    answer = await run_in_threadpool(_receive, request, principal, named, (body, reports, language))
    headers = {"idempotent-replayed": "true"} if answer.repeated else {}
    return Response(json_bytes(answer.body), answer.status, headers, "application/json")


def _receive(
    request: Request, principal: Principal, key: str | None, what: tuple[bytes, Any, str]
) -> Any:
    from jinqiao.domain.messages import sentence

    service, (body, reports, language) = service_of(request), what

    def work(tx: Any) -> tuple[int, Any]:
        receipt = service.receive_reports(principal.institution_id or "", reports, tx)
        return 200, {
            "received": receipt.received,
            "accepted": receipt.accepted,
            "duplicate": receipt.duplicate,
            "rejected": [
                {
                    "reject_id": one.reject_id, "report_id": one.report_id, "field": one.field,
                    "code": one.reason.code, "message": sentence(one.reason, language),
                }
                for one in receipt.rejected
            ],
        }  # fmt: skip

    return service.answer_once(principal, key, b"POST /v1/postbacks " + body, work)


def _reports(body: bytes) -> list[dict[str, Any]]:
    """Return the reports of a body; raise SchemaError for anything that is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise SchemaError("not JSON", field="body") from error
    listed = found.get("reports") if isinstance(found, dict) and "reports" in found else [found]
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise SchemaError("one report, or {reports: [...]}", field="body")
    if len(listed) > _MOST_REPORTS:
        raise SchemaError(f"more than {_MOST_REPORTS} at once", field="reports", fix="send parts")
    return listed


@routes.get(
    "/v1/applications", responses={200: {"model": bodies.ApplicationPage}}, tags=["applications"]
)
def applications(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("application.read"))],
    institution_id: OneInstitution = None,
    customer_id: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Return a page of one's own applications; an operator names whose, newest click first."""
    from jinqiao.flow.desk import applications as page_of

    whose = Resource(
        institution_id or principal.institution_id, customer_id or principal.customer_id
    )
    authorise(principal, "application.read", whose)
    page = page_of(
        service_of(request).engine, customer_id=whose.customer_id,
        institution_id=whose.institution_id, cursor=cursor, limit=limit,
    )  # fmt: skip
    return answered(page)


@routes.get("/v1/limits", responses={200: {"model": bodies.LimitsAnswer}}, tags=["limits"])
def limits(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("limit.read"))],
    institution_id: OneInstitution = None,
) -> Response:
    """Return an institution's limits in their present period, and what is left of each."""
    from jinqiao.flow.desk import limit_list

    name = institution_id or principal.institution_id
    authorise(principal, "limit.read", Resource(institution_id=name))
    return answered({"limits": limit_list(service_of(request).engine, institution_id=name)})


@routes.get(
    "/v1/statements/{institution_id}/{month}",
    responses={200: {
        "model": bodies.StatementAnswer, "content": {"text/csv": {"schema": {"type": "string"}}},
    }},
    tags=["statements"],
)  # fmt: skip
def statement(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("statement.read"))],
    institution_id: Institution,
    month: Month,
    currency: Annotated[str | None, Query(pattern=r"^[A-Z]{3}$")] = None,
    version: Annotated[int | None, Query(ge=1, le=10_000)] = None,
) -> Response:
    """Return a month's statement, as it stands or as issued; CSV for ``Accept: text/csv``."""
    from jinqiao.flow.books import statement_of, statement_text

    authorise(principal, "statement.read", Resource(institution_id=institution_id))
    made = statement_of(
        service_of(request).engine, institution_id, month, currency=currency, version=version
    )
    if "text/csv" in request.headers.get("accept", ""):
        return Response(statement_text(made), media_type="text/csv; charset=utf-8")
    return answered(plain(made))
