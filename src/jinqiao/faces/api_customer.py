"""Routes of customers and of pages: shelf, products, click-out, consent, own data, events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from jinqiao.domain.consent import Purpose
from jinqiao.domain.decision import Reason
from jinqiao.domain.messages import codes, render, sentence
from jinqiao.domain.shelf import Shelf
from jinqiao.errors import NotFound
from jinqiao.faces import api_bodies as bodies
from jinqiao.faces.api_asks import Asks, language_of, service_of
from jinqiao.faces.api_door import json_bytes
from jinqiao.faces.output import plain
from jinqiao.flow.access import Principal, Resource, authorise
from jinqiao.flow.serve import Asked, Service

__all__ = ["answered", "reason_text", "routes"]

routes = APIRouter()

Word = Annotated[str, Query(pattern=r"^[a-z0-9_]{1,32}$")]
Name = Annotated[str | None, Query(min_length=1, max_length=96)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="The same request is done once a day.")
]
ProductId = Annotated[str, Path(min_length=1, max_length=96)]
Lang = Annotated[bodies.Language | None, Query(description="Else Accept-Language.")]


def answered(body: object, status: int = 200, **headers: str) -> Response:
    """Return plain values as a JSON answer."""
    return Response(json_bytes(body), status, headers, "application/json")


def reason_text(reason: Reason, language: str) -> dict[str, Any]:
    """Return a reason as its code, its numbers, and its sentence."""
    return {
        "code": reason.code,
        "text": sentence(reason, language),
        "numbers": plain(reason.numbers),
    }


@routes.post(
    "/v1/batch", responses={200: {"model": bodies.BatchAnswer}}, tags=["events"],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
            "description": "Segment-style: {batch: [{type, messageId, userId, …}]}.",
        }
    },
)  # fmt: skip
async def batch(
    request: Request, principal: Annotated[Principal, Depends(Asks("event.send"))]
) -> Response:
    """Take in a batch of events; each message is taken once, whatever is sent again."""
    authorise(principal, "event.send")  # a customer's own page sends by the publishable key
    body = await request.body()
    service = service_of(request)
    source = principal.key_id or principal.name
    got = await run_in_threadpool(service.receive_events, body, source=f"api:{source}")
    language = language_of(request)
    faults = [
        {
            "row": f.row, "field": f.field, "code": f.code, "record": f.record,
            "message": _said(f.code, language, f.numbers),
        }
        for f in got.faults
    ]  # fmt: skip
    counts = {
        name: getattr(got, name) for name in ("received", "accepted", "rejected", "duplicate")
    }
    return answered({**counts, "faults": faults})


def _said(code: str, language: str, numbers: Any) -> str:
    return render(code, language, numbers) if code in codes() else code


@routes.get("/v1/shelf", responses={200: {"model": bodies.ShelfAnswer}}, tags=["shelf"])
def shelf(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("shelf.read"))],
    scene: Word = "home",
    channel: Word = "web",
    city_tier: Annotated[int | None, Query(ge=1, le=6)] = None,
    region: Name = None,
    branch: Name = None,
    session: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = "",
    lang: Lang = None,
) -> Response:
    """Return the shelf of a signed-in customer; of nobody, one that no profile was read for."""
    service, language = service_of(request), language_of(request)
    asked = Asked(
        channel=channel, scene=scene, city_tier=city_tier, session_id=session, region=region,
        branch_id=branch,
    )  # fmt: skip
    made = service.shelf(principal.customer_id, asked)
    v = made.versions
    return answered(
        {
            "trace_id": made.trace_id,
            "personalised": made.personalised,
            "policy": made.policy,
            "versions": {
                "snapshot": v.snapshot, "model": v.model, "plan": v.plan, "catalog": v.catalog,
                "consent": v.consent,
            },
            "offers": [_offer(service, made, offer, language) for offer in made.offers],
            "content": [
                _piece(piece, language) for piece in service.pieces_beside(made)
            ],
        }
    )  # fmt: skip


def _offer(service: Service, made: Shelf, offer: Any, language: str) -> dict[str, Any]:
    facts = service.offer_facts(offer.product_id)
    learnt = made.personalised and made.versions.model != "none"
    same = (
        "product_class", "currency", "rate_bps", "all_in_bps", "example_amount_minor",
        "example_term_days", "example_cost_minor",
    )  # fmt: skip
    return {
        "position": offer.position,
        "product_id": offer.product_id,
        "product_version": offer.product_version,
        "institution_id": offer.institution_id,
        "name": facts[f"name_{language}"],
        "institution": facts[f"institution_{language}"],
        **{name: facts[name] for name in same},
        "p_approval": round(offer.p_approval, 4) if learnt else None,
        "approval_odds": _odds(service, offer, (learnt, made.arms), language),
        "reasons": [reason_text(reason, language) for reason in offer.reasons],
    }


def _odds(
    service: Service, offer: Any, shown: tuple[bool, str | None], language: str
) -> dict[str, Any] | None:
    """Return the approval odds that hold for an offer, or None: then nothing may be said.

    ``shown``: whether a model spoke of this customer, and the shelf's arms of experiments.
    """
    learnt, arms = shown
    said = service.live.badge(
        offer.product_id, offer.p_approval, personalised=learnt, arms=arms
    )  # fmt: skip
    if said is None:
        return None
    names = ("cases", "level", "share", "lower", "confidence")
    return {
        "text": reason_text(said, language)["text"], "as_of": said.numbers["day"],
        **{name: said.numbers[name] for name in names},
    }  # fmt: skip


def _piece(piece: Any, language: str) -> dict[str, str]:
    title, body = (
        (piece.title_zh, piece.body_zh) if language == "zh" else (piece.title_en, piece.body_en)
    )
    return {"content_id": piece.content_id, "topic": piece.topic, "title": title, "body": body}


@routes.get(
    "/v1/products/{product_id}", responses={200: {"model": bodies.ProductAnswer}}, tags=["products"]
)
def product(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("product.read"))],
    product_id: ProductId,
    amount_minor: Annotated[int | None, Query(ge=1, le=10**13)] = None,
    term_days: Annotated[int | None, Query(ge=1, le=18_250)] = None,
) -> Response:
    """Return a product with its whole cost table, for its own example or for another."""
    from jinqiao.flow.desk import cost_of, product_show

    engine = service_of(request).engine
    row = product_show(engine, product_id)
    if amount_minor is not None or term_days is not None:
        row["cost"] = cost_of(engine, product_id, amount_minor=amount_minor, term_days=term_days)
    return answered({name: row[name] for name in bodies.ProductAnswer.model_fields})


@routes.get(
    "/v1/products/{product_id}/why", responses={200: {"model": bodies.WhyAnswer}}, tags=["products"]
)
def why(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("shelf.read"))],
    product_id: ProductId,
    scene: Word = "home",
    channel: Word = "web",
    city_tier: Annotated[int | None, Query(ge=1, le=6)] = None,
    region: Name = None,
    branch: Name = None,
    lang: Lang = None,
) -> Response:
    """Return why a product is, or is not, on the asker's shelf now: six steps with reasons."""
    service, language = service_of(request), language_of(request)
    asked = Asked(
        channel=channel, scene=scene, city_tier=city_tier, region=region, branch_id=branch
    )
    steps = service.why(principal.customer_id, asked, product_id)
    return answered(
        {
            "product_id": product_id,
            "shown": all(step.allowed for step in steps),
            "steps": [
                {
                    "step": step.step,
                    "allowed": step.allowed,
                    "reasons": [reason_text(reason, language) for reason in step.reasons],
                }
                for step in steps
            ],
        }
    )


