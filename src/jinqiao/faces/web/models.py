"""Handler of the operator's page of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from jinqiao.faces.web.rendering import page
from jinqiao.flow import access
from jinqiao.flow.access import Role
from jinqiao.flow.pages.models import models_page

if TYPE_CHECKING:
    from starlette.responses import Response

    from jinqiao.faces.web.visit import Visit

__all__ = ["models"]


def models(visit: Visit) -> Response:
    """Return the models on record, the champion's figures and the drift of recent days."""
    if visit.principal.role == Role.NOBODY:
        return RedirectResponse("/desk", status_code=303)
    access.authorise(visit.principal, "model.read")
    return page(visit, "models.html", found=models_page(visit.engine, visit.language))
