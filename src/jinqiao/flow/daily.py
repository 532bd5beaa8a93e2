"""The day's work, one sentence: resolve, build, score, solve, publish; close, settle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao import catalog as catalogs
from jinqiao import customer, policy, profile
from jinqiao.domain.catalog import Catalog
from jinqiao.domain.consent import Purpose
from jinqiao.domain.shelf import Versions
from jinqiao.domain.time import DAY_US, from_us, local_date
from jinqiao.errors import InputError, NotFound
from jinqiao.flow.kept import keep_problem, keep_start, starting_prices
from jinqiao.flow.odds import odds_as_of, write_odds
from jinqiao.flow.pacing import Pacer, write_pacer
from jinqiao.flow.plan import (
    AllPairs,
    Planned,
    PlanPairs,
    all_pairs,
    plan_pairs,
    plan_version,
    scores_of,
    solve_plan,
    visits_a_day,
)
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say
from jinqiao.match import PriceTables
from jinqiao.shelf import Schedules, Serving, Settings, Worths

if TYPE_CHECKING:
    from jinqiao.propensity import ChainModel, TrainingSet
    from jinqiao.settlement import Settled
    from jinqiao.store.base import Tx

__all__ = [
    "Day",
    "Prepared",
    "build_profiles",
    "close",
    "daily",
    "drain_outcomes",
    "expire_holds",
    "learn_late_reports",
    "make_serving",
    "prepare",
    "publish",
    "read_model",
    "replan",
    "train_chain",
    "training_rows",
    "with_plan",
]

EXPIRED_AT_ONCE = 10_000
CLICKS_MIN = 200
"""Below so many clicks nothing is learnt and the base chances stand."""
_BASE_CHANCES = (0.05, 0.2, 0.4, 0.7)
_HISTORY_DAYS = 56


@dataclass(frozen=True, eq=False)
class Day:
    """What a day's work made. ``card`` is None when there was too little to learn from."""

    as_of_us: int
    customers: int
    serving: Serving
    planned: Planned
    model: ChainModel | None
    snapshot: Path | None = None
    settled: Settled | None = None
    notes: tuple[str, ...] = field(default=())