@routes.post("/v1/clicks", responses={200: {"model": bodies.ClickAnswer}}, tags=["shelf"])
def click(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("click.create"))],
    asked: bodies.ClickAsked,
    key: Key = None,
    lang: Lang = None,
) -> Response:
    """Leave for an institution: reserve a unit and get the address, or learn that none is left."""
    service, language = service_of(request), language_of(request)
    row = service.click_row(asked.trace_id, asked.position)
    authorise(principal, "click.create", Resource(customer_id=service.owner_of(row)))

    def work(tx: Any) -> tuple[int, Any]:
        out = service.click_out(row, branch_id=asked.branch_id, tx=tx)
        return 200, {
            "click_id": out.click.click_id,
            "application_id": out.click.application_id,
            "allowed": out.decision.allowed,
            "url": out.url or None,
            "expires_at": out.click.expires_at.isoformat(),
            "reasons": [reason_text(reason, language) for reason in out.decision.reasons],
        }

    body = f"POST /v1/clicks {asked.model_dump_json()} {language}".encode()
    answer = service.answer_once(principal, key, body, work)
    headers = {"idempotent-replayed": "true"} if answer.repeated else {}
    return Response(json_bytes(answer.body), answer.status, headers, "application/json")


@routes.get("/v1/consents", responses={200: {"model": bodies.ConsentsAnswer}}, tags=["consent"])
def consents(
    request: Request, principal: Annotated[Principal, Depends(Asks("consent.write"))]
) -> Response:
    """Return, purpose by purpose, what the customer agreed to and by which words."""
    from jinqiao.flow.people import consent_choices

    rows = consent_choices(service_of(request).engine, principal.customer_id or "")
    return answered({"consents": rows})


@routes.post(
    "/v1/consents", responses={201: {"model": bodies.ConsentAnswer}}, status_code=201,
    tags=["consent"],
)  # fmt: skip
def grant(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("consent.write"))],
    asked: bodies.ConsentAsked,
) -> Response:
    """Grant a purpose; the very next shelf follows it."""
    return _consented(request, principal, asked.purpose, True, asked.text_version)


@routes.delete(
    "/v1/consents/{purpose}", responses={200: {"model": bodies.ConsentAnswer}}, tags=["consent"]
)
def withdraw(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("consent.write"))],
    purpose: bodies.PurposeName,
) -> Response:
    """Withdraw a purpose; the very next shelf follows it."""
    return _consented(request, principal, purpose, False, "")


def _consented(
    request: Request, principal: Principal, purpose: str, granted: bool, text: str
) -> Response:
    from jinqiao.flow.people import say_consent

    made = say_consent(
        service_of(request).engine, principal.customer_id or "", Purpose(purpose),
        granted=granted, channel="api", text_version=text,
    )  # fmt: skip
    names = tuple(bodies.ConsentAnswer.model_fields)
    return answered({name: made[name] for name in names}, 201 if granted else 200)


@routes.get("/v1/customer/export", tags=["customer"])
def export(
    request: Request, principal: Annotated[Principal, Depends(Asks("customer.export"))]
) -> Response:
    """Return everything kept of the customer who asks."""
    from jinqiao.flow.people import export_customer

    return answered(plain(export_customer(service_of(request).engine, _self(principal))))


@routes.delete("/v1/customer", responses={200: {"model": bodies.Erased}}, tags=["customer"])
def erase(
    request: Request, principal: Annotated[Principal, Depends(Asks("customer.erase"))]
) -> Response:
    """Erase the customer who asks: keys and mapping are destroyed, and the session is over."""
    from jinqiao.flow.people import erase_customer

    engine = service_of(request).engine
    return answered(erase_customer(engine, _self(principal), actor="customer"))


def _self(principal: Principal) -> str:
    if principal.customer_id is None:
        raise NotFound("whose data?", fix="ask with the customer's own session")
    return principal.customer_id
