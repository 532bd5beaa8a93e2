"""What a product's limits are: its own, its institution's and its branch's, compiled for lookup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from jinqiao.catalog.costs import payout_minor
from jinqiao.catalog.table import midnight_us
from jinqiao.domain.catalog import Branch, Catalog, Institution, Limit, Measure, Product
from jinqiao.domain.stage import Stage

__all__ = ["HEADROOM_BPS", "LimitTerms", "ProductTerms", "headroom", "limit_terms", "terms_of"]

_Owner = Institution | Branch | Product
HEADROOM_BPS = 200
"""The share of a limit kept back for reports that arrive after their reservation has expired."""


def headroom(at_most: int) -> int:
    """Return how much of a limit is never reserved: 2 %, rounded down (so 0 below 50)."""
    return at_most * HEADROOM_BPS // 10_000


@dataclass(frozen=True, slots=True)
class LimitTerms:
    """One limit of one owner. ``stage``: whose report posts it; for money, see ``ProductTerms``."""

    limit_id: str
    scope: str
    institution_id: str
    product_id: str | None
    branch_id: str | None
    limit: Limit
    zone: str


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """What a click-out on one product reserves.

    ``full_minor``: what one paid unit pays at most, charged to money limits when a report names no
    money; ``rate_bps``: the share of the money reported, for a payout that is a share.
    ``launch_us`` and ``withdraw_us``: on sale from the one until before the other.
    """

    product: Product
    own: tuple[LimitTerms, ...]
    by_branch: tuple[tuple[str, tuple[LimitTerms, ...]], ...]
    full_minor: int
    rate_bps: int | None
    launch_us: int | None = None
    withdraw_us: int | None = None

    @property
    def paid_stage(self) -> Stage:
        return self.product.payout.stage

    def on_sale(self, now_us: int) -> bool:
        """Return whether the product has been launched and is not withdrawn; hours aside."""
        launched = self.launch_us is None or self.launch_us <= now_us
        return launched and (self.withdraw_us is None or now_us < self.withdraw_us)

    def limits(self, branch_id: str | None) -> tuple[LimitTerms, ...]:
        """Return every limit a click-out through this branch (None: no branch) counts against."""
        for name, limits in self.by_branch:
            if name == branch_id:
                return self.own + limits
        return self.own


def limit_terms(catalog: Catalog) -> tuple[LimitTerms, ...]:
    """Return every limit of every institution, its branches and its products, in catalog order."""
    return _listed(_Same(catalog))


def terms_of(catalog: Catalog) -> dict[str, ProductTerms]:
    """Return what each product reserves, by product id; computed once for a catalog."""
    return _compiled(_Same(catalog))


class _Same:
    """A catalog told apart by identity: hashing all its records would cost more than the answer."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def __hash__(self) -> int:
        return id(self.catalog)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.catalog is self.catalog


@lru_cache(maxsize=8)
def _compiled(same: _Same) -> dict[str, ProductTerms]:
    return {
        product.product_id: _product(product, institution)
        for institution in same.catalog.institutions
        for product in institution.products
    }


@lru_cache(maxsize=8)
def _listed(same: _Same) -> tuple[LimitTerms, ...]:
    found: list[LimitTerms] = []
    for institution in same.catalog.institutions:
        owners: tuple[_Owner, ...] = (institution, *institution.branches, *institution.products)
        for owner in owners:
            found += _of(owner, institution)
    return tuple(found)


def _product(product: Product, institution: Institution) -> ProductTerms:
    shares = [t.rate_bps for t in product.payout.tiers if t.rate_bps is not None]
    return ProductTerms(
        product=product,
        own=(*_of(product, institution), *_of(institution, institution)),
        by_branch=tuple((b.branch_id, tuple(_of(b, institution))) for b in institution.branches),
        full_minor=payout_minor(product, dearest=True),
        rate_bps=max(shares, default=None),
        launch_us=midnight_us(product.schedule.launch_on, institution.zone),
        withdraw_us=midnight_us(product.schedule.withdraw_on, institution.zone),
    )


def _of(owner: _Owner, institution: Institution) -> Iterator[LimitTerms]:
    name = institution.institution_id
    product_id = branch_id = None
    if isinstance(owner, Product):
        scope, owner_id = "product", str(owner.product_id)
        product_id = owner_id
    elif isinstance(owner, Branch):
        scope, owner_id = "branch", f"{name}/{owner.branch_id}"
        branch_id = owner.branch_id
    else:
        scope, owner_id = "institution", str(name)
    for limit in owner.limits:
        stage = "payout" if limit.measure is Measure.MONEY else limit.stage.value
        limit_id = f"{scope}:{owner_id}:{limit.measure}:{stage}:{limit.period}"
        yield LimitTerms(limit_id, scope, name, product_id, branch_id, limit, institution.zone)