def daily(
    engine: Engine,
    *,
    as_of_us: int | None = None,
    seed: int = 0,
    train: bool = True,
    progress: Progress = nothing_to_say,
) -> Day:
    """Build, score, solve and publish as of an instant, then close the books; return the day.

    A profile snapshot or a model that exists for the same inputs is used again, so a run that was
    cut short goes on where it stopped. What experiments show is kept at the end. Raises NotFound
    when no institution was applied.
    """
    from jinqiao.flow.experiments import keep_results

    as_of = engine.clock() if as_of_us is None else as_of_us
    ready = prepare(engine, as_of, seed=seed, train=train, progress=progress)
    progress("plan", 0.70)
    versions = ready.serving.versions
    warm = starting_prices(engine, plan_version(as_of, versions.catalog, versions.model))
    planned = replan(engine, ready, as_of, seed=seed, warm=warm)
    progress("publish", 0.85)
    serving = with_plan(ready.serving, planned)
    snapshot = publish(engine, serving, planned, ready.model, ready.scored)
    progress("settle", 0.95)
    settled = close(engine, as_of)
    keep_results(engine, as_of)
    progress("done", 1.0)
    customers = serving.profiles.num_rows
    return Day(as_of, customers, serving, planned, ready.model, snapshot, settled, planned.notes)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Profiles scored by a model, at free prices: all of a plan but the limits."""

    serving: Serving
    catalog: Catalog
    model: ChainModel | None
    scored: PlanPairs


def prepare(
    engine: Engine,
    as_of_us: int,
    *,
    seed: int = 0,
    train: bool = True,
    progress: Progress = nothing_to_say,
) -> Prepared:
    """Return every allowed pair scored as of an instant: resolve, build, score."""
    drain_outcomes(engine)
    learn_late_reports(engine, as_of_us)
    progress("profiles", 0.05)
    profiles = build_profiles(engine, as_of_us)
    progress("models", 0.30)
    model = train_chain(engine, as_of_us, seed=seed) if train else read_model(engine)
    progress("scores", 0.55)
    serving, catalog, pairs = make_serving(engine, profiles, model, as_of_us=as_of_us, seed=seed)
    visits = visits_a_day(profiles, engine.settings.plan)
    scored = plan_pairs(serving, pairs, scores_of(serving, pairs), visits)
    return Prepared(serving, catalog, model, scored)


def replan(
    engine: Engine,
    ready: Prepared,
    at_us: int,
    *,
    seed: int = 0,
    days: float | None = None,
    warm: Mapping[str, float] | None = None,
) -> Planned:
    """Return the plan of scored pairs under what is left of every limit at an instant."""
    from jinqiao import conversion

    with engine.records.reading() as tx:
        late = conversion.late_reports(tx)
        limits = catalogs.limit_rows(tx, ready.catalog, at_us, late)
    return solve_plan(
        ready.scored, ready.serving, ready.catalog, limits, engine.settings.plan,
        at_us=at_us, seed=seed, days=days, warm=warm, zone=engine.settings.marketplace.zone,
    )  # fmt: skip


def learn_late_reports(engine: Engine, as_of_us: int) -> int:
    """Count how late reports came of what the lake holds; return of how many clicks."""
    from jinqiao import conversion

    with engine.writing() as tx:
        return conversion.learn_late_reports(tx, engine.lake, as_of_us=as_of_us)


def drain_outcomes(engine: Engine) -> int:
    """Move outcomes from records to the lake; return how many. A crash repeats, never loses."""
    from jinqiao import conversion
    from jinqiao.domain.tables import OUTCOMES

    moved = 0
    while True:
        with engine.records.reading() as tx:
            batch = conversion.drain(tx)
        if batch is None:
            return moved
        engine.lake.append(OUTCOMES, batch.rows, batch_id=batch.batch_id)
        with engine.writing() as tx:
            conversion.mark_drained(tx, batch, now_us=engine.clock())
        moved += len(batch.outcome_ids)


def build_profiles(engine: Engine, as_of_us: int) -> pa.Table:
    """Return the profiles of consenting customers as of an instant, kept in the lake.

    Customers whose consent stands **now** only: a snapshot kept from before a withdrawal does not
    bring anybody back.
    """
    with engine.records.reading() as tx:
        mapped = customer.customer_map(tx)
        consent = customer.consent_state(tx, as_of_us, purpose=Purpose.PERSONALISE)
    kept = engine.lake.read_features(as_of_us, engine.dictionary.version)
    if kept is not None:
        return _consenting(kept, consent)
    table = profile.build(
        engine.lake, mapped, consent, as_of_us=as_of_us, purpose=Purpose.PERSONALISE,
        products=_classes(engine), place=_place(engine),
    )  # fmt: skip
    engine.lake.write_features(as_of_us, engine.dictionary.version, table)
    return table


def _place(engine: Engine) -> profile.Place:
    from zoneinfo import ZoneInfo

    market = engine.settings.marketplace
    offset = from_us(engine.clock()).astimezone(ZoneInfo(market.zone)).utcoffset()
    return profile.Place(market.currency, int(offset.total_seconds() * 1e6) if offset else 0)


def _consenting(profiles: pa.Table, consent: pa.Table) -> pa.Table:
    ids = consent.filter(consent["granted"])["customer_id"].combine_chunks()
    return profiles.filter(pc.is_in(profiles["customer_id"], value_set=ids))


def _classes(engine: Engine) -> pa.Table | None:
    """Return the class of every product ever on sale, or None before there is any."""
    with engine.records.reading() as tx:
        table = catalogs.product_table(catalogs.load(tx), engine.clock())
    return table if table.num_rows else None


def train_chain(
    engine: Engine,
    as_of_us: int,
    *,
    seed: int,
    actor: str = "publish",
    progress: Progress = nothing_to_say,
) -> ChainModel | None:
    """Return the champion after learning from everything known at an instant.

    What is learnt is a challenger, and becomes the champion unless it is worse (``flow.models``).
    None when there was too little to learn from, now and ever.
    """
    from jinqiao.flow.model_record import champion_chain
    from jinqiao.flow.models import train_challenger

    rows = training_rows(engine, as_of_us)
    if rows is not None:
        train_challenger(engine, rows, seed=seed, actor=actor, progress=progress)
    return champion_chain(engine)


def training_rows(engine: Engine, as_of_us: int) -> TrainingSet | None:
    """Return what can be learnt from at an instant, or None when that is too little.

    A click that found no unit is a click: scarce offers would look unwanted otherwise.
    """
    from jinqiao import conversion, propensity

    first = as_of_us - _HISTORY_DAYS * DAY_US
    version = engine.dictionary.version
    moments = [at for at in engine.lake.feature_as_ofs(version) if at <= as_of_us]
    recent = [at for at in moments if at >= first]
    snapshots = {at: engine.lake.read_features(at, version) for at in recent}
    features = {at: table for at, table in snapshots.items() if table is not None}
    if not features or _clicks_known(engine, as_of_us) < CLICKS_MIN:
        return None
    products = _products(engine, as_of_us)
    with engine.records.reading() as tx:
        lost = conversion.sold_out(tx, from_us=first, until_us=as_of_us)
    return propensity.training_set(
        engine.lake, features, products, engine.dictionary, as_of_us=as_of_us, sold_out=lost
    )


def _clicks_known(engine: Engine, as_of_us: int) -> int:
    found = engine.lake.query(
        "select count(*) as n from outcomes where stage = 'click' and polarity = 'reached'"
        " and received_at <= make_timestamp($as_of_us)",
        as_of_us=as_of_us,
    )
    return int(found["n"][0].as_py())


def read_model(engine: Engine) -> ChainModel | None:
    """Return the champion on record, or None before there is one."""
    from jinqiao.flow.model_record import champion_chain

    return champion_chain(engine)


def _products(engine: Engine, at_us: int) -> pa.Table:
    with engine.records.reading() as tx:
        return catalogs.product_table(catalogs.load(tx, at_us), at_us)


def make_serving(
    engine: Engine, profiles: pa.Table, model: ChainModel | None, *, as_of_us: int, seed: int
) -> tuple[Serving, Catalog, AllPairs]:
    """Return what a shelf is made from, at free prices; its catalog; every pair it may show."""
    from jinqiao.propensity import Scorer

    catalog = engine.catalog(as_of_us)
    products = catalogs.product_table(catalog, as_of_us)
    if products.num_rows == 0:
        raise NotFound("no product on sale", fix="put files into institutions/ and apply them")
    rules = engine.settings
    allowed = catalogs.eligibility_mask(catalog, profiles, engine.dictionary)
    day = local_date(as_of_us, rules.marketplace.zone)
    suits = policy.suitability_mask(products, profiles, engine.jurisdiction, day)
    offered = list(catalog.products())
    n, p = profiles.num_rows, len(offered)
    versions = Versions(
        snapshot=f"{from_us(as_of_us).strftime('%Y%m%dT%H%M%SZ')}-{seed}",
        model=model.version if model else "none",
        plan="none",
        catalog=catalog_version(catalog),
        consent=None,
    )
    serving = Serving.of(
        allowed=allowed & suits,
        profiles=profiles,
        products=products,
        open_to_all=_open_to_all(engine, catalog, products, day),
        popularity=np.zeros(p),
        base_chances=np.tile(np.array(_BASE_CHANCES, np.float32), (p, 1)),
        prices=_free(n, p),
        worths=Worths.published(),
        schedules=Schedules.of(
            products,
            [x.schedule.hours for x in offered],
            [x.schedule.channels for x in offered],
            [x.schedule.regions for x in offered],
            [i.zone for i in catalog.institutions for _ in i.products],
        ),
        settings=Settings(
            slots=rules.shelf.slots,
            exploration_share=rules.shelf.exploration_share,
            beta=rules.plan.beta,
            refusal_harm_minor=rules.plan.refusal_harm_minor,
            class_most=rules.shelf.max_per_class,
            institution_most=rules.shelf.max_per_institution,
            seed=seed,
        ),
        versions=versions,
        feature_as_of_us=as_of_us,
        chances=Scorer(model, profiles, products) if model else None,
    )
    pairs = all_pairs(serving, as_of_us)
    return _with_popularity(serving, pairs), catalog, pairs


def catalog_version(catalog: Catalog) -> str:
    """Return the digest of which version of each institution is in force."""
    text = json.dumps([list(pair) for pair in catalog.versions])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _open_to_all(
    engine: Engine, catalog: Catalog, products: pa.Table, day: Any
) -> NDArray[np.bool_]:
    """Return the products that may be shown to somebody of whom nothing is known, (P,)."""
    nobody = pa.table({"customer_id": [""], "customer_kind": pa.array([None], pa.string())})
    suits = policy.suitability_mask(products, nobody, engine.jurisdiction, day)[0]
    free = np.array([not p.eligibility.strip() for p in catalog.products()])
    return np.asarray(free & suits)


def _free(n: int, p: int) -> PriceTables:
    nothing = np.zeros((1, p))
    return PriceTables(np.zeros(n, np.int32), nothing, nothing.copy(), nothing.copy())


def _with_popularity(serving: Serving, pairs: AllPairs) -> Serving:
    """Return the serving with every product's mean value and chances over those it may go to."""
    product, scores = pairs.product, scores_of(serving, pairs)
    p = serving.n_products
    count = np.maximum(np.bincount(product, minlength=p), 1)
    value = np.bincount(product, scores.value_minor, minlength=p) / count
    base = np.stack(
        [np.bincount(product, scores.chances[:, k], minlength=p) / count for k in range(4)], axis=1
    ).astype(np.float32)
    seen = np.bincount(product, minlength=p) > 0
    base = np.where(seen[:, None], base, serving.base_chances)
    return replace(serving, popularity=np.maximum(value, 0.0) + 1e-6, base_chances=base)


