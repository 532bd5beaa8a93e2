"""A marketplace at work: who asks, shelves, click-outs, reports, and what keeps all of it current.

``Service`` holds one ``Live``. Two threads look after it: one reads what was stopped and what is
left of limits; the other writes the decision log, drains outcomes and swaps in a new snapshot.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jinqiao.domain.content import Material
from jinqiao.domain.decision import Decision
from jinqiao.domain.ids import keyed_id
from jinqiao.domain.shelf import Context, Shelf
from jinqiao.domain.stage import ProductClass
from jinqiao.domain.time import from_us
from jinqiao.errors import NotFound, Unauthenticated, Unavailable
from jinqiao.flow import access
from jinqiao.flow.explain import with_no_offer
from jinqiao.flow.live import ClickedOut, Live, open_live, receive_within
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    from jinqiao.conversion import Receipt
    from jinqiao.events import Received
    from jinqiao.store.base import Tx

__all__ = ["Asked", "Service", "offer_facts", "open_service"]

FLUSH_S = 0.25
EXPIRE_S = 30.0
COMPACT_S = 600.0
RETIRED_S = 60.0
_RECENT = 20_000


class Asked:
    """Where and how a shelf is asked for; what is left out is the ordinary."""

    __slots__ = (
        "branch_id", "channel", "city_tier", "region", "scene", "session_id", "source",
        "visit_cost_minor",
    )  # fmt: skip

    def __init__(
        self, *, channel: str = "web", scene: str = "home", source: str = "own",
        session_id: str = "", visit_cost_minor: int = 0, city_tier: int | None = None,
        region: str | None = None, branch_id: str | None = None,
    ) -> None:  # fmt: skip
        self.channel, self.scene, self.source = channel, scene, source
        self.session_id, self.visit_cost_minor = session_id, visit_cost_minor
        self.city_tier = city_tier
        self.region, self.branch_id = region or None, branch_id or None

    def context(self, now_us: int) -> Context:
        """Return the context of an instant; without a session id one is made of the instant."""
        session = self.session_id or keyed_id("ses", now_us, id(self))
        return Context(
            from_us(now_us), session, self.channel, self.scene, self.source,
            self.visit_cost_minor, self.city_tier, self.region, self.branch_id,
        )  # fmt: skip


class Service:
    """An engine at work for callers. Verbs may be called from several threads."""

    def __init__(
        self, engine: Engine, live: Live | None = None, *,
        log: Callable[[str, BaseException], None] | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine
        self._live = live
        self._version = live.serving.versions.snapshot if live else None
        self._retired: list[tuple[float, Live]] = []
        self._recent: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._seen_s = time.monotonic()
        self._compacted_s = self._expired_s = time.monotonic()
        self._pieces: tuple[Material, ...] | None = None
        self._facts: dict[str, dict[str, Any]] = {}
        self._facts_of: Live | None = None
        self.log = log or (lambda step, error: None)

    # -- what keeps it current ----------------------------------------------------------------

    @property
    def live(self) -> Live:
        """The snapshot at work; raises Unavailable before anything was published."""
        if self._live is None:
            raise Unavailable("nothing is published yet", fix="run `jinqiao publish`")
        return self._live

    def start(self) -> None:
        """Begin to look after what is served, and make one shelf so that the next is quick."""
        if self._live is not None:
            warm_up(self._live)
        pause = self.engine.settings.serve.stop_check_seconds
        for name, work, wait in (("watch", self.watch, pause), ("keep", self.keep, FLUSH_S)):
            thread = threading.Thread(
                target=self._again, args=(name, work, wait), name=f"jinqiao-{name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End the threads, and write down what is not written yet."""
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self._threads.clear()
        self.flush()
        self._drain()

    def _again(self, name: str, work: Callable[[], None], wait_s: float) -> None:
        while not self._ending.wait(wait_s):
            try:
                work()
            except Exception as error:
                self.log(name, error)

    def watch(self) -> None:
        """Read what was stopped and what is left of every limit, once."""
        if self._live is not None:
            self._live.refresh()
        self._seen_s = time.monotonic()

    def keep(self) -> None:
        """Write the log, drain outcomes, take up a new snapshot; now and then tidy up."""
        self.flush()
        self._drain()
        self.take_up()
        if time.monotonic() - self._expired_s > EXPIRE_S:
            self._expired_s = time.monotonic()
            self._expire()
        if time.monotonic() - self._compacted_s > COMPACT_S:
            self._compacted_s = time.monotonic()
            self._tidy()

    def flush(self) -> int:
        """Write down every decision that is not in the lake yet; return how many rows."""
        lives = [live for _, live in self._retired]
        if self._live is not None:
            lives.append(self._live)
        count = sum(live.flush() for live in lives)
        now = time.monotonic()
        self._retired = [(at, live) for at, live in self._retired if now - at < RETIRED_S]
        return count

    def _expire(self) -> None:
        """Free units whose hold has passed, and answers kept for retries that are a day old."""
        from jinqiao.flow import daily

        now = self.engine.clock()
        daily.expire_holds(self.engine, now)
        with self.engine.writing() as tx:
            access.drop_answers(tx, now_us=now)

    def _drain(self) -> None:
        from jinqiao.flow import daily

        daily.drain_outcomes(self.engine)

    def take_up(self) -> bool:
        """Serve a newly published snapshot; return whether there was one. No request waits."""
        version = self.engine.snapshots.current_version()
        if version is None or version == self._version:
            return False
        fresh = open_live(self.engine)
        warm_up(fresh)
        old, self._live, self._version = self._live, fresh, version
        self._pieces = None
        if old is not None:
            self._retired.append((time.monotonic(), old))
        return True

    def _tidy(self) -> None:
        from jinqiao.domain.tables import DECISIONS, EMPTY_SHELVES, OUTCOMES

        for schema in (DECISIONS, EMPTY_SHELVES, OUTCOMES):
            self.engine.lake.compact(schema, files_min=16)
        with self.engine.writing() as tx:
            access.drop_answers(tx, now_us=self.engine.clock())

    def state(self) -> dict[str, Any]:
        """Return what is served, how old it is, and since when limits were looked at."""
        from jinqiao.flow.desk import snapshot_state

        return {
            **snapshot_state(self.engine),
            "serving": self._version,
            "checked_s": round(time.monotonic() - self._seen_s, 3),
        }

    # -- who asks -------------------------------------------------------------------------------

    def principal(self, authorization: str | None) -> access.Principal:
        """Return who a request speaks for, a customer with the customer id.

        Raises Unauthenticated for what is not valid now, and for a customer who was erased.
        """
        from jinqiao.flow.people import find_login

        engine = self.engine
        if not authorization:
            return access.NOBODY
        with engine.records.reading() as tx:
            found = access.principal_of(tx, engine.keyring, authorization, now_us=engine.clock())
            if found.role is not access.Role.CUSTOMER:
                return found
            customer_id = find_login(tx, engine, found.user_id or "")
        if customer_id is None:
            raise Unauthenticated("this session's customer is not known any more")
        return replace(found, customer_id=customer_id)

    def signed(
        self, institution_id: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[access.Principal, str]:
        """Return the institution that signed a body, and the message's id."""
        engine = self.engine
        with engine.records.reading() as tx:
            message_id = access.verify_webhook(
                tx, engine.keyring, institution_id, headers, body, now_us=engine.clock()
            )
        return access.Principal(access.Role.INSTITUTION, institution_id=institution_id), message_id

    # -- shelves --------------------------------------------------------------------------------

    def shelf(self, customer_id: str | None, asked: Asked) -> Shelf:
        """Return a shelf with its reasons and the pieces beside it; the decision is logged."""
        live, now = self.live, self.engine.clock()
        shelves = live.rank(live.request(customer_id, asked.context(now)), log=False)
        rows, empty = shelves.rows(), shelves.empty_rows()
        live.log(rows, empty)
        made = shelves.record(0)
        told = rows.to_pylist() or [with_no_offer(row) for row in empty.to_pylist()]
        self._remember(made.trace_id, told)
        pieces = self.pieces_beside(made, live)
        return replace(made, content_ids=tuple(piece.content_id for piece in pieces))

    def pieces_beside(self, shelf: Shelf, live: Live | None = None) -> tuple[Material, ...]:
        """Return the approved pieces that stand beside a shelf, best first."""
        from jinqiao import content
        from jinqiao.flow.pieces import approved_pieces

        if self._pieces is None:
            self._pieces = approved_pieces(self.engine)
        catalog = (live or self.live).catalog
        kinds = [catalog.product(offer.product_id) for offer in shelf.offers]
        classes: list[ProductClass] = [kind.product_class for kind in kinds if kind]
        return content.rank(self._pieces, classes)

    def offer_facts(self, product_id: str) -> dict[str, Any]:
        """Return what is said of a product on a shelf: names, class, cost of its example."""
        live = self.live
        if self._facts_of is not live:
            self._facts, self._facts_of = offer_facts(live), live
        return self._facts[product_id]

    def why(self, customer_id: str | None, asked: Asked, product_id: str) -> tuple[Decision, ...]:
        """Return why a product is or is not on a customer's shelf now, step by step."""
        return self.live.explain(customer_id, asked.context(self.engine.clock()), product_id)

    def _remember(self, trace_id: str, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            self._recent[trace_id] = rows
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def decision_rows(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the logged rows of a shelf, top first: kept in process, or from the lake.

        A shelf that held nothing is one row of position 0, with the reason.
        Raises NotFound for a trace that was never served.
        """
        from jinqiao.flow.explain import logged_rows

        with self._lock:
            rows = self._recent.get(trace_id)
        return rows if rows is not None else logged_rows(self.engine, trace_id)

    def owner_of(self, row: Mapping[str, Any]) -> str | None:
        """Return the customer a logged row belongs to now, None for nobody's or an erased one."""
        from jinqiao import customer

        if not row["customer_id"]:
            return None
        with self.engine.records.reading() as tx:
            try:
                return customer.customer_of(tx, row["customer_id"])
            except NotFound:
                return None

    # -- click-outs and reports -----------------------------------------------------------------

    def click_row(self, trace_id: str, position: int) -> dict[str, Any]:
        """Return the logged row of one offer; raise NotFound when it was not shown."""
        for row in self.decision_rows(trace_id):
            if row["position"] == position:
                return row
        raise NotFound("nothing was shown there", record=trace_id, field="position")

    def click_out(
        self, row: Mapping[str, Any], *, branch_id: str | None = None, tx: Tx | None = None
    ) -> ClickedOut:
        """Return where a customer goes, or why not: one unit of every limit is reserved.

        Without a branch named here it is the one the shelf was asked for on behalf of.
        """
        click = {
            **{name: row[name] for name in _CLICKED},
            "clicked_us": self.engine.clock(),
            "branch_id": branch_id or row.get("branch_id"),
        }
        if tx is not None:
            return self.live.click_out_within(tx, [click])[0]
        return self.live.click_out_many([click])[0]

    def answer_once(
        self, principal: access.Principal, key: str | None, request: bytes,
        work: Callable[[Tx], tuple[int, Any]],
    ) -> access.Answer:  # fmt: skip
        """Return the answer of work done in one durable transaction; with a key, only once a day.

        ``work`` returns a status and a plain body.
        """
        now = self.engine.clock()

        def step(tx: Tx) -> access.Answer:
            if not key:
                return access.Answer(*work(tx))
            return access.answer_once(
                tx, principal, key, request, lambda: access.Answer(*work(tx)), now_us=now
            )

        done = self.engine.write(step, durable=True)
        assert isinstance(done, access.Answer)
        return done

    def receive_reports(
        self, institution_id: str, reports: Sequence[Mapping[str, Any]], tx: Tx
    ) -> Receipt:
        """Return what became of an institution's reports, plain values as they came.

        Raises SchemaError naming the report and field that cannot be read at all.
        """
        from jinqiao.flow.bulk import report_rows, report_table

        now = self.engine.clock()
        rows = report_rows(reports, received_us=now, institution_id=institution_id)
        return receive_within(tx, report_table(rows), now_us=now)

    def receive_events(self, body: bytes, *, source: str) -> Received:
        """Return what became of a ``/v1/batch`` body."""
        from jinqiao.flow import intake

        return intake.receive_messages(self.engine, body, source=source)


_CLICKED = ("trace_id", "position", "product_id", "product_version", "customer_id")


def warm_up(live: Live) -> None:
    """Make one shelf of nobody's and one of the first profile's; neither is shown or logged."""
    from jinqiao.shelf import Requests

    context = Asked().context(live.engine.clock())
    live.rank(Requests.one(context), log=False)
    if live.serving.profiles.num_rows:
        first = Requests.one(context, customer=0, customer_id="warm", consent_version="warm")
        live.rank(first, log=False)


def offer_facts(live: Live) -> dict[str, dict[str, Any]]:
    """Return, by product id, what is said of each product of a snapshot."""
    found = {}
    for row in live.serving.products.to_pylist():
        product = live.catalog.product(row["product_id"])
        house = live.catalog.institution(row["institution_id"])
        found[row["product_id"]] = {
            "product_class": row["product_class"],
            "name_zh": product.name_zh if product else row["product_id"],
            "name_en": product.name_en if product else row["product_id"],
            "institution_zh": house.name_zh if house else row["institution_id"],
            "institution_en": house.name_en if house else row["institution_id"],
            "currency": product.currency if product else live.engine.settings.marketplace.currency,
            "rate_bps": row["rate_bps"],
            "all_in_bps": row["all_in_bps"],
            "example_amount_minor": row["reference_amount_minor"],
            "example_term_days": row["reference_term_days"],
            "example_cost_minor": row["all_in_cost_minor"],
        }
    return found


def open_service(engine: Engine, **options: Any) -> Service:
    """Return a service of what is published, or one that waits for the first snapshot."""
    try:
        return Service(engine, open_live(engine), **options)
    except Unavailable as error:
        if engine.snapshots.current_version() is not None:
            raise error from None
        return Service(engine, **options)
