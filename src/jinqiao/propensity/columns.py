"""What a model sees of a customer, a product, a moment, and the two together.

Columns stand in four parts: customer | product | context | pair. The first three are encoded once a
row of their side; only the last is made pair by pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.domain.stage import CREDIT_CLASSES, ProductClass
from jinqiao.domain.time import DAY_US
from jinqiao.errors import SchemaError

__all__ = [
    "CLASSES", "CONTEXT_COLUMNS", "LABELS", "PAIR_NEEDS", "PRODUCT_COLUMNS", "ContextColumns",
    "Customers", "Layout",
    "class_codes", "customer_layout", "customers", "other_columns", "pair_columns",
    "product_matrix",
]  # fmt: skip

CLASSES = tuple(item.value for item in ProductClass)
_CHANNELS = ("app", "web", "mini_program", "partner")
_SCENES = ("home", "ledger", "checkout", "branch", "embed")
_CHINA_US = 8 * 3_600_000_000

PRODUCT_COLUMNS = (
    "class_code", "class_is_credit", "licence_code", "risk_level", "for_merchants", "rate_bps",
    "all_in_bps", "all_in_excess_bps", "all_in_cost_share", "reference_amount_minor",
    "reference_term_days", "amount_max_minor",
    "rate_click_product", "rate_click_institution",
    "rate_application_product", "rate_application_institution",
    "rate_approval_product", "rate_approval_institution",
    "rate_activation_product", "rate_activation_institution",
)  # fmt: skip
CONTEXT_COLUMNS = (
    "hour", "hour_sin", "hour_cos", "weekday", "weekend", "days_to_month_end", "bought",
    *(f"channel_is_{name}" for name in _CHANNELS), *(f"scene_is_{name}" for name in _SCENES),
    "position", "position_2", "position_3", "position_4",
)  # fmt: skip
_PAIR_COLUMNS = (
    "asked_to_income", "instalment_to_income", "asked_to_balance", "class_views", "class_clicks",
    "risk_gap", "days_from_payday", "city_tier_shift",
)  # fmt: skip
_LICENCES = (
    "bank", "consumer_finance", "micro_lender", "insurer", "insurance_broker", "fund_manager",
    "fund_distributor", "securities", "payment",
)  # fmt: skip
_WEALTH = frozenset({ProductClass.DEPOSIT, ProductClass.FUND})
PAIR_NEEDS = (
    "monthly_income_minor", "balance_mean_30d_minor", "credit_views_30d", "wealth_views_30d",
    "insurance_views_30d", "credit_clicks_30d", "wealth_clicks_30d", "insurance_clicks_30d",
    "risk_tolerance", "payday_day", "city_tier",
)  # fmt: skip

LABELS: Mapping[str, tuple[str, str]] = {
    "class_code": ("产品类别", "the kind of product"),
    "class_is_credit": ("产品类别", "the kind of product"),
    "licence_code": ("机构类型", "the kind of institution"),
    "risk_level": ("产品风险等级", "the product's risk level"),
    "rate_bps": ("利率", "the rate"),
    "all_in_bps": ("综合年化成本", "the all-in yearly cost"),
    "all_in_excess_bps": ("与同类相比的成本", "the cost beside its class"),
    "all_in_cost_share": ("总费用占金额的比例", "total cost as a share of the amount"),
    "reference_amount_minor": ("示例金额", "the example amount"),
    "reference_term_days": ("示例期限", "the example term"),
    "amount_max_minor": ("最高额度", "the largest amount"),
    "asked_to_income": ("金额与月收入之比", "the amount beside the monthly income"),
    "instalment_to_income": ("月供与月收入之比", "the instalment beside the monthly income"),
    "asked_to_balance": ("金额与平均余额之比", "the amount beside the mean balance"),
    "class_views": ("近30天看过同类产品", "recent looks at this kind of product"),
    "class_clicks": ("近30天点过同类产品", "recent clicks on this kind of product"),
    "risk_gap": ("产品风险与风险承受力之差", "product risk beside risk tolerance"),
    "days_from_payday": ("距发薪日天数", "days from payday"),
    **dict.fromkeys(("hour", "hour_sin", "hour_cos"), ("一天中的时间", "the time of day")),
    **dict.fromkeys(("weekday", "weekend"), ("星期几", "the day of the week")),
    "days_to_month_end": ("距月末天数", "days to the month's end"),
    "bought": ("访问的来源", "where the visit came from"),
    **dict.fromkeys((f"channel_is_{name}" for name in _CHANNELS), ("渠道", "the channel")),
    **dict.fromkeys((f"scene_is_{name}" for name in _SCENES), ("场景", "the scene")),
    "city_tier_shift": ("所在城市与常住城市之差", "the city now beside the home city"),
    "rate_click_product": ("该产品的点击情况", "how often this product is clicked"),
    "rate_application_product": ("该产品的进件情况", "how often this product is applied for"),
    "rate_approval_product": ("该产品的通过情况", "how often this product is approved"),
    "rate_activation_product": ("该产品的激活情况", "how often this product is activated"),
    "rate_click_institution": ("该机构的点击情况", "how often this institution is clicked"),
    "rate_application_institution": ("该机构的进件情况", "how often people apply here"),
    "rate_approval_institution": ("该机构的通过情况", "how often this institution approves"),
    "rate_activation_institution": ("该机构的激活情况", "how often its products are activated"),
}
"""Chinese and English of columns that are not profile features; the rest are never a reason."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a model has, in order.

    ``features`` are (name, values): values name the one-hot columns of a category, () a number.
    """

    features: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def customer(self) -> tuple[str, ...]:
        names: list[str] = []
        for name, values in self.features:
            names += [f"{name}={value}" for value in values] if values else [name]
        return tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """Return every column name: customer, product, context, pair."""
        return self.customer + PRODUCT_COLUMNS + CONTEXT_COLUMNS + _PAIR_COLUMNS

    @property
    def widths(self) -> tuple[int, int, int, int]:
        return len(self.customer), len(PRODUCT_COLUMNS), len(CONTEXT_COLUMNS), len(_PAIR_COLUMNS)


def other_columns() -> tuple[str, ...]:
    """Return the columns that are no feature of a profile: product, context, pair."""
    return PRODUCT_COLUMNS + CONTEXT_COLUMNS + _PAIR_COLUMNS


def customer_layout(
    names: tuple[str, ...], dictionary: FeatureDictionary, purpose: Purpose
) -> Layout:
    """Return the layout of profile columns; raise ConsentError for one the purpose may not use."""
    chosen = dictionary.select(tuple(name for name in names if name != "customer_id"), purpose)
    return Layout(tuple((f.name, f.values if f.type == "category" else ()) for f in chosen))


@dataclass(frozen=True, slots=True)
class Customers:
    """n profiles as numbers: ``matrix`` (n, k) float32, ``needs`` the pair columns' inputs."""

    matrix: NDArray[np.float32]
    needs: NDArray[np.float32]