def with_plan(serving: Serving, planned: Planned) -> Serving:
    """Return the serving under a plan's prices."""
    from jinqiao import match

    v = serving.versions
    content = f"{planned.version}{v.model}{v.catalog}".encode() + planned.plan.duals.tobytes()
    mark = hashlib.sha256(content).hexdigest()[:8]
    base = v.snapshot.split("+", 1)[0]
    versions = replace(v, plan=planned.version, snapshot=f"{base}+{mark}")
    return replace(serving, prices=match.prices(planned.plan), versions=versions)


def publish(
    engine: Engine, serving: Serving, planned: Planned, model: ChainModel | None,
    scored: PlanPairs | None = None,
) -> Path:  # fmt: skip
    """Write the snapshot, hold it against its own self-test, and make it the current one.

    With ``scored`` the plan's problem is kept beside it, to be asked what-if.

    Raises Unavailable when the self-test fails; the old snapshot then stays current.
    """
    from jinqiao import propensity, shelf
    from jinqiao.propensity import Scorer

    if not np.isfinite(planned.plan.duals).all():
        raise InputError("a price is not finite", record=planned.version, field="duals")

    def write(folder: Path) -> None:
        shelf.write(folder / "serving", serving)
        if model is not None:
            propensity.save(model, folder / "model")
        text = json.dumps(planned.report(), indent=1, ensure_ascii=False)
        (folder / "plan.json").write_text(text, encoding="utf-8")
        zone = engine.settings.marketplace.zone
        write_pacer(folder / "pacing", Pacer.of(planned, zone))
        keep_start(folder, planned)
        write_odds(folder / "odds.json", odds_as_of(engine, serving.feature_as_of_us))
        if scored is not None:
            keep_problem(folder, planned, scored, zone)

    def check(folder: Path) -> None:
        chances = None
        if (folder / "model").is_dir():
            again = propensity.load(folder / "model", dictionary=engine.dictionary)
            chances = Scorer(again, serving.profiles, serving.products)
        shelf.check(folder / "serving", chances=chances)

    return engine.snapshots.publish(serving.versions.snapshot, write, check)


