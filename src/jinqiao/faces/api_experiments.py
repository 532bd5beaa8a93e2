"""Routes of experiments: start, list, show, stop; the operator's alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from jinqiao.domain.experiment import Arm, Guardrail
from jinqiao.faces.api_asks import Asks, service_of
from jinqiao.faces.api_customer import answered
from jinqiao.faces.cli_experiment import trial_of
from jinqiao.faces.output import plain
from jinqiao.flow.access import Principal

__all__ = ["routes"]

routes = APIRouter(tags=["experiments"])
ExperimentId = Annotated[str, Path(max_length=48, pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Scalar = bool | int | float | str


class ArmBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=48)
    share: float
    changes: dict[str, Scalar] = Field(default={}, description="Setting → value; the control: {}.")


class RailBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    metric: str
    worse: Literal["up", "down"]
    most: float = 0.0


class ExperimentAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    experiment_id: str = Field(max_length=48, description="Used once, kept for ever.")
    name: str = Field(default="", max_length=128)
    hypothesis: str = Field(max_length=4_000)
    metrics: list[str] = Field(description="The first decides.")
    arms: list[ArmBody] = Field(description="The first is the control.")
    guardrails: list[RailBody] = []
    holdout: float = 0.0
    unit: Literal["customer", "session"] = "customer"
    layer: str = ""
    traffic: float = 1.0
    salt: str = Field(default="", max_length=64)


class StopAsked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=1, max_length=4_000)


class VerdictBody(BaseModel):
    code: str
    numbers: dict[str, Any]


class LastFound(BaseModel):
    as_of: str
    verdict: VerdictBody


class DifferenceRow(BaseModel):
    metric: str
    arm: str
    control_value: float | None
    arm_value: float | None
    difference: float | None
    lower: float | None = Field(description="Of an interval that holds at every look at once.")
    upper: float | None
    narrowed: float | None = Field(description="Share of variance that the past took away.")
    decided: bool
    better: bool | None


class RailRow(DifferenceRow):
    worse: str
    most: float
    broken: bool


class SplitRow(BaseModel):
    p: float = Field(description="How likely so uneven a split is by chance, at any look.")
    whole: bool


class Found(BaseModel):
    as_of: str
    units: dict[str, int]
    held_out: int
    crossed: int = Field(description="Seen in two arms, left out.")
    open_offers: int = Field(description="Counted by what is to be expected of them.")
    shelves: int
    split: SplitRow
    metrics: list[DifferenceRow]
    stages: list[DifferenceRow]
    guardrails: list[RailRow]
    verdict: VerdictBody


class ExperimentRow(BaseModel):
    experiment_id: str
    name: str
    hypothesis: str
    unit: str
    salt: str
    holdout: float
    layer: str
    running: bool
    metrics: list[str]
    arms: list[ArmBody]
    traffic: float
    slice: list[float]
    guardrails: list[RailBody]
    versions: dict[str, str]
    started_at: str
    started_by: str
    stopped_at: str | None
    stopped_by: str
    stopped_why: str


class ListedExperiment(ExperimentRow):
    last: LastFound | None


class ExperimentsAnswer(BaseModel):
    experiments: list[ListedExperiment]


class ExperimentAnswer(ExperimentRow):
    found: Found


@routes.get("/v1/experiments", responses={200: {"model": ExperimentsAnswer}})
def experiments(
    request: Request, principal: Annotated[Principal, Depends(Asks("experiment.read"))]
) -> Response:
    """Return everything ever run, newest first, with what was found of it last."""
    from jinqiao.flow.experiments import experiment_list

    return answered({"experiments": plain(experiment_list(service_of(request).engine))})


@routes.post("/v1/experiments", responses={201: {"model": ExperimentRow}}, status_code=201)
def start(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("experiment.manage"))],
    asked: ExperimentAsked,
) -> Response:
    """Start an experiment: every server has it within a second."""
    from jinqiao.flow.experiments import start_experiment

    trial = trial_of(
        asked.experiment_id, name=asked.name, hypothesis=asked.hypothesis, metrics=asked.metrics,
        arms=[Arm(arm.name, arm.share, arm.changes) for arm in asked.arms],
        guardrails=[Guardrail(rail.metric, rail.worse, rail.most) for rail in asked.guardrails],
        holdout=asked.holdout, unit=asked.unit, layer=asked.layer, traffic=asked.traffic,
        salt=asked.salt,
    )  # fmt: skip
    engine = service_of(request).engine
    return answered(plain(start_experiment(engine, trial, actor=principal.name)), 201)


@routes.get("/v1/experiments/{experiment_id}", responses={200: {"model": ExperimentAnswer}})
def show(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("experiment.read"))],
    experiment_id: ExperimentId,
) -> Response:
    """Return an experiment with what it finds now; ask any day."""
    from jinqiao.flow.experiments import experiment_show

    return answered(plain(experiment_show(service_of(request).engine, experiment_id)))


@routes.post("/v1/experiments/{experiment_id}/stop", responses={200: {"model": ExperimentAnswer}})
def stop(
    request: Request,
    principal: Annotated[Principal, Depends(Asks("experiment.manage"))],
    experiment_id: ExperimentId,
    asked: StopAsked,
) -> Response:
    """Stop an experiment for everybody within a second; what it found is kept."""
    from jinqiao.flow.experiments import stop_experiment

    row = stop_experiment(
        service_of(request).engine, experiment_id, actor=principal.name, why=asked.why
    )
    return answered(plain(row))
