"""A second party: other facts about an overlapping part of the same people, keyed by phone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from jinqiao.synthetic.draws import normal_of, uniform
from jinqiao.synthetic.identity import phone_numbers
from jinqiao.synthetic.people import People
from jinqiao.synthetic.rows import digits

__all__ = ["partner_table"]

_OVERLAP = 0.6
_STRANGERS = 400


def partner_table(people: People, seed: int, block: int) -> pa.Table:
    """Return a telecom partner's rows: three people in five of a block, and strangers.

    phone, line_tenure_months, bills_late_12m, roaming_days_12m, device_price_minor. Late bills
    follow the hidden part of risk that no ledger shows, so the two parties together know more than
    either alone; roaming follows a taste for travel.
    """
    n = len(people)
    index = np.concatenate((people.index, 50_000_000 + block * _STRANGERS + np.arange(_STRANGERS)))
    known = np.arange(len(index)) < n
    risk = np.concatenate((people.risk - 0.86 * people.risk_seen, np.zeros(_STRANGERS)))
    travel = np.concatenate((people.tastes[:, 1], np.zeros(_STRANGERS)))
    noise = [normal_of(uniform(seed, f"partner {k}", index)) for k in range(4)]
    late = np.exp(-0.4 + 1.6 * risk + 0.4 * noise[0])
    keep = ~known | (uniform(seed, "partner overlap", index) < _OVERLAP)
    table = pa.table(
        {
            "phone": digits("p", phone_numbers(index), 11),
            "line_tenure_months": pa.array(np.floor(40 * np.exp(0.7 * noise[1])).astype(np.int32)),
            "bills_late_12m": pa.array(np.minimum(np.floor(late), 12).astype(np.int32)),
            "roaming_days_12m": pa.array(
                np.floor(4 * np.exp(0.8 * travel + 0.5 * noise[2])).astype(np.int32)
            ),
            "device_price_minor": pa.array(
                np.floor(2_500 * np.exp(0.5 * noise[3])).astype(np.int64) * 100
            ),
        }
    )
    return table.filter(pa.array(keep))