def expire_holds(engine: Engine, now_us: int, progress: Progress = nothing_to_say) -> int:
    """Free the units of click-outs whose hold has passed without a report; return how many.

    However many there are: some ten thousand a transaction, until none is due.
    """
    freed, more = 0, True
    while more:
        with engine.writing() as tx:
            some, more = _expire_some(tx, now_us)
        freed += some
        progress(f"holds that have passed: {freed:,}", 0.0 if more else 1.0)
    return freed


def expire_within(tx: Tx, now_us: int) -> int:
    """Return the same inside a transaction that is open already."""
    freed, more = 0, True
    while more:
        some, more = _expire_some(tx, now_us)
        freed += some
    return freed


def _expire_some(tx: Tx, now_us: int) -> tuple[int, bool]:
    """Free some units; return how many, and whether more may be due."""
    from jinqiao import conversion

    conversion.expire(tx, now_us=now_us, limit=EXPIRED_AT_ONCE)
    freed = catalogs.expire(tx, now_us, limit=EXPIRED_AT_ONCE)
    more = freed == EXPIRED_AT_ONCE or conversion.holds_due(tx, now_us=now_us)
    return freed, more


def close(engine: Engine, as_of_us: int) -> Settled:
    """Expire holds that have passed and settle every application that changed.

    What a click pays, in which currency and by which clock, is what its own catalog version says.
    """
    from jinqiao import conversion, settlement

    expire_holds(engine, as_of_us)
    with engine.writing(durable=True) as tx:
        changed = conversion.unsettled(tx)

        def terms(product_id: str, version: int) -> settlement.PayoutTerms:
            product = catalogs.product_version(tx, product_id, version)
            house = catalogs.institution_version(tx, product_id, version)
            return settlement.PayoutTerms(product.payout, product.currency, house.zone)

        settled = settlement.settle(tx, changed, as_of_us=as_of_us, terms=terms)
        conversion.mark_settled(tx, settled.settled)
    return settled
