"""Templates, filled: one environment, escaped by default, the same names on every page."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse

from jinqiao.faces.web.figures import figure_of, kind_of
from jinqiao.faces.web.wording import Wording

if TYPE_CHECKING:
    from starlette.responses import Response

    from jinqiao.faces.web.visit import Visit

__all__ = ["page", "style_digest", "style_text"]

NEEDS = ("borrow", "grow", "protect", "everyday")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("jinqiao.faces.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def style_text() -> str:
    """Return the one style sheet."""
    path = resources.files("jinqiao.faces.web") / "static" / "jinqiao.css"
    return path.read_text(encoding="utf-8")


@cache
def style_digest() -> str:
    """Return what the style sheet's address changes with."""
    return hashlib.sha256(style_text().encode()).hexdigest()[:12]


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page filled with values; ``w`` writes numbers and codes."""
    market = visit.engine.settings.marketplace
    wording = Wording(visit.language, market.zone)
    text = _environment().get_template(template).render(
        w=wording, t=wording.t, visit=visit, market=market, lang=visit.language, needs=NEEDS,
        other="en" if visit.language == "zh" else "zh", switch=_switch(visit),
        style=style_digest(), drawn=_drawn, kind_of=kind_of,
        figure=lambda view: figure_of(wording, view), **values,
    )  # fmt: skip
    return HTMLResponse(text, status_code=status)


def _switch(visit: Visit) -> str:
    """Return the address of this page in the other language."""
    path = "/shelf" if visit.path == "/go" else visit.path
    kept = [(k, v) for k, v in visit.query.multi_items() if k not in ("lang", "token")]
    other = "en" if visit.language == "zh" else "zh"
    return f"{path}?{urlencode([*kept, ('lang', other)])}"


def _drawn(svg: str) -> Markup:
    """Return a plot of our own for the page, its style left to the style sheet."""
    return Markup(svg.replace(' style="max-width:100%;height:auto"', ""))  # noqa: S704
