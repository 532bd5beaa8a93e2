"""The operator's page: indicators, plots, the plan's certificate; and the desk's own session."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinqiao.domain.catalog import Catalog
from jinqiao.domain.metric import Metric
from jinqiao.domain.time import from_us
from jinqiao.errors import Forbidden, Unauthenticated, Unavailable
from jinqiao.flow import access
from jinqiao.flow.access import Principal, Role

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["DESK_SECONDS", "OperatorPage", "issue_desk", "open_desk", "operator_page"]

DESK_SECONDS = 3_600
_SECOND_US = 1_000_000
_WINDOWS = (7, 28, 84)
_LIMITS = 15


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit with a price: whose it is, in both languages, what it counts, how full it is."""

    name_zh: str
    name_en: str
    scope: str
    measure: str
    stage: str
    period: str
    used: float
    limit: float
    price_minor: float


@dataclass(frozen=True, slots=True)
class OperatorPage:
    """``plan`` is {} before one is published; ``limits`` are its dearest, dearest first."""

    window_days: int
    windows: tuple[int, ...]
    metrics: tuple[Metric, ...]
    texts: dict[str, tuple[str, str, str]]
    plots: tuple[str, ...]
    plan: dict[str, Any]
    limits: tuple[LimitView, ...]
    as_of: datetime
    currency: str


def issue_desk(engine: Engine, secret: str) -> str:
    """Return the desk cookie of an operator's key: its id and an hour, signed; not the key.

    Raises Unauthenticated for a key that is not alive, Forbidden for another role's.
    """
    now = engine.clock()
    with engine.records.reading() as tx:
        who = access.principal_of(tx, engine.keyring, f"Bearer {secret.strip()}", now_us=now)
    access.authorise(who, "report.read")
    if who.role != Role.OPERATOR or who.key_id is None:
        raise Forbidden("not an operator's key", field="key")
    body = f"{who.key_id}:{now // _SECOND_US + DESK_SECONDS}"
    return base64.urlsafe_b64encode(f"{body}:{_mark(engine, body)}".encode()).decode()


def open_desk(engine: Engine, cookie: str) -> Principal:
    """Return the operator a desk cookie stands for, while it and its key are alive.

    Raises Unauthenticated for any other.
    """
    try:
        key_id, ends, mark = base64.urlsafe_b64decode(cookie.encode()).decode().split(":")
    except (ValueError, binascii.Error) as error:
        raise Unauthenticated("not a desk session", field="cookie") from error
    now = engine.clock()
    good = hmac.compare_digest(mark, _mark(engine, f"{key_id}:{ends}"))
    if not good or not ends.isdigit() or now >= int(ends) * _SECOND_US:
        raise Unauthenticated("this desk session has ended", field="cookie")
    with engine.records.reading() as tx:
        row = tx.get("access_keys", {"key_id": key_id})
    over = row is None or any(
        at is not None and at <= now for at in (row["revoked_at"], row["expires_at"])
    )
    if over or row is None:
        raise Unauthenticated("the key behind this session has ended", field="cookie")
    return Principal(Role(row["role"]), scopes=frozenset(row["scopes"]), key_id=key_id)


def _mark(engine: Engine, body: str) -> str:
    return hmac.digest(engine.keyring.derived("desk"), body.encode(), "sha256").hex()


def operator_page(engine: Engine, language: str, *, window_days: int = 28) -> OperatorPage:
    """Return the three families of indicators, their plots, and the plan with its prices."""
    from jinqiao.flow.desk import plan_report
    from jinqiao.flow.indicators import indicators_of

    days = window_days if window_days in _WINDOWS else 28
    metrics = indicators_of(engine, window_days=days)
    currency = engine.settings.marketplace.currency
    try:
        plan = plan_report(engine)
    except Unavailable:
        plan = {}
    dear = [one for one in plan.get("limits", ()) if one["price_minor"] > 0][:_LIMITS]
    catalog = engine.catalog()
    limits = tuple(_limit(catalog, one) for one in dear)
    return OperatorPage(
        days, _WINDOWS, metrics, {m.name: _texts(m, currency) for m in metrics},
        _plots(engine, metrics, language, days), plan, limits, from_us(engine.clock()), currency,
    )  # fmt: skip


def _limit(catalog: Catalog, row: dict[str, Any]) -> LimitView:
    """Return a plan's row by the names of what it limits; its own name where it has none."""
    scope, _, rest = row["limit"].partition(":")
    parts = rest.partition("@")[0].split(":")
    owner = parts[0]
    thing = catalog.product(owner) or catalog.institution(owner)
    zh, en = (thing.name_zh, thing.name_en) if thing else (row["limit"], row["limit"])
    stage, period = (parts[2], parts[3]) if len(parts) == 4 else ("", "")
    return LimitView(
        zh, en, scope, row["measure"], stage, period, row["used"], row["limit_units"],
        row["price_minor"],
    )  # fmt: skip


def _texts(metric: Metric, currency: str) -> tuple[str, str, str]:
    from jinqiao.insight.report import value_text

    ends = (metric.value, metric.lower, metric.upper)
    value, lower, upper = (value_text(metric, end, currency=currency) for end in ends)
    return value, lower, upper


def _plots(
    engine: Engine, metrics: tuple[Metric, ...], language: str, days: int
) -> tuple[str, ...]:
    from datetime import date, timedelta

    from jinqiao import insight
    from jinqiao.domain.messages import render

    found = insight.daily(engine.lake, as_of_us=engine.clock(), window_days=days)
    columns = ("visits", "impressions", "clicks", "applications")
    names = {one: render(f"page_report_{one}", language) for one in columns}
    steps = [insight.Bar(name, x, f"{x:,.0f}") for name, x in _funnel(metrics, language)]
    epoch = date(1970, 1, 1)
    labels = [(epoch + timedelta(days=day)).isoformat() for day in found["day"].to_pylist()]
    lines = {names[one]: found[one].to_pylist() for one in columns if one != "impressions"}
    plots = [
        insight.svg_funnel(render("page_report_funnel", language), steps),
        insight.svg_trend(render("page_report_trend", language), labels, lines),
    ]
    by_class = next((m for m in metrics if m.name == "applications"), None)
    if by_class is not None and by_class.breakdown:
        bars = [
            insight.Bar(_class_name(label, language), value, f"{value:,.0f}")
            for label, value in by_class.breakdown
        ]
        plots.append(insight.svg_bars(render("page_report_by_class", language), bars))
    return tuple(plots)


def _funnel(metrics: tuple[Metric, ...], language: str) -> list[tuple[str, float]]:
    """Return clicks and what became of them: one cohort, so that no step exceeds the one before."""
    from jinqiao.domain.messages import render

    known = {m.name: m for m in metrics}
    first = known["click_to_application"]
    counts = (
        first.denominator, first.numerator, known["application_to_approval"].numerator,
        known["approval_to_activation"].numerator,
    )  # fmt: skip
    names = ("clicks", "applications", "approvals", "activations")
    return [
        (render(f"page_report_{name}", language), float(count or 0))
        for name, count in zip(names, counts, strict=True)
    ]


def _class_name(label: str, language: str) -> str:
    from jinqiao.domain.messages import codes, render

    code = f"page_class_{label}"
    return render(code, language) if code in codes() else label
