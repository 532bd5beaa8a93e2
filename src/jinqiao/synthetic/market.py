"""A generated market: everything a platform would receive, block by block and day by day.

Nothing is made before it is asked for, and the same question always has the same answer. What a
learner may see is public here; what is true but hidden is read by ``truth`` alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.catalog import Institution, Product
from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.tables import RAW_BEHAVIOUR, SESSIONS
from jinqiao.domain.time import to_us
from jinqiao.engines.tables import check
from jinqiao.engines.worth import estimate_worth
from jinqiao.errors import InputError, NotFound
from jinqiao.synthetic import identity
from jinqiao.synthetic.chances import fit_of
from jinqiao.synthetic.eligible import cheapest_of, eligible
from jinqiao.synthetic.files import as_file
from jinqiao.synthetic.fraud import HONEST
from jinqiao.synthetic.goods import Goods, make_goods
from jinqiao.synthetic.houses import House, make_houses
from jinqiao.synthetic.ledger import debts_of, ledger_lines
from jinqiao.synthetic.life import Life
from jinqiao.synthetic.limits import with_limits
from jinqiao.synthetic.moments import Visits
from jinqiao.synthetic.partner import partner_table
from jinqiao.synthetic.people import People, join, make_people
from jinqiao.synthetic.rows import Lines, line_table
from jinqiao.synthetic.shops import order_table, settlement_table
from jinqiao.synthetic.spec import BLOCK, Spec, find_spec
from jinqiao.synthetic.streaming import ledger_features
from jinqiao.synthetic.visits import behaviour_table, browse, session_table, user_ids, visits_of_day

__all__ = ["Market", "market"]

T = TypeVar("T")
_KEEP = {"people": 128, "whole": 32, "lines": 24, "visits": 96, "index": 96}
_IN_MEMORY = 100_000


def market(
    size: int = 20_000,
    seed: int = 1,
    *,
    institutions: int = 100,
    products: int = 150,
    spec: str | Spec = "standard",
) -> Market:
    """Return a generated market of ``size`` people; nothing is drawn yet.

    The same arguments give the same bytes, and a person is the same at any size.

    >>> market(1_000).version
    'standard@1'

    Raises InputError for sizes below 1, NotFound for an unknown spec.
    """
    for name, number in (("size", size), ("institutions", institutions)):
        if number < 1:
            raise InputError(f"{name} is {number}", field=name, fix="use 1 or more")
    if products < institutions:
        raise InputError("fewer products than institutions", field="products")
    chosen = find_spec(spec) if isinstance(spec, str) else spec
    return Market(size, seed, institutions, products, chosen)


class Market:
    """People, institutions and their history. See ``market``."""

    def __init__(self, size: int, seed: int, institutions: int, products: int, spec: Spec) -> None:
        self.size, self.seed, self.spec = size, seed, spec
        self._numbers = (institutions, products)
        zone = timezone(timedelta(hours=8))
        zero = spec.day_zero
        self.start_us = to_us(datetime(zero.year, zero.month, zero.day, tzinfo=zone))
        self._kept: OrderedDict[tuple[str, int], Any] = OrderedDict()

    @property
    def version(self) -> str:
        return self.spec.label

    @property
    def log_days(self) -> int:
        return self.spec.log_days

    @property
    def plan_days(self) -> int:
        return self.spec.plan_days

    @property
    def tail_days(self) -> int:
        return self.spec.tail_days

    @property
    def blocks(self) -> range:
        """The numbers of the blocks of people."""
        return range(-(-self.size // BLOCK))

    # -- institutions ---

    @cached_property
    def houses(self) -> tuple[House, ...]:
        bare = make_houses(self.seed, self.spec, *self._numbers)
        return with_limits(bare, self.spec, self.seed, self.size)

    @property
    def institutions(self) -> tuple[Institution, ...]:
        return tuple(house.institution for house in self.houses)

    @property
    def products(self) -> tuple[Product, ...]:
        """Every product, institutions in order, products in file order."""
        return tuple(p for house in self.houses for p in house.institution.products)

    @cached_property
    def goods(self) -> Goods:
        return make_goods(self.houses)

    @cached_property
    def product_ids(self) -> pa.Array:
        """Every product's id, in the order of ``products``."""
        return pa.array(self.goods.product_id, pa.string())

    def institution_files(self) -> dict[str, dict[str, Any]]:
        """Return file stem → the plain data of ``institutions/<stem>.yaml``."""
        return {str(i.institution_id): as_file(i) for i in self.institutions}

    # -- people ---

    def people(self, block: int) -> People:
        """Return the people of a block. Raises NotFound outside the market."""
        if block not in self.blocks:
            raise NotFound(f"no block {block}", field="block", fix=f"0 to {len(self.blocks) - 1}")
        count = min(BLOCK, self.size - block * BLOCK)
        return self._keep("people", block, lambda: self._whole(block).take(slice(0, count)))

    @cached_property
    def everyone(self) -> People:
        """All people at once: for markets that fit in memory."""
        return join([self.people(block) for block in self.blocks])

    def people_of(self, person: NDArray[np.int64]) -> People:
        """Return people by number, in any order and as often as asked, block by block."""
        if self.size <= _IN_MEMORY:
            return self.everyone.take(person)
        parts, places = [], []
        for block in np.unique(person // BLOCK):
            rows = np.flatnonzero(person // BLOCK == block)
            parts.append(self.people(int(block)).take(person[rows] - block * BLOCK))
            places.append(rows)
        return join(parts).take(np.argsort(np.concatenate(places), kind="stable"))

    def users(self, block: int) -> pa.Table:
        """Return user_id and public attributes of a block."""
        return identity.user_table(self.people(block))

    def attributes(self, block: int) -> pa.Table:
        """Return RAW_ATTRIBUTES rows of a block."""
        return identity.attribute_table(
            self.people(block), self.spec, self.seed, block, self.start_us
        )

    def identifiers(self, block: int) -> pa.Table:
        """Return (user_id, kind, value) of a block; values may be shared or noisy."""
        return identity.identifier_table(self.people(block), self.seed, block)

    def consents(self, block: int) -> pa.Table:
        """Return consent events of a block in time order."""
        return identity.consent_table(
            self.people(block), self.spec, self.seed, block, self.start_us
        )

    def transactions(
        self, block: int, from_us: int | None = None, until_us: int | None = None
    ) -> pa.Table:
        """Return RAW_TRANSACTIONS rows of a block received in [from_us, until_us), in that order.

        Without bounds: everything from half a year before day 0 to the end of the plan.
        """
        people = self._whole(block)
        lines = self._lines(block)
        rows = lines.between(from_us, until_us)
        here = lines.person[rows] < len(self.people(block))
        return line_table(people, lines, rows[here])

    def debts(self, block: int) -> pa.Table:
        """Return what people of a block owed when the ledger began: (user_id, category, …)."""
        found = debts_of(self._whole(block), self.seed, block)
        rows = np.flatnonzero(found.person < len(self.people(block)))
        names = np.array(list(CATEGORIES))
        return pa.table(
            {
                "user_id": user_ids(self._whole(block).index[found.person[rows]]),
                "category": pa.array(names[found.category[rows]]),
                "instalment_minor": pa.array(found.instalment_minor[rows]),
                "instalments_left": pa.array(found.left[rows]),
                "day_of_month": pa.array(found.day[rows]),
            }
        )

    def settlements(self, block: int) -> pa.Table:
        """Return what shops of a block were paid for which orders: see ``shops``."""
        people = self._whole(block)
        table = settlement_table(people, self._lines(block), self.seed)
        last = user_ids(self.people(block).index[-1:])[0]
        return table.filter(pc.less_equal(table["user_id"], last))

    def orders(self, block: int) -> pa.Table:
        """Return who bought what the settlements of a block's shops pay for: see ``shops``."""
        people = self._whole(block)
        table = order_table(people, self._lines(block), self.seed)
        last = user_ids(self.people(block).index[-1:])[0]
        return table.filter(pc.less_equal(table["user_id"], last))

    def ledger_features(self, block: int, until_us: int | None = None) -> pa.Table:
        """Return a block's ledger as one row a person, received before an instant (day 0)."""
        until = self.start_us if until_us is None else until_us
        return ledger_features(self.people(block), self._lines(block), until)

    def partner(self, block: int) -> pa.Table:
        """Return a second party's facts about part of a block's people, and about strangers."""
        return partner_table(self.people(block), self.seed, block)

    def _lines(self, block: int) -> Lines:
        people = self._whole(block)

        def make() -> Lines:
            return ledger_lines(people, self.spec, self.seed, block, self.start_us)

        return self._keep("lines", block, make)

    def _whole(self, block: int) -> People:
        """Return a whole block, beyond the market's edge too: draws belong to blocks."""
        return self._keep("whole", block, lambda: make_people(self.seed, self.spec, block))

    # -- visits ---

    def visits(self, day: int, block: int | None = None) -> Visits:
        """Return the visits of one day (negative before day 0), of everyone or of a block."""
        if block is not None:
            people = self.people(block)
            return visits_of_day(people, self.spec, self.seed, day, self.start_us)

        def make() -> Visits:
            parts = [self.visits(day, block) for block in self.blocks]
            columns = [np.concatenate([getattr(p, n) for p in parts]) for n in Visits.__slots__]
            every = Visits(*columns)
            return every.take(np.lexsort((every.person, every.at_us)))

        return self._keep("visits", day, make)

    def sessions(self, day: int, block: int | None = None) -> pa.Table:
        """Return SESSIONS rows of one day, in time order; of a block when one is named."""
        return check(session_table(self.visits(day, block), day), SESSIONS)

    def behaviour(self, day: int, block: int | None = None) -> pa.Table:
        """Return RAW_BEHAVIOUR rows of one day: pages, ledger views, reading, product pages."""
        visits = self.visits(day, block)
        people = self.people_of(visits.person)
        looks = browse(visits, people, self.goods, day, self.seed)
        table = behaviour_table(visits, day, looks, self.product_ids, self.seed)
        return check(table, RAW_BEHAVIOUR)

    # -- numbers behind ids ---

    def product_rows(self, product_id: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
        """Return the place of each product id. Raises NotFound for an unknown one."""
        found = pc.index_in(product_id, value_set=self.product_ids)
        if found.null_count:
            place = int(np.flatnonzero(found.is_null().to_numpy(zero_copy_only=False))[0])
            raise NotFound(f"no product {product_id[place].as_py()!r}", field="product_id")
        return np.asarray(found.to_numpy(), dtype=np.int64)

    def visit_numbers(self, session_id: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
        """Return the number behind each session id. Raises NotFound for a foreign one."""
        digits = pc.utf8_slice_codeunits(session_id, 1)
        good = pc.all(pc.match_substring_regex(session_id, r"^s\d{13}$")).as_py()
        if good is False:
            raise NotFound("a session that is not of this market", field="session_id")
        return np.asarray(digits.cast(pa.int64()).to_numpy(), dtype=np.int64)

    def find_visits(self, numbers: NDArray[np.int64]) -> Visits:
        """Return the visits of some numbers, in that order. Raises NotFound for an unknown one."""
        day = numbers // 1_000_000_000 - 1_000
        out: list[tuple[NDArray[np.int64], Visits]] = []
        for one in np.unique(day):
            rows = np.flatnonzero(day == one)
            visits, keys, order = self._index(int(one))
            place = np.searchsorted(keys, numbers[rows])
            place = np.minimum(place, len(keys) - 1)
            if len(keys) == 0 or (keys[place] != numbers[rows]).any():
                raise NotFound("a session that is not of this market", field="session_id")
            out.append((rows, visits.take(order[place])))
        rows = np.concatenate([r for r, _ in out])
        back = np.argsort(rows, kind="stable")
        names = Visits.__slots__
        return Visits(*[np.concatenate([getattr(v, name) for _, v in out])[back] for name in names])

    def _index(self, day: int) -> tuple[Visits, NDArray[np.int64], NDArray[np.int64]]:
        def make() -> tuple[Visits, NDArray[np.int64], NDArray[np.int64]]:
            visits = self.visits(day)
            keys = ((day + 1_000) * 100_000_000 + visits.person) * 10 + visits.turn
            order = np.argsort(keys)
            return visits, keys[order], order

        return self._keep("index", day, make)

    # -- lives ---

    def life(self, *, tally: bool = True) -> Life:
        """Return a fresh history of everyone from day 0.

        ``tally``: keep what the evaluation needs, 88 bytes a shown row; without it a life is
        bounded by what was lately shown, and ``flow.evaluate`` refuses it.
        """
        return Life(self, tally=tally)

    @cached_property
    def _eligible(self) -> NDArray[np.bool_]:
        return eligible(self.everyone, self.products, self.goods)

    @cached_property
    def _cheapest(self) -> NDArray[np.float64]:
        return cheapest_of(self._eligible, self.goods)

    def worth(
        self, person: NDArray[np.int64], product: NDArray[np.int64], need: NDArray[np.float64],
        fraud: NDArray[np.int8] | None = None,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Return w of pairs, (m,): class benefit × true fit − cost above the cheapest open one.

        Nothing is worth anything to those who mean harm, where ``fraud`` (m,) is told.
        """
        goods = self.goods
        least = self._least_cost(person, goods.kind[product])
        worth = estimate_worth(
            goods.benefit_minor[product], fit_of(need), goods.cost_minor[product], least
        )
        return worth if fraud is None else np.where(fraud == HONEST, worth, 0.0)

    def _least_cost(
        self, person: NDArray[np.int64], kind: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the least cost open to people in a class, (m,)."""
        if self.size <= _IN_MEMORY:
            return self._cheapest[person, kind]
        who, row = np.unique(person, return_inverse=True)
        mask = eligible(self.people_of(who), self.products, self.goods)
        return cheapest_of(mask, self.goods)[row, kind]

    def _most(self, name: str) -> int:
        """Return how many of a kind are kept: whole days the fewer the more people there are."""
        if name not in ("visits", "index"):
            return _KEEP[name]
        return min(_KEEP[name], max(2, _KEEP[name] * _IN_MEMORY // self.size))

    def _keep(self, name: str, key: int, make: Callable[[], T]) -> T:
        """Return what is kept under a key, made once; the oldest of many is let go."""
        spot = (name, key)
        if spot not in self._kept:
            self._kept[spot] = make()
            while sum(kept[0] == name for kept in self._kept) > self._most(name):
                self._kept.pop(next(kept for kept in self._kept if kept[0] == name))
        self._kept.move_to_end(spot)
        found: T = self._kept[spot]
        return found
