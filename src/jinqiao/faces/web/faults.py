"""Error pages: what went wrong, in words, with an id to quote; the detail stays with us."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from jinqiao.errors import JinqiaoError
from jinqiao.faces.status import status_of as errors_status
from jinqiao.faces.web.rendering import page

if TYPE_CHECKING:
    from jinqiao.faces.web.visit import Visit

__all__ = ["fault_page", "status_of"]

_LOG = logging.getLogger("jinqiao.pages")
_TOLD = frozenset({400, 401, 403, 404, 429, 503})


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error, 500 for one that nobody foresaw."""
    if isinstance(error, HTTPException):
        return error.status_code
    return errors_status(error).http if isinstance(error, JinqiaoError) else 500


def fault_page(visit: Visit, error: Exception) -> Response:
    """Return the page of an error with its trace id, which is in the log too."""
    status = status_of(error)
    trace = visit.trace_id
    code = error.code if isinstance(error, JinqiaoError) else type(error).__name__
    if status >= 500:
        _LOG.error("%s %s %s", trace, visit.path, code, exc_info=error)
    else:
        _LOG.info("%s %s %s", trace, visit.path, code)
    if visit.path.startswith("/v1/"):
        return _problem(status, trace)
    known = status if status in _TOLD else 404 if status == 405 else 400 if status < 500 else 500
    answer = page(visit, "fault.html", status=status, known=known, trace=trace)
    if status == 429:
        answer.headers["retry-after"] = "10"
    return answer


def _problem(status: int, trace: str) -> Response:
    body = {"type": "about:blank", "status": status, "title": "Not Found", "trace_id": trace}
    return Response(json.dumps(body), status_code=status, media_type="application/problem+json")