def _number(column: pa.ChunkedArray) -> NDArray[np.float32]:
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    values = column.to_numpy() if column.null_count == 0 else column.cast(pa.float64()).to_numpy()
    return np.asarray(values, dtype=np.float32)


def customers(layout: Layout, profiles: pa.Table) -> Customers:
    """Return profiles as the model's numbers.

    Raises SchemaError naming a column the model needs and the table lacks.
    """
    parts: list[NDArray[np.float32]] = []
    known = set(profiles.column_names)
    for name, values in layout.features:
        if name not in known:
            raise SchemaError("the model needs this feature", record="profiles", field=name)
        if values:
            column = profiles[name]
            missing = column.is_null().to_numpy()
            for value in values:
                hit = pc.fill_null(pc.equal(column, value), False).to_numpy().astype(np.float32)
                parts.append(np.where(missing, np.float32("nan"), hit))
        else:
            parts.append(_number(profiles[name]))
    n = profiles.num_rows
    matrix = np.column_stack(parts) if parts else np.empty((n, 0), np.float32)
    return Customers(np.ascontiguousarray(matrix, dtype=np.float32), _needs(layout, profiles))


def _needs(layout: Layout, profiles: pa.Table) -> NDArray[np.float32]:
    """Return the pair columns' inputs, NaN for a feature the model was not given."""
    needs = np.full((profiles.num_rows, len(PAIR_NEEDS)), np.nan, dtype=np.float32)
    allowed = {name for name, values in layout.features if not values}
    for j, name in enumerate(PAIR_NEEDS):
        if name in allowed:
            needs[:, j] = _number(profiles[name])
    return needs


def class_codes(products: pa.Table) -> NDArray[np.int64]:
    """Return each product's class as its place in CLASSES; raise SchemaError for another."""
    found = pc.index_in(products["product_class"], value_set=pa.array(CLASSES))
    if found.null_count:
        row = int(np.flatnonzero(found.is_null().to_numpy())[0])
        wrong = products["product_class"][row].as_py()
        raise SchemaError(f"no such class: {wrong!r}", record=f"product {row}", fix=str(CLASSES))
    return np.asarray(found.to_numpy(), dtype=np.int64)


