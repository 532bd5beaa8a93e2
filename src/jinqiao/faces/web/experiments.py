"""Handlers of the operator's pages of experiments: all of them, one of them, and its stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from jinqiao.domain.decision import Reason
from jinqiao.domain.messages import sentence
from jinqiao.faces.cli_experiment import metric_name, metric_text
from jinqiao.faces.web.rendering import page
from jinqiao.flow import access
from jinqiao.flow.access import Role
from jinqiao.flow.pages.experiments import experiment_page, experiments_page

if TYPE_CHECKING:
    from starlette.responses import Response

    from jinqiao.faces.web.visit import Visit

__all__ = ["experiment", "experiments", "stop"]


def experiments(visit: Visit) -> Response:
    """Return everything ever run, with what was found of it last."""
    if visit.principal.role == Role.NOBODY:
        return RedirectResponse("/desk", status_code=303)
    access.authorise(visit.principal, "experiment.read")
    rows = experiments_page(visit.engine)
    return page(visit, "experiments.html", rows=rows, **_words(visit))


def experiment(visit: Visit) -> Response:
    """Return one experiment as of now, with its intervals drawn."""
    if visit.principal.role == Role.NOBODY:
        return RedirectResponse("/desk", status_code=303)
    access.authorise(visit.principal, "experiment.read")
    found = experiment_page(visit.engine, visit.parts["experiment_id"], visit.language)
    return page(visit, "experiment.html", one=found, **_words(visit))


def stop(visit: Visit) -> Response:
    """Stop an experiment by the form of its page, with the reason that was written."""
    from jinqiao.flow.experiments import stop_experiment

    who = visit.operator("experiment.manage")
    name, why = visit.parts["experiment_id"], visit.form.get("why", "")
    stop_experiment(visit.engine, name, actor=who.name, why=why)
    return RedirectResponse(f"/experiments/{name}", status_code=303)


def _words(visit: Visit) -> dict[str, Any]:
    """Return how a page names a metric, writes its values, and tells a verdict."""
    language = visit.language
    currency = visit.engine.settings.marketplace.currency

    def name(metric: str) -> str:
        return metric_name(metric, language)

    def value(metric: str, number: float | None, change: str = "") -> str:
        return metric_text(metric, number, currency, change=change)

    def verdict(told: dict[str, Any]) -> str:
        numbers = dict(told["numbers"])
        for key in ("metric", "metrics"):
            if key in numbers:
                numbers[key] = ", ".join(name(one) for one in str(numbers[key]).split(", "))
        return sentence(Reason(told["code"], numbers), language)

    return {"metric": name, "value": value, "verdict": verdict}
