"""Serving, one sentence: rank, record, click out, post.

``Live`` holds one snapshot and the little that changes under it: what is left of limits, what was
stopped, the decisions not yet in the lake. The same object serves one request or a day's sessions.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao import catalog as catalogs
from jinqiao import conversion, customer, insight, shelf
from jinqiao.domain.application import Click, Postback
from jinqiao.domain.catalog import Catalog, Product
from jinqiao.domain.consent import Purpose
from jinqiao.domain.decision import Decision, Reason
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.late import LateReports
from jinqiao.domain.shelf import Context, Shelf
from jinqiao.domain.tables import DECISIONS, EMPTY_SHELVES, TableSchema
from jinqiao.errors import NotFound, Unavailable
from jinqiao.flow import odds
from jinqiao.flow.arms import Arms, Parted, compiled
from jinqiao.flow.odds import Odds
from jinqiao.flow.pacing import Pacer, read_pacer
from jinqiao.flow.wiring import Engine
from jinqiao.shelf import Explainers, Requests, Serving, Shelves

if TYPE_CHECKING:
    from jinqiao.propensity import ChainModel
    from jinqiao.store.base import Tx

__all__ = ["ClickedOut", "Live", "open_live", "receive_reports", "receive_within"]

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class ClickedOut:
    """A click-out: allowed with a place to go, or not, and why."""

    click: Click
    decision: Decision
    url: str = ""


class Live:
    """One snapshot at work. Verbs may be called from several threads."""

    def __init__(
        self, engine: Engine, serving: Serving, catalog: Catalog, model: ChainModel | None = None
    ) -> None:
        self.engine = engine
        self.serving = serving
        self.catalog = catalog
        self.model = model
        self.pacer: Pacer | None = None
        self.odds: Odds | None = None
        self.left: NDArray[np.int64] | None = None
        self.stopped: NDArray[np.bool_] | None = None
        self.late: LateReports | None = None
        self.arms: Arms | None = None
        self.branch_left: dict[str, NDArray[np.int64]] = {}
        self._pending: list[tuple[pa.Table, pa.Table | None]] = []
        self._writing: list[tuple[pa.Table, pa.Table | None]] = []
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._products: dict[str, Product] = {p.product_id: p for p in catalog.products()}
        self._place = {name: i for i, name in enumerate(serving.product_ids)}

    def refresh(self, now_us: int | None = None) -> None:
        """Read what is left of every limit, what was stopped and which experiments run, once."""
        now = self.engine.clock() if now_us is None else now_us
        with self.engine.records.reading() as tx:
            self.late = conversion.late_reports(tx)
            limits = catalogs.limit_rows(tx, self.catalog, now, self.late)
            off = catalogs.stopped(tx)
            trials = insight.running_trials(tx)
        self.left, self.branch_left = self._units(limits)
        if self.pacer is not None:
            self.serving = self.pacer.serving(self.serving, limits, now)
        self.stopped = np.array([name in off for name in self.serving.product_ids], np.bool_)
        self.arms = compiled(self.engine, trials, self.serving, self.arms)

    def _units(self, limits: pa.Table) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
        """Return the units left of each product's tightest limit, (P,); and so by branch.

        A branch's limits count for its own institution's products, beside those that always do.
        """
        left = np.full(self.serving.n_products, np.iinfo(np.int64).max, np.int64)
        house = self.serving.products["institution_id"].to_pylist()
        of_house: dict[str, list[int]] = {}
        for i, name in enumerate(house):
            of_house.setdefault(name, []).append(i)
        lines = limits.to_pylist()
        for line in lines:
            if line["branch_id"] is None:
                self._tighten(left, line, of_house)
        branches: dict[str, NDArray[np.int64]] = {}
        for line in lines:
            if line["branch_id"] is not None:
                own = branches.setdefault(line["branch_id"], left.copy())
                self._tighten(own, line, of_house)
        return left, branches

    def _tighten(
        self, left: NDArray[np.int64], line: Mapping[str, Any], of_house: Mapping[str, list[int]]
    ) -> None:
        """Bring what is left of products down to one limit's."""
        name = line["product_id"]
        if name is None:
            places = of_house.get(line["institution_id"], [])
        else:  # a product of a newer catalog is not served by this snapshot
            places = [self._place[name]] if name in self._place else []
        for i in places:
            least = int(self.serving.payout_minor[i]) if line["measure"] == "money" else 1
            left[i] = min(left[i], line["left"] // max(least, 1))

    def left_for(self, requests: Requests) -> NDArray[np.int64] | None:
        """Return what is left for requests: (P,), or (r, P) where some are a branch's."""
        if requests.branch_id is None or self.left is None:
            return self.left
        rows = [
            self.branch_left.get(name or "", self.left) for name in requests.branch_id.to_pylist()
        ]
        return rows[0] if len(rows) == 1 else np.stack(rows)

    def at_place(self, context: Context) -> Context:
        """Return a context with the region of its branch, where it names no other.

        Raises NotFound for a branch that no institution has.
        """
        if context.branch_id is None:
            return context
        for house in self.catalog.institutions:
            for branch in house.branches:
                if branch.branch_id == context.branch_id:
                    return replace(context, region=context.region or branch.region)
        raise NotFound("no such branch", record=context.branch_id, field="branch_id")

    def rank(
        self, requests: Requests, *, policy: str = "plan", log: bool = True
    ) -> Shelves | Parted:
        """Return the shelf of every request, and keep the decisions for the log.

        Under the plan each request is served as the arms of running experiments say that it is in.
        """
        shelves = self._ranked(requests, policy)
        if log:
            self.log(shelves.rows(), shelves.empty_rows())
        return shelves

    def _ranked(self, requests: Requests, policy: str) -> Shelves | Parted:
        arms = self.arms if policy == "plan" else None
        if arms is None:
            return self._made(self.serving, requests, policy)
        requests, texts = arms.assigned(requests)
        if len(set(texts)) <= 1:
            serving, by = arms.serving(texts[0] if texts else None)
            return self._made(serving, requests, by)
        found = np.array([text or "" for text in texts], dtype=object)
        parts = []
        for text in sorted(set(found.tolist())):
            rows, (serving, by) = np.flatnonzero(found == text), arms.serving(text)
            parts.append((rows, self._made(serving, requests.take(rows), by)))
        return Parted(len(requests), tuple(parts))

    def _made(self, serving: Serving, requests: Requests, policy: str) -> Shelves:
        return shelf.rank(
            serving, requests, left=self.left_for(requests), stopped=self.stopped, policy=policy
        )

    def in_arms(self, requests: Requests) -> tuple[Requests, Serving, str]:
        """Return one request with the arms it is in, what serves it, and by which policy."""
        if self.arms is None:
            return requests, self.serving, "plan"
        requests, texts = self.arms.assigned(requests)
        return requests, *self.arms.serving(texts[0])

    def log(self, rows: pa.Table, empty: pa.Table | None = None) -> None:
        """Keep decision rows, and the shelves that held nothing, until the next ``flush``."""
        with self._lock:
            self._pending.append((rows, empty))

    def waiting(self) -> tuple[pa.Table, ...]:
        """Return the decision rows that are not in the lake yet, oldest first."""
        with self._lock:
            return tuple(rows for rows, _ in (*self._writing, *self._pending))

    def flush(self) -> int:
        """Append the kept decisions to the lake in one batch; return how many rows."""
        with self._flushing:
            with self._lock:
                waiting, self._pending = self._pending, []
                self._writing = waiting
            try:
                count = self._append(DECISIONS, "dec", [rows for rows, _ in waiting])
                self._append(EMPTY_SHELVES, "emp", [e for _, e in waiting if e is not None])
            except Exception:
                with self._lock:
                    self._pending = [*waiting, *self._pending]
                raise
            finally:
                with self._lock:
                    self._writing = []
            return count

    def _append(self, schema: TableSchema, name: str, tables: Sequence[pa.Table]) -> int:
        """Append tables to the lake in one batch; what it holds already is not written again."""
        full = [table for table in tables if table.num_rows]
        if not full:
            return 0
        rows = pa.concat_tables(full)
        batch = keyed_id(name, rows["trace_id"][0], rows["trace_id"][-1], rows.num_rows)
        self.engine.lake.append(schema, rows, batch_id=batch)
        return int(rows.num_rows)

    def requests(self, sessions: pa.Table, customers: Mapping[str, str],
                 consents: Mapping[str, str]) -> Requests:  # fmt: skip
        """Return the requests of a SESSIONS table.

        ``customers`` maps a user id to its customer id, ``consents`` a customer id to the version
        of its standing consent to personalise.
        """
        ids = [customers.get(user, "") for user in sessions["user_id"].to_pylist()]
        rows = self.serving.index.rows(ids)
        return Requests.of_sessions(sessions, rows, ids, [consents.get(i) for i in ids])

    def request(
        self, customer_id: str | None, context: Context, *, trace_id: str | None = None
    ) -> Requests:
        """Return one request; consent is read now, so a withdrawal changes the very next shelf.

        Asked for on behalf of a branch, its region is the branch's where it names none.
        """
        context = self.at_place(context)
        if not customer_id:
            return Requests.one(context, trace_id=trace_id)
        version = self.consent_version(customer_id)
        row = self.serving.index.find(customer_id)
        return Requests.one(
            context, customer=row, customer_id=customer_id, consent_version=version,
            trace_id=trace_id,
        )  # fmt: skip

    def consent_version(self, customer_id: str) -> str | None:
        """Return the version of a customer's standing consent to personalise, or None."""
        now = self.engine.clock()
        with self.engine.records.reading() as tx:
            if not customer.consent_allows(tx, customer_id, Purpose.PERSONALISE, now).allowed:
                return None
            said = [
                event
                for event in customer.consents(tx, customer_id)
                if event.purpose is Purpose.PERSONALISE
            ]
        return f"{said[-1].text_version}:{said[-1].consent_id}" if said else None

    def shelf(self, customer_id: str | None, context: Context, *, policy: str = "plan") -> Shelf:
        """Return one customer's shelf with its reasons; the decision is kept for the log."""
        requests = self.request(customer_id, context)
        shelves = self.rank(requests, policy=policy)
        return shelves.record(0)

    def preview(self, customer_id: str | None, context: Context) -> Shelf:
        """Return a shelf that nobody was shown: nothing is logged."""
        return self.rank(self.request(customer_id, context), log=False).record(0)

    def explain(
        self, customer_id: str | None, context: Context, product_id: str,
        *, trace_id: str | None = None, policy: str = "plan",
    ) -> tuple[Decision, ...]:  # fmt: skip
        """Return why a product is or is not on a customer's shelf, step by step."""
        requests, serving = self.request(customer_id, context, trace_id=trace_id), self.serving
        if policy == "plan":
            requests, serving, policy = self.in_arms(requests)
        return shelf.explain(
            serving, requests, product_id, explainers=self.explainers(context, serving),
            left=self.left_for(requests), stopped=self.stopped, policy=policy,
        )  # fmt: skip

    def badge(
        self, product_id: str, p_approval: float, *, personalised: bool, arms: str | None = None
    ) -> Reason | None:
        """Return the approval odds that may be said beside an offer, or None.

        ``arms`` of the shelf: an experiment may leave them unsaid.
        """
        if self.arms is not None and self.arms.changes(arms).get("badge") is False:
            return None
        said = self.odds_told(product_id, p_approval) if personalised else None
        return said if said is not None and said.code == "odds_badge" else None

    def odds_told(self, product_id: str, p_approval: float) -> Reason | None:
        """Return the badge of an offer at a logged chance, or why none may stand there."""
        product = self._products.get(product_id)
        if product is None or self.serving.versions.model == "none":
            return None
        return odds.told(self.odds, product.institution_id, product.product_class, p_approval)

    def explainers(self, context: Context, by: Serving | None = None) -> Explainers:
        """Return how eligibility, suitability and the model's chances are told.

        ``by``: what the shelf was served from, where an experiment gives it another model.
        """
        from jinqiao import policy, propensity
        from jinqiao.domain.time import local_date, to_us

        engine, serving, model = self.engine, self.serving, self.model
        if by is not None and by.chances is not serving.chances:
            model = getattr(by.chances, "model", model)
        day = local_date(to_us(context.at), engine.settings.marketplace.zone)
        order = [self._products.get(name) for name in serving.product_ids]

        def facts(row: int) -> dict[str, Any]:
            found: dict[str, Any] = serving.profiles.slice(row, 1).to_pylist()[0]
            return found

        def eligibility(row: int, product: int) -> Decision:
            one = order[product]
            if one is None:  # withdrawn since the snapshot was made
                return Decision(False, "eligibility", (Reason("shelf_stopped"),))
            return catalogs.explain_eligibility(one, facts(row), engine.dictionary)

        def suitability(row: int, product: int) -> Decision:
            one = order[product]
            if one is None:
                return Decision(True, "suitability")
            return policy.suitability(one, facts(row), engine.jurisdiction, day)

        def contributions(row: int, product: int) -> tuple[Reason, ...]:
            if model is None:
                return ()
            moment = propensity.ContextColumns.single(
                to_us(context.at), channel=context.channel, scene=context.scene,
                source=context.source,
                city_tier=float("nan") if context.city_tier is None else context.city_tier,
            )  # fmt: skip
            return propensity.reasons(
                model, serving.profiles, serving.products, (row, product), moment,
                dictionary=engine.dictionary,
            )  # fmt: skip

        def promised(product: int, p_approval: float) -> tuple[Reason, ...]:
            said = self.odds_told(serving.product_ids[product], p_approval)
            return () if said is None else (said,)

        return Explainers(eligibility, suitability, contributions, promised)

    def click_out(
        self, shelf_: Mapping[str, Any], *, now_us: int | None = None, branch_id: str | None = None
    ) -> ClickedOut:
        """Return where a customer goes who clicks an offer: one unit of every limit is reserved.

        ``shelf_``: trace_id, position, product_id, product_version, customer_id, and the branch the
        shelf was asked for on behalf of, which ``branch_id`` overrules. Clicking again gives the
        same answer. Sold out is a decision, not an error.
        """
        now = self.engine.clock() if now_us is None else now_us
        branch = branch_id or shelf_.get("branch_id")
        return self.click_out_many([dict(shelf_, clicked_us=now, branch_id=branch)])[0]

    def click_out_many(self, clicks: Sequence[Mapping[str, Any]]) -> list[ClickedOut]:
        """Return the same for many clicks in time order, in one durable transaction."""
        if not clicks:
            return []

        def step(tx: Any) -> list[ClickedOut]:
            return self.click_out_within(tx, clicks)

        done = self.engine.write(step, durable=True)
        assert isinstance(done, list)
        return done

    def click_out_within(self, tx: Tx, clicks: Sequence[Mapping[str, Any]]) -> list[ClickedOut]:
        """Return the same inside a transaction that is open already."""
        outs = [self._out(click) for click in clicks]
        recorded = conversion.record_clicks(tx, outs, key=self.engine.keyring.click)
        fresh = [
            catalogs.Reservation(c.click_id, c.product_id, out.clicked_us, out.branch_id, None)
            for c, out in zip(recorded, outs, strict=True)
        ]
        off = catalogs.stopped(tx)
        if off != self.catalog.stopped:  # stopped or resumed since the shelf was made
            self.catalog = replace(self.catalog, stopped=off)
        late = self.late or conversion.late_reports(tx)
        decisions = catalogs.reserve_many(tx, self.catalog, fresh, late)
        gone = [c.click_id for c, d in zip(recorded, decisions, strict=True) if not d.allowed]
        if gone:
            conversion.mark_sold_out(tx, gone)
        both = zip(recorded, decisions, strict=True)
        back = [c.click_id for c, d in both if d.allowed and not c.reserved]
        if back:  # sold out when first clicked, and a unit came free since
            conversion.mark_left(tx, back)
        return [
            ClickedOut(replace(c, reserved=d.allowed), d, self._url(c) if d.allowed else "")
            for c, d in zip(recorded, decisions, strict=True)
        ]

    def _out(self, click: Mapping[str, Any]) -> conversion.ClickOut:
        product = self._products.get(click["product_id"])
        if product is None:
            raise NotFound("no such product on sale", record=str(click["product_id"]))
        at = int(click["clicked_us"])
        return conversion.ClickOut(
            trace_id=click["trace_id"],
            position=int(click["position"]),
            customer_id=click["customer_id"] or "",
            product_id=product.product_id,
            institution_id=product.institution_id,
            product_version=int(click["product_version"]),
            product_class=product.product_class,
            currency=product.currency,
            clicked_us=at,
            expires_us=at + product.delivery.hold_hours * _HOUR_US,
            branch_id=click.get("branch_id"),
        )

    def _url(self, click: Click) -> str:
        product = self._products[click.product_id]
        if not product.delivery.url:  # the institution comes to the customer: a lead, or a file
            return ""
        mark = "&" if "?" in product.delivery.url else "?"
        return f"{product.delivery.url}{mark}click_id={click.click_id}"

    def receive(
        self, postbacks: Sequence[Postback] | pa.Table, *, now_us: int | None = None
    ) -> conversion.Receipt:
        """Return what became of institutions' reports; units of limits move in the same
        transaction, which is on disk before this returns.
        """
        return receive_reports(self.engine, postbacks, now_us=now_us)


def receive_reports(
    engine: Engine, postbacks: Sequence[Postback] | pa.Table, *, now_us: int | None = None
) -> conversion.Receipt:
    """Return what became of institutions' reports, in any order, each harmless to repeat."""
    now = engine.clock() if now_us is None else now_us

    def step(tx: Any) -> conversion.Receipt:
        return receive_within(tx, postbacks, now_us=now)

    done = engine.write(step, durable=True)
    assert isinstance(done, conversion.Receipt)
    return done


def receive_within(
    tx: Tx, postbacks: Sequence[Postback] | pa.Table, *, now_us: int
) -> conversion.Receipt:
    """Return the same inside a transaction that is open already."""
    receipt = conversion.receive(tx, postbacks, now_us=now_us)
    catalogs.move(tx, receipt.moves, now_us)
    return receipt


def open_live(engine: Engine, folder: Path | None = None) -> Live:
    """Return the current snapshot (or a kept one's folder) at work.

    Raises Unavailable when there is none yet.
    """
    from jinqiao import propensity

    folder = engine.snapshots.current() if folder is None else folder
    if folder is None:
        raise Unavailable("nothing is published yet", fix="run `jinqiao publish`")
    model = None
    if (folder / "model").is_dir():
        model = propensity.load(folder / "model", dictionary=engine.dictionary)
    serving = shelf.read(folder / "serving")
    if model is not None:
        scorer = propensity.Scorer(model, serving.profiles, serving.products)
        serving = replace(serving, chances=scorer)
    live = Live(engine, serving, engine.catalog(), model)
    live.pacer = read_pacer(folder / "pacing", serving)
    live.odds = odds.read_odds(folder / "odds.json")
    live.refresh()
    return live
