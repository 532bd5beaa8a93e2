"""The row views that features are written over: which columns a row has, and as of what.

Each view keeps rows with ``received_at`` and ``occurred_at`` at or before the as-of, of customers
in ``who`` (subject_id → customer_id, consenting customers only). ``days_ago`` counts whole 24 hours
back from the as-of; ``months_ago`` counts months that end on the as-of's day of the month, so that
a monthly payment falls once in each; hours, days and weekdays (Monday is 0) are local.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jinqiao.domain.ledger import INCOME, SPEND

__all__ = ["CUSTOMERS_SQL", "MOMENTS_SQL", "SOURCES", "Source", "own_moment"]


@dataclass(frozen=True, slots=True)
class Source:
    """One row view: the lake table it reads, its columns, and its SQL as common table expressions.

    The last of ``steps`` (name, query) is the view; each has a ``customer_id``.
    ``class_columns`` are unknown where no product table was handed in.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]


def _texts(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


_KNOWN = "r.received_at <= make_timestamp($as_of_us) and r.occurred_at <= make_timestamp($as_of_us)"
_DAY = "86400000000"
_DAYS_AGO = f"($as_of_us - epoch_us(r.occurred_at)) // {_DAY} as days_ago"
_CLOCK = f"""(epoch_us(r.occurred_at) + $offset_us) // {_DAY} as local_day,
  (epoch_us(r.occurred_at) + $offset_us) // 3600000000 % 24 as local_hour,
  ((epoch_us(r.occurred_at) + $offset_us) // {_DAY} + 3) % 7 as weekday"""
_LOCAL = "make_timestamp(epoch_us(r.occurred_at) + $offset_us)"

_WHO = """select distinct m.subject_id, m.customer_id{moment}
from customer_map m join consent_state c on m.customer_id = c.customer_id{joined}
where c.purpose = $purpose and c.granted"""

CUSTOMERS_SQL = (
    ("who", _WHO.format(moment="", joined="")),
    ("customers", "select distinct customer_id from who"),
)

_PARTS = ("as_of_us", "as_of_year", "as_of_month", "as_of_day")
_MOMENT = "".join(f", t.{part}" for part in _PARTS)
MOMENTS_SQL = (
    (
        "who",
        _WHO.format(moment=_MOMENT, joined="\njoin moments t on m.customer_id = t.customer_id"),
    ),
    CUSTOMERS_SQL[1],
)
"""The same, each customer with an as-of of their own."""


def own_moment(sql: str) -> str:
    """Return a row view's SQL with each customer's own as-of in place of the one for all."""
    for part in _PARTS:
        sql = sql.replace(f"${part}", f"w.{part}")
    return sql


_LEDGER = f"""select w.customer_id, r.account_id, r.amount_minor, r.balance_minor, r.category,
  r.instrument, epoch_us(r.occurred_at) as occurred_us, {_DAYS_AGO},
  $as_of_month - (year({_LOCAL}) * 12 + month({_LOCAL}))
    - case when day({_LOCAL}) > $as_of_day then 1 else 0 end as months_ago,
  day({_LOCAL}) as day_of_month, {_CLOCK},
  case when r.category in ({_texts(INCOME)}) and r.amount_minor > 0
    then r.amount_minor else 0 end as income_minor,
  case when r.category in ({_texts(SPEND)}) and r.amount_minor < 0
    then -r.amount_minor else 0 end as spend_minor
from transactions r join who w on r.subject_id = w.subject_id
where {_KNOWN} and r.currency = $currency"""

_ACCOUNTS = f"""select a.customer_id, a.account_id,
  arg_max(a.balance_minor, row(a.occurred_us, a.transaction_id))
    filter (where a.balance_minor is not null) as last_minor,
  avg(a.balance_minor) filter (where a.days_ago < 30) as mean_30d_minor,
  min(a.balance_minor) filter (where a.days_ago < 30) as min_30d_minor,
  min(a.balance_minor) filter (where a.days_ago < 90) as min_90d_minor,
  min(a.balance_minor) filter (where a.days_ago < 180) as min_180d_minor,
  min(a.balance_minor) as min_minor,
  avg(a.balance_minor) filter (where a.days_ago < 90) as mean_90d_minor,
  avg(a.balance_minor) filter (where a.days_ago < 180) as mean_180d_minor,
  avg(a.balance_minor) as mean_minor,
  stddev_samp(a.balance_minor) filter (where a.days_ago < 90) as sd_90d_minor,
  stddev_samp(a.balance_minor) filter (where a.days_ago < 180) as sd_180d_minor,
  stddev_samp(a.balance_minor) as sd_minor
from (
  select w.customer_id, r.account_id, r.transaction_id, r.balance_minor,
    epoch_us(r.occurred_at) as occurred_us, {_DAYS_AGO}
  from transactions r join who w on r.subject_id = w.subject_id
  where {_KNOWN} and r.currency = $currency
) a group by a.customer_id, a.account_id"""

_ATTRIBUTES = f"""select s.customer_id, s.attribute, s.number, s.text, s.as_of_year
from (
  select w.customer_id, r.attribute, r.number, r.text, $as_of_year as as_of_year,
    row_number() over (
      partition by w.customer_id, r.attribute
      order by r.occurred_at desc, r.received_at desc, r.attribute_id desc
    ) as place
  from attributes r join who w on r.subject_id = w.subject_id
  where {_KNOWN}
) s where s.place = 1"""

_VISITS = f"""select w.customer_id, r.event, r.session_id, r.channel, r.scene,
  r.source as visit_source, r.city_tier, r.product_id, p.product_class,
  epoch_us(r.occurred_at) as occurred_us, {_DAYS_AGO}, {_CLOCK}
from behaviour r join who w on r.subject_id = w.subject_id
left join products p on r.product_id = p.product_id
where {_KNOWN} and r.type in ('track', 'page')"""

_SESSIONS = f"""select s.customer_id, s.session_id, min(s.days_ago) as days_ago,
  min(s.local_day) as local_day
from (
  select w.customer_id, r.session_id, {_DAYS_AGO}, {_CLOCK}
  from behaviour r join who w on r.subject_id = w.subject_id
  where {_KNOWN} and r.type in ('track', 'page') and r.session_id is not null
) s group by s.customer_id, s.session_id"""

_OFFERS = f"""select w.customer_id, r.session_id, r.position, r.product_id, p.product_class,
  r.channel, r.scene, {_DAYS_AGO}, {_CLOCK}
from decisions r join who w on r.customer_id = w.subject_id
left join products p on r.product_id = p.product_id
where {_KNOWN}"""

_OUTCOMES = f"""select r.owner_id as customer_id, r.stage, r.polarity, r.product_id,
  p.product_class, r.institution_id, r.days_ago
from (
  select r.*, w.customer_id as owner_id, {_DAYS_AGO}, row_number() over (
    partition by r.trace_id, r.position, r.stage order by r.sequence desc, r.outcome_id desc
  ) as place
  from outcomes r join who w on r.customer_id = w.subject_id
  where {_KNOWN}
) r
left join products p on r.product_id = p.product_id
where r.place = 1"""

_CLOCK_COLUMNS = ("local_day", "local_hour", "weekday")

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source(
                "attributes",
                "attributes",
                ("attribute", "number", "text", "as_of_year"),
                (("attribute_rows", _ATTRIBUTES),),
            ),
            Source(
                "ledger",
                "transactions",
                ("account_id", "amount_minor", "balance_minor", "category", "instrument",
                 "occurred_us", "days_ago", "months_ago", "day_of_month", *_CLOCK_COLUMNS,
                 "income_minor", "spend_minor"),
                (("ledger_rows", _LEDGER),),
            ),
            Source(
                "accounts",
                "transactions",
                ("account_id", "last_minor", "mean_30d_minor", "min_30d_minor", "min_90d_minor",
                 "min_180d_minor", "min_minor", "mean_90d_minor", "mean_180d_minor",
                 "mean_minor", "sd_90d_minor", "sd_180d_minor", "sd_minor"),
                (("account_rows", _ACCOUNTS),),
            ),
            Source(
                "visits",
                "behaviour",
                ("event", "session_id", "channel", "scene", "visit_source", "city_tier",
                 "product_id", "product_class", "occurred_us", "days_ago", *_CLOCK_COLUMNS),
                (("visit_rows", _VISITS),),
            ),
            Source(
                "sessions",
                "behaviour",
                ("session_id", "days_ago", "local_day"),
                (("session_rows", _SESSIONS),),
            ),
            Source(
                "offers",
                "decisions",
                ("session_id", "position", "product_id", "product_class", "channel", "scene",
                 "days_ago", *_CLOCK_COLUMNS),
                (("offer_rows", _OFFERS),),
            ),
            Source(
                "outcomes",
                "outcomes",
                ("stage", "polarity", "product_id", "product_class", "institution_id",
                 "days_ago"),
                (("outcome_rows", _OUTCOMES),),
            ),
        )
    }
)  # fmt: skip
"""Row views by name, in the order their features stand in a profile."""