def product_matrix(products: pa.Table, rates: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return products as numbers, (P, k) float32; ``rates`` is (P, 8), the observed rates."""
    code = class_codes(products)
    credit = np.array([item in {c.value for c in CREDIT_CLASSES} for item in CLASSES])
    licence = pc.index_in(products["licence"], value_set=pa.array(_LICENCES))
    all_in = _number(products["all_in_bps"])
    median = np.array([_median(all_in[code == g]) for g in range(len(CLASSES))], np.float32)
    amount = _number(products["reference_amount_minor"])
    columns = [
        code.astype(np.float32),
        credit[code].astype(np.float32),
        _number(pa.chunked_array(licence.chunks if hasattr(licence, "chunks") else [licence])),
        _number(products["risk_level"]),
        pc.equal(products["customer_kind"], "merchant").to_numpy().astype(np.float32),
        _number(products["rate_bps"]),
        all_in,
        all_in - median[code],
        _number(products["all_in_cost_minor"]) / np.maximum(amount, 1.0),
        amount,
        _number(products["reference_term_days"]),
        _number(products["amount_max_minor"]),
    ]
    return np.ascontiguousarray(np.column_stack([*columns, rates]), dtype=np.float32)


def _median(values: NDArray[np.float32]) -> float:
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if seen.size else 0.0


@dataclass(frozen=True, slots=True)
class ContextColumns:
    """k moments: instants and where they happen. A single row serves every pair.

    ``at_us`` (k,) int64; ``channel``, ``scene``, ``source`` (k,) texts; ``city_tier`` (k,) float,
    NaN where unknown. Hours and weekdays are those of ``offset_us`` east of UTC.
    """

    at_us: NDArray[np.int64]
    channel: pa.Array
    scene: pa.Array
    source: pa.Array
    city_tier: NDArray[np.float32]
    offset_us: int = _CHINA_US

    @classmethod
    def single(
        cls,
        at_us: int,
        *,
        channel: str = "app",
        scene: str = "home",
        source: str = "own",
        city_tier: float = float("nan"),
    ) -> ContextColumns:
        """Return one moment for every pair.

        >>> ContextColumns.single(0).at_us.shape
        (1,)
        """
        return cls(
            np.array([at_us], dtype=np.int64), pa.array([channel]), pa.array([scene]),
            pa.array([source]), np.array([city_tier], dtype=np.float32),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.at_us)

    def day_of_month(self) -> NDArray[np.int64]:
        """Return the local day of the month, 1 to 31."""
        days = ((self.at_us + self.offset_us) // DAY_US).astype("datetime64[D]")
        return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64) + 1)

    def matrix(self, position: int | NDArray[np.integer] = 1) -> NDArray[np.float32]:
        """Return the context columns, (k, columns) float32, at a position (1 = top)."""
        local = self.at_us + self.offset_us
        days = (local // DAY_US).astype("datetime64[D]")
        hour = (local % DAY_US) / 3_600_000_000.0
        weekday = (local // DAY_US + 3) % 7
        next_month = (days.astype("datetime64[M]") + 1).astype("datetime64[D]")
        place = np.broadcast_to(np.asarray(position), self.at_us.shape)
        columns = [
            np.floor(hour), np.sin(hour * np.pi / 12), np.cos(hour * np.pi / 12),
            weekday, weekday >= 5, (next_month - days).astype(np.int64) - 1,
            *_each(self.source, ("bought",)), *_each(self.channel, _CHANNELS),
            *_each(self.scene, _SCENES),
            place, place == 2, place == 3, place >= 4,
        ]  # fmt: skip
        return np.column_stack(columns).astype(np.float32)


def _each(column: pa.Array, names: tuple[str, ...]) -> list[NDArray[np.bool_]]:
    """Return, per name, where a text column says it; unknown says none."""
    coded = column.dictionary_encode()
    place = {value: i for i, value in enumerate(coded.dictionary.to_pylist())}
    if coded.null_count:
        code = np.array([-1 if i is None else i for i in coded.indices.to_pylist()])
    else:
        code = coded.indices.to_numpy()
    return [code == place.get(name, -2) for name in names]


def pair_columns(
    needs: NDArray[np.float32],
    product: tuple[NDArray[np.float32], NDArray[np.int64]],
    moment: tuple[NDArray[np.integer] | NDArray[np.floating], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return the pair columns, (m, columns) float32, of inputs gathered a pair.

    ``needs`` (m, inputs); ``product`` the (m, k) product columns and (m,) class codes; ``moment``
    the local day of month and the city tier, broadcast to (m,).
    """
    at = {name: needs[:, j] for j, name in enumerate(PAIR_NEEDS)}
    column = {name: product[0][:, j] for j, name in enumerate(PRODUCT_COLUMNS)}
    income = np.maximum(at["monthly_income_minor"], 1.0)
    amount = column["reference_amount_minor"]
    months = np.maximum(column["reference_term_days"] / np.float32(30.4), 1.0)
    out = np.empty((len(needs), len(_PAIR_COLUMNS)), dtype=np.float32)
    out[:, 0] = amount / income
    out[:, 1] = out[:, 0] / months
    out[:, 2] = amount / np.maximum(at["balance_mean_30d_minor"], 100.0)
    family = _FAMILY[product[1]]
    rows = np.arange(len(needs))
    for place, first in ((3, 2), (4, 5)):
        picked = needs[rows, first + np.maximum(family, 0)]
        out[:, place] = np.where(family >= 0, picked, 0.0)
    out[:, 5] = column["risk_level"] - at["risk_tolerance"]
    out[:, 6] = (moment[0] - at["payday_day"]) % np.float32(30.4)
    shift = moment[1] - at["city_tier"]
    out[:, 7] = np.where(np.isnan(shift), 0.0, shift)
    return out


def _family(item: ProductClass) -> int:
    """Return which of credit, wealth, insurance a class counts as, or −1."""
    if item in CREDIT_CLASSES:
        return 0
    return 1 if item in _WEALTH else 2 if item is ProductClass.INSURANCE else -1


_FAMILY = np.array([_family(item) for item in ProductClass], dtype=np.int64)
