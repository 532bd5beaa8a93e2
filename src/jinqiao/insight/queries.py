"""The statements behind the indicators: the two-engine subset, as of one instant.

``$from_us`` (exclusive) to ``$as_of_us`` is the window; rows that arrived after the as-of do not
count. An outcome stands when it is the last word of its stage: the highest sequence, then the id.
"""

from __future__ import annotations

__all__ = ["ACTIVE", "CLICKS", "CONTEXT", "DAYS", "FATIGUE", "RETURNS", "VISITS"]

_KNOWN = "received_at <= make_timestamp($as_of_us) and occurred_at <= make_timestamp($as_of_us)"
_WINDOW = f"{_KNOWN} and occurred_at > make_timestamp($from_us)"

_STANDING = f"""standing as (
  select * from (
    select *, row_number() over (
      partition by trace_id, position, stage order by sequence desc, outcome_id desc
    ) as place
    from outcomes where {_KNOWN}
  ) o where place = 1
)"""

_SHOWN = """clicks as (
  select distinct trace_id, position from standing where stage <> 'impression'
    and (polarity = 'reached' or stage <> 'click')
), shown as (
  select d.customer_id, d.session_id, d.product_id, d.channel, d.scene, d.source, d.trace_id,
    d.position, d.occurred_at, d.value_minor, d.visit_cost_minor,
    case when c.trace_id is not null then 1 else 0 end as clicked
  from decisions d left join clicks c on d.trace_id = c.trace_id and d.position = c.position
  where d.received_at <= make_timestamp($as_of_us)
    and d.occurred_at <= make_timestamp($as_of_us) and d.occurred_at > make_timestamp($from_us)
)"""

CONTEXT = f"""with {_STANDING}, {_SHOWN}
select channel, scene, count(*) as impressions, sum(clicked) as clicks from shown
group by channel, scene order by channel, scene"""

FATIGUE = f"""with {_STANDING}, {_SHOWN}, turns as (
  select clicked, row_number() over (
    partition by customer_id, product_id order by occurred_at, trace_id, position
  ) as turn
  from shown where customer_id <> ''
)
select least(turn, 4) as turn, count(*) as impressions, sum(clicked) as clicks from turns
group by least(turn, 4) order by turn"""

VISITS = f"""select source, count(*) as visits, sum(cost) as cost,
  sum(cast(cost as double) * cost) as cost_squared, sum(value) as value
from (
  select session_id, source, max(visit_cost_minor) as cost, sum(value_minor) as value
  from decisions where {_WINDOW} group by session_id, source
) v group by source order by source"""

ACTIVE = f"""select count(distinct m.customer_id) as customers
from (
  select subject_id from behaviour where {_WINDOW}
  union all
  select customer_id as subject_id from decisions where {_WINDOW} and customer_id <> ''
) b join customer_map m on b.subject_id = m.subject_id"""

RETURNS = """with visits as (
  select m.customer_id, b.session_id, min(epoch_us(b.occurred_at)) as started_us
  from behaviour b join customer_map m on b.subject_id = m.subject_id
  where b.received_at <= make_timestamp($as_of_us) and b.session_id is not null
    and b.occurred_at <= make_timestamp($as_of_us) and b.occurred_at > make_timestamp($from_us)
  group by m.customer_id, b.session_id
), cohort as (
  select customer_id, min(started_us) as anchor_us from visits
  where started_us <= $as_of_us - $horizon_us group by customer_id
)
select count(*) as visitors, sum(came_back) as returned from (
  select c.customer_id, max(
    case when v.started_us > c.anchor_us and v.started_us <= c.anchor_us + $horizon_us
      then 1 else 0 end
  ) as came_back
  from cohort c join visits v on c.customer_id = v.customer_id group by c.customer_id
) r"""

CLICKS = f"""with {_STANDING}
select s.trace_id, s.position, max(p.product_class) as product_class,
  min(case when stage = 'click' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as click_us,
  min(case when stage = 'application' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as application_us,
  min(case when stage = 'approval' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as approval_us,
  min(case when stage = 'activation' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as activation_us,
  min(case when stage = 'disbursement' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as disbursement_us,
  min(case when stage = 'default' and polarity = 'reached'
    then epoch_us(s.occurred_at) end) as default_us,
  min(case when polarity <> 'reached' and stage in
    ('click', 'application', 'approval', 'activation')
    then epoch_us(s.occurred_at) end) as ended_us,
  max(case when stage = 'activation' and polarity = 'reached'
    then s.amount_minor end) as activated_minor,
  max(case when stage = 'disbursement' and polarity = 'reached'
    then s.amount_minor end) as disbursed_minor
from standing s left join products p on s.product_id = p.product_id
group by s.trace_id, s.position order by s.trace_id, s.position"""

DAYS = f"""with {_STANDING}, {_SHOWN}, applied as (
  select (epoch_us(occurred_at) + $offset_us) // 86400000000 as day, count(*) as applications
  from standing where stage = 'application' and polarity = 'reached'
    and occurred_at > make_timestamp($from_us)
  group by (epoch_us(occurred_at) + $offset_us) // 86400000000
), seen as (
  select (epoch_us(occurred_at) + $offset_us) // 86400000000 as day, count(*) as impressions,
    sum(clicked) as clicks, count(distinct session_id) as visits
  from shown group by (epoch_us(occurred_at) + $offset_us) // 86400000000
), days as (select day from seen union select day from applied)
select d.day, coalesce(s.visits, 0) as visits, coalesce(s.impressions, 0) as impressions,
  coalesce(s.clicks, 0) as clicks, coalesce(a.applications, 0) as applications
from days d left join seen s on d.day = s.day left join applied a on d.day = a.day
order by d.day"""
