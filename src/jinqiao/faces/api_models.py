"""Routes of models: on record, compared, promoted, rolled back, and how far the days drift."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jinqiao.faces.api_asks import Asks, service_of
from jinqiao.faces.api_customer import answered
from jinqiao.faces.output import plain
from jinqiao.flow.access import Principal

__all__ = ["routes"]

routes = APIRouter(tags=["models"])
ModelId = Annotated[
    str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.:+-]+$", description="`champion`: the one.")
]
Verdict = Literal["stable", "moderate", "major", "too_few"]


class StageFigures(BaseModel):
    """Out of time; None where there were too few cases to judge."""

    chosen: str
    rows: int
    yes: float
    log_loss: float | None
    log_loss_ci: list[float] | None
    auc: float | None
    auc_ci: list[float] | None
    ece: float | None
    ece_floor: float | None = Field(description="What a perfectly calibrated model would show.")
    ece_floor_most: float | None


class ModelRow(BaseModel):
    model_id: str
    kind: str
    status: Literal["challenger", "champion", "retired", "rolled_back"]
    purpose: str
    trained_as_of: str
    data_sha256: str
    seed: int
    code_version: str
    dictionary_version: str
    files_sha256: str
    shown_offers: int
    parent_id: str | None
    former_id: str | None
    registered_at: str
    registered_by: str
    metrics: dict[str, StageFigures]


class DecisionRow(BaseModel):
    number: int
    model_id: str
    action: Literal["registered", "promoted", "refused", "held", "rolled_back", "restored"]
    actor: str
    decided_at: str
    reason: str
    forced: bool
    other_id: str | None
    comparison: dict[str, Any]


class ModelsAnswer(BaseModel):
    models: list[ModelRow]
    decisions: list[DecisionRow]
    held: bool = Field(description="A rollback stands: nothing is promoted but by name.")


class ModelAnswer(BaseModel):
    model: ModelRow
    card: dict[str, Any]
    decisions: list[DecisionRow]


class PromotionAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=2000, description="Recorded; needed with `force`.")
    force: bool = Field(default=False, description="Even one that was not found no worse.")


class RollbackAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=2000, description="Recorded.")


class RollbackAnswer(BaseModel):
    gone: ModelRow
    champion: ModelRow


class DriftDay(BaseModel):
    day: str
    customers: int
    learnt: bool = Field(description="The model was trained on this day.")


class DriftRow(BaseModel):
    day: str
    kind: Literal["score", "feature"]
    name: str
    psi: float
    floor: float = Field(description="Its mean where nothing drifted.")
    chance: float = Field(description="Its 99.99 % quantile where nothing drifted.")
    cases: int
    verdict: Verdict


class DriftAnswer(BaseModel):
    model_id: str
    moderate: float
    major: float
    source: str
    days: list[DriftDay]
    rows: list[DriftRow]
    alarms: list[DriftRow]


@routes.get("/v1/models", responses={200: {"model": ModelsAnswer}})
def models(
    request: Request, principal: Annotated[Principal, Depends(Asks("model.read"))]
) -> Response:
    """Return every model on record and every decision about them, newest first."""
    from jinqiao.flow.model_record import model_list

    return answered(plain(model_list(service_of(request).engine)))


@routes.get("/v1/models/{model_id}", responses={200: {"model": ModelAnswer}})
def model(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("model.read"))],
    model_id: ModelId,
) -> Response:
    """Return one model with its card (data, settings, features with purposes) and decisions."""
    from jinqiao.flow.model_record import model_show

    return answered(plain(model_show(service_of(request).engine, _named(model_id))))


@routes.get("/v1/models/{model_id}/drift", responses={200: {"model": DriftAnswer}})
def drift(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("model.read"))],
    model_id: ModelId,
    days: Annotated[int, Query(ge=1, le=366)] = 28,
) -> Response:
    """Return how far each day's features and chances lie from the training rows (PSI)."""
    from jinqiao.flow.model_drift import model_drift
    from jinqiao.flow.model_drift import plain as rows_of

    found = model_drift(service_of(request).engine, _named(model_id), days=days)
    return answered(plain(rows_of(found)))


@routes.post("/v1/models/rollback", responses={200: {"model": RollbackAnswer}})
def rollback(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("model.promote"))],
    asked: RollbackAsked,
) -> Response:
    """Put the former champion back; the next publish serves it."""
    from jinqiao.flow.model_record import roll_back_model

    engine = service_of(request).engine
    return answered(plain(roll_back_model(engine, actor=principal.name, reason=asked.reason)))


@routes.post("/v1/models/{model_id}/promote", responses={200: {"model": ModelRow}})
def promote(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("model.promote"))],
    model_id: ModelId,
    asked: PromotionAsked,
) -> Response:
    """Make a model the champion; the next publish serves it."""
    from jinqiao.flow.model_record import promote_model

    row = promote_model(
        service_of(request).engine, model_id, actor=principal.name, reason=asked.reason,
        force=asked.force,
    )  # fmt: skip
    return answered(plain(row))


def _named(model_id: str) -> str:
    return "" if model_id == "champion" else model_id
