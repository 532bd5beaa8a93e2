"""Reach of a product that is not launched yet: a curve over payout and quota, from the plan.

The draft is read from an institution file and joins the catalog in thought alone. Its pairs are
scored by the chain that serves (whose rates for a product nobody has seen are those of its class)
and by the rules of its own file; what it displaces comes from the published plan's problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import catalog as catalogs
from jinqiao import match, policy
from jinqiao.domain.catalog import Catalog, Institution, Product
from jinqiao.domain.money import Money
from jinqiao.domain.time import DAY_US, local_date
from jinqiao.engines.worth import expected_applications, expected_payout, pair_value
from jinqiao.errors import InputError, NotFound
from jinqiao.flow.kept import Kept, read_problem
from jinqiao.flow.plan import everyone_at
from jinqiao.flow.whatif import moved_products
from jinqiao.shelf import Schedules, Serving
from jinqiao.shelf.scoring import Scores, score

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["Draft", "curve_svg", "draft_of", "forecast", "numbers_of"]

_SPREAD = 0.5
"""Log spread of the chances of products of a class where too few are on sale to measure it."""
_FEW = 3
_MOST_DISPLACED = 5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draft:
    """A product to come and the institution whose limits it will share."""

    product: Product
    institution: Institution


def numbers_of(text: str, field: str) -> tuple[float, ...]:
    """Return the numbers > 0 of a text such as "100,200,300".

    Raises InputError naming the field for anything else.
    """
    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = ()
    if not found or not all(0 < number < 1e12 for number in found):
        raise InputError(f"{text!r} are no numbers above 0", record="forecast", field=field,
                         fix="write them as 100,200,300")  # fmt: skip
    return tuple(dict.fromkeys(found))


def draft_of(engine: Engine, given: str) -> Draft:
    """Return the draft of a file (``FILE`` or ``FILE#PRODUCT``), or of an id in institutions/.

    Raises NotFound for neither, InputError for a file with faults or with several new products,
    and for a product that is on sale in the published plan.
    """
    path, _, wanted = given.partition("#")
    if Path(path).is_file():
        text = Path(path).read_text(encoding="utf-8")
        files = catalogs.read_files({Path(path).name: text})
        _refuse_faults(engine, files)
        return _chosen(files.catalog, wanted, engine.catalog(), given)
    files = catalogs.read_files(engine.workspace.institutions)
    found = files.catalog.product(given) or engine.catalog().product(given)
    if found is None:
        raise NotFound("no such product or file", record=given,
                       fix="name a product of institutions/, or a draft's YAML file")  # fmt: skip
    house = files.catalog.institution(found.institution_id) or engine.catalog().institution(
        found.institution_id
    )
    assert house is not None
    return Draft(found, house)


def _refuse_faults(engine: Engine, files: catalogs.Files) -> None:
    day = local_date(engine.clock(), engine.settings.marketplace.zone)
    faults = catalogs.check(files, engine.jurisdictions, engine.dictionary, day)
    if faults:
        first = faults[0]
        raise InputError(first.message, record=f"{first.file}:{first.line}", field=first.path,
                         fix=first.fix)  # fmt: skip


def _chosen(found: Catalog, wanted: str, known: Catalog, given: str) -> Draft:
    products = list(found.products())
    if wanted:
        products = [one for one in products if one.product_id == wanted]
    elif len(products) > 1:
        products = [one for one in products if known.product(one.product_id) is None]
    if len(products) != 1:
        names = ", ".join(one.product_id for one in found.products())
        raise InputError("which of its products?", record=given, field="product",
                         fix=f"say FILE#PRODUCT with one of {names}")  # fmt: skip
    house = found.institution(products[0].institution_id)
    assert house is not None
    return Draft(products[0], house)


def forecast(
    engine: Engine, given: str, *, payouts: Sequence[float], quotas: Sequence[float]
) -> dict[str, Any]:
    """Return what a draft would reach over the published plan's days, a point a payout and quota.

    ``payouts``: what one paid unit pays, in the currency's own unit. ``quotas``: expected
    applications over the plan's days. Nothing is written.
    """
    kept = read_problem(engine)
    draft = draft_of(engine, given)
    if draft.product.product_id in kept.products:
        raise InputError("it is in the published plan already", record=draft.product.product_id,
                         field="product", fix="ask `jinqiao plan whatif quota …`")  # fmt: skip
    currency = draft.product.currency
    pairs = _pairs(engine, kept, draft)
    minor = {p: Money.parse(f"{p:g}", currency).amount_minor for p in payouts}
    launches = {p: pairs.launch(float(amount)) for p, amount in minor.items()}
    spread, measured = _spread(kept.serving, draft.product)
    points = match.forecast(kept.standing, launches=launches, quotas=quotas, spread=spread)
    names = [*kept.products, draft.product.product_id]
    return {
        **kept.about(),
        "product_id": draft.product.product_id,
        "institution_id": draft.institution.institution_id,
        "product_class": draft.product.product_class.value,
        "currency": currency,
        "eligible_customers": len(pairs.customer),
        "interval": {"share": 0.9, "log_spread": spread, "products_measured": measured},
        "points": [_told(point, names) for point in points],
    }  # fmt: skip


def _told(point: match.ForecastPoint, names: Sequence[str]) -> dict[str, Any]:
    def three(one: match.Expected) -> dict[str, float]:
        return {"mean": one.mean, "low": one.low, "high": one.high}

    others = [row for row in moved_products(names, point.answer) if row["product_id"] != names[-1]]
    c = point.answer.certificate
    return {
        "payout": point.payout, "quota": point.quota, "customers": point.customers,
        "impressions": three(point.impressions), "applications": three(point.applications),
        "approvals": three(point.approvals), "price_minor": point.price,
        "value_change_minor": point.value_change,
        "displaced_offers": sum(row["left"] - row["entered"] for row in others),
        "displaced": others[:_MOST_DISPLACED],
        "certificate": {
            "primal_minor": c.primal, "dual_bound_minor": c.dual_bound, "gap": c.gap,
            "violation_max": c.violation_max, "passes": c.passes,
        },
    }  # fmt: skip


def curve_svg(found: Mapping[str, Any], language: str = "en") -> str:
    """Return the curve of expected applications over the quota, a line a payout, as SVG text."""
    from jinqiao.insight import svg_curves

    lines: dict[str, list[tuple[float, ...]]] = {}
    for point in found["points"]:
        one = point["applications"]
        place = (point["quota"], one["mean"], one["low"], one["high"])
        lines.setdefault(f"{point['payout']:g} {found['currency']}", []).append(place)
    title = {
        "zh": f"{found['product_id']}：预期进件（按名额与佣金）",
        "en": f"{found['product_id']}: expected applications by quota and payout",
    }[language]
    return svg_curves(title, {name: sorted(points) for name, points in lines.items()})


# -- the draft's pairs ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _DraftPairs:
    """Who may be shown the draft, their chances (k, 4) and worth, and what a pair stands for."""

    customer: Ints
    scores: Scores
    factor: Floats
    impressions: Floats
    paid_stage: int
    counts_in: tuple[str, ...]
    harm_minor: float
    beta: float

    def launch(self, payout_minor: float) -> match.Launch:
        """Return the pairs at a payout."""
        s, stage = self.scores, self.paid_stage
        value = pair_value(
            s.chances, s.worth_minor, payout_minor, stage, self.harm_minor, self.beta
        )
        return match.Launch(
            self.customer, value * self.factor,
            use=expected_applications(s.chances) * self.factor,
            cost=expected_payout(s.chances, payout_minor, stage) * self.factor,
            approval=s.chances[:, 2].astype(np.float64), impressions=self.impressions,
            counts_in=self.counts_in,
        )  # fmt: skip


def _pairs(engine: Engine, kept: Kept, draft: Draft) -> _DraftPairs:
    planned, product = kept.planned, draft.product
    catalog, place = _with_draft(engine.catalog(planned.at_us), draft)
    products = catalogs.product_table(catalog, planned.at_us)
    alone = Catalog((replace(draft.institution, products=(product,)),))
    profiles = kept.serving.profiles
    may = catalogs.eligibility_mask(alone, profiles, engine.dictionary)[:, 0]
    row = products.slice(place, 1)
    day = local_date(planned.at_us, engine.settings.marketplace.zone)
    may &= policy.suitability_mask(row, profiles, engine.jurisdiction, day)[:, 0]
    serving = _serving(engine, kept, row, may)
    customer = np.flatnonzero(may)
    asked = everyone_at(serving, planned.at_us + DAY_US // 2)
    goods = np.full(len(customer), serving.n_products - 1, np.int32)
    scores = score(serving, asked, customer, goods)
    shown = kept.visits[customer] * planned.horizon_days
    rule = serving.settings
    return _DraftPairs(
        customer, scores, shown * kept.examination, shown, int(serving.paid_stage[-1]),
        _counts_in(kept, draft.institution.institution_id), rule.refusal_harm_minor, rule.beta,
    )  # fmt: skip


def _with_draft(catalog: Catalog, draft: Draft) -> tuple[Catalog, int]:
    """Return the catalog with the draft as the last product of its institution, and its place."""
    name = draft.institution.institution_id
    known = catalog.institution(name)
    house = draft.institution if known is None else known
    kept = tuple(
        p for p in (known.products if known else ()) if p.product_id != draft.product.product_id
    )
    house = replace(house, products=(*kept, draft.product))
    others = [i for i in catalog.institutions if i.institution_id != name]
    made = Catalog(
        tuple(sorted((*others, house), key=lambda i: i.institution_id)), catalog.versions,
        catalog.stopped,
    )  # fmt: skip
    ids = [p.product_id for p in made.products()]
    return made, ids.index(draft.product.product_id)


def _serving(engine: Engine, kept: Kept, row: pa.Table, may: NDArray[np.bool_]) -> Serving:
    """Return the snapshot's serving with the draft as its last product, scored by its chain."""
    from jinqiao import propensity
    from jinqiao.propensity import Scorer

    old = kept.serving
    products = pa.concat_tables([old.products, row.cast(old.products.schema)])
    p = old.n_products
    allowed = np.column_stack([old.may_see(np.arange(old.profiles.num_rows)), may])
    chances = None
    if (kept.folder / "model").is_dir():
        model = propensity.load(kept.folder / "model", dictionary=engine.dictionary)
        chances = Scorer(model, old.profiles, products)
    nothing = np.zeros((1, p + 1))
    prices = match.PriceTables(
        np.zeros(old.profiles.num_rows, np.int32), nothing, nothing.copy(), nothing.copy()
    )
    return Serving(
        old.profiles, products, np.packbits(allowed, axis=1), np.append(old.open_to_all, False),
        np.append(old.popularity, 1e-6), np.vstack([old.base_chances, _of_class(old, row)]),
        prices, old.worths, Schedules.of(products), old.settings, old.versions,
        old.feature_as_of_us, chances, old.index,
    )  # fmt: skip


def _of_class(serving: Serving, row: pa.Table) -> NDArray[np.float32]:
    """Return the mean chances of the products of the draft's class, (1, 4); of all, if none."""
    classes = np.array(serving.products["product_class"].to_pylist())
    mine = classes == row["product_class"][0].as_py()
    base = serving.base_chances[mine] if mine.any() else serving.base_chances
    return np.asarray(base.mean(axis=0, keepdims=True), np.float32)


def _counts_in(kept: Kept, institution_id: str) -> tuple[str, ...]:
    """Return the rows a product of an institution counts in: its own, and those of everybody."""
    scope = {
        f"{line['limit_id']}@{line['period_key']}"
        for line in kept.limits.to_pylist()
        if line["institution_id"] == institution_id and line["product_id"] is None
    }
    names = {*scope, f"approval:{institution_id}", "thin_file"}
    return tuple(row.name for row in kept.problem.rows if row.name in names)


def _spread(serving: Serving, product: Product) -> tuple[float, int]:
    """Return how far apart products of a class are in chance of an application, and how many were
    measured: the standard deviation of its logarithm."""
    chance = serving.base_chances[:, 0] * serving.base_chances[:, 1]
    classes = np.array(serving.products["product_class"].to_pylist())
    use = np.log(np.maximum(chance[classes == product.product_class.value], 1e-9))
    if len(use) < _FEW:
        use = np.log(np.maximum(chance, 1e-9))
    if len(use) < _FEW:
        return _SPREAD, 0
    return float(use.std(ddof=1)), len(use)
