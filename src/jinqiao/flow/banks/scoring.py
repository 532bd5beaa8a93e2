"""What Berka's ledgers say ahead of time: who takes a loan, a card; who is like the insured; which
loan goes bad. Every model sees only rows before its moment, and is judged in the same folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jinqiao import customer, profile
from jinqiao.domain.consent import Purpose
from jinqiao.domain.tables import TRANSACTIONS
from jinqiao.errors import InputError
from jinqiao.flow.banks.arrive import Arrived
from jinqiao.flow.banks.evidence import Cases, Evidence, training_table
from jinqiao.flow.banks.ledgers import Bank
from jinqiao.flow.wiring import Engine

if TYPE_CHECKING:
    import pyarrow as pa

    from jinqiao.propensity import ScoreModel
    from jinqiao.store.base import Lake

__all__ = ["AS_OF_US", "CONDUCT", "PLACE", "Learnt", "Trial", "bad_loan", "demand", "look_alike"]

AS_OF_US = 765_158_399_999_999
"""The end of 1994-03-31 (UTC days, as the bank dates its rows)."""
FULL_HISTORY_FROM_US = 852_076_800_000_000
"""1997-01-01: loans from this day on have their account's history from its opening."""
PLACE = profile.Place("CZK", 0)
CONDUCT = (
    "age", "ledger_tenure_days", "balance_minor", "balance_mean_30d_minor",
    "balance_min_30d_minor", "balance_min_90d_minor", "balance_mean_90d_minor",
    "balance_sd_90d_minor", "balance_mean_180d_minor", "balance_min_180d_minor",
    "balance_sd_180d_minor", "balance_mean_minor", "balance_min_minor", "balance_sd_minor",
    "inflow_monthly_minor", "outflow_monthly_minor", "inflow_monthly_ever_minor",
    "outflow_monthly_ever_minor", "transferred_in_monthly_minor", "cash_in_monthly_minor",
    "cash_out_monthly_minor", "household_monthly_minor", "insurance_monthly_minor",
    "interest_monthly_minor", "transactions_monthly", "outflow_share", "balance_swing",
    "late_fees_180d", "late_fees_ever", "overdrafts_90d", "overdrafts_ever",
)  # fmt: skip
"""Features of the dictionary a lender's decision may use: how the account was run."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a model is judged: repeats of ten stratified folds, and who is told the share done."""

    seed: int
    repeats: int
    tell: Callable[[float], None]


@dataclass(frozen=True)
class Learnt:
    """A model, the table it was learnt from, and whose rows they are (n,)."""

    model: ScoreModel
    table: pa.Table
    account_id: NDArray[np.int64]

    @property
    def chances(self) -> NDArray[np.float64]:
        """Return each account's chance by a model that did not see it, (n,)."""
        assert self.model.outside is not None
        return self.model.outside


def demand(
    engine: Engine, arrived: Arrived, taken_us: Mapping[int, int], *, target: str,
    trial: Trial,
) -> Learnt:  # fmt: skip
    """Return the chance of taking a product after the as-of, of accounts with rows by then.

    ``taken_us``: account → the day it took one; taken by the as-of is a no: it did not come later.
    """
    found = _known_by(engine.lake, _states(engine), AS_OF_US)
    accounts = _accounts(arrived, found.table["customer_id"].to_pylist())
    later = np.array([taken_us.get(a, 0) > AS_OF_US for a in accounts.tolist()], np.int64)
    cases = Cases(accounts, later, np.full(len(accounts), AS_OF_US + 1))
    return _learn(cases, [_named(found, accounts)], target, trial)


def look_alike(engine: Engine, arrived: Arrived, *, trial: Trial) -> Learnt:
    """Return how alike each account is to those that pay insurance premia by the as-of.

    No forecast: the label is of the same time as the features. The features are built on the ledger
    with the premium rows taken out, so none is made of the label; balances keep what was paid.
    """
    import pyarrow.compute as pc

    states = _states(engine)
    found = _known_by(engine.lake, states, AS_OF_US, names=("insurance_premium_365d_minor",))
    paying = set(
        found.table.filter(
            pc.greater(pc.fill_null(found.table["insurance_premium_365d_minor"], 0), 0)
        )["customer_id"].to_pylist()
    )
    blind = _known_by(_without(engine.lake, "insurance_premium"), states, AS_OF_US)
    accounts = _accounts(arrived, blind.table["customer_id"].to_pylist())
    person = arrived.customer_of
    label = np.array([person[a] in paying for a in accounts.tolist()], np.int64)
    cases = Cases(accounts, label, np.full(len(accounts), AS_OF_US + 1))
    return _learn(cases, [_named(blind, accounts)], "pays_insurance", trial)


def bad_loan(engine: Engine, bank: Bank, arrived: Arrived, *, trial: Trial) -> Learnt:
    """Return the chance that a loan goes bad (status B or D), as of the day before it was granted.

    Loans from 1997 on, whose accounts' history is known from the first row.
    """
    import pyarrow as pa

    loans = bank.loans
    here = np.array([a in arrived.customer_of for a in loans.account_id.tolist()], bool)
    kept = np.flatnonzero((loans.day_us >= FULL_HISTORY_FROM_US) & here)
    person = [arrived.customer_of[a] for a in loans.account_id[kept].tolist()]
    moments = pa.table({"customer_id": person, "as_of_us": loans.day_us[kept] - 1})
    found = _profiles_at(engine, moments)
    seen = set(found.table["customer_id"].to_pylist())
    kept = kept[np.array([one in seen for one in person], bool)]
    accounts = loans.account_id[kept]
    cases = Cases(accounts, loans.bad[kept], loans.day_us[kept])
    conduct = _named(found, _accounts(arrived, found.table["customer_id"].to_pylist()))
    asked = Evidence("loan", loans.asked)
    table = with_ratios(training_table(cases, [conduct, asked], target="bad_loan"))
    return _fitted(table, "bad_loan", accounts, trial)


def with_ratios(table: pa.Table) -> pa.Table:
    """Return the table with what an underwriter sets side by side: the instalment asked for beside
    money in, money left, and the balance; null where there is nothing to divide by.
    """
    import pyarrow as pa

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)

    pay = column("payments") * 100
    came, went = column("inflow_monthly_ever_minor"), column("outflow_monthly_ever_minor")
    ratios = {
        "instalment_to_inflow": (pay, came),
        "left_to_instalment": (came - went, pay),
        "balance_to_instalment": (column("balance_mean_minor"), pay),
        "low_balance_to_instalment": (column("balance_min_180d_minor"), pay),
    }
    for name, (top, below) in ratios.items():
        value = np.divide(top, below, out=np.full(len(top), np.nan), where=below > 0)
        table = table.append_column(name, pa.array(value, from_pandas=True))
    return table


@dataclass(frozen=True)
class _Known:
    """Profiles, and the instant of the newest row each was made from, (n,)."""

    table: pa.Table
    newest_us: NDArray[np.int64]


_States = tuple["pa.Table", "pa.Table"]


def _states(engine: Engine, at_us: int = AS_OF_US) -> _States:
    with engine.records.reading() as tx:
        return customer.customer_map(tx), customer.consent_state(tx, at_us)


def _known_by(
    lake: Lake, states: _States, as_of_us: int, *, names: Sequence[str] | None = None
) -> _Known:
    """Return the profiles, as of an instant, of customers with a ledger by then; columns that are
    null for all of them are left out.
    """
    table = profile.build(
        lake, *states, as_of_us=as_of_us, purpose=Purpose.PERSONALISE, names=names, place=PLACE
    )
    newest = _newest(lake, states[0], table["customer_id"].to_pylist(), as_of_us)
    return _with_rows(table, newest)


def _profiles_at(engine: Engine, moments: pa.Table) -> _Known:
    states = _states(engine, engine.clock())
    table = profile.build_at(
        engine.lake, *states, moments, purpose=Purpose.CREDIT_DECISION, names=CONDUCT, place=PLACE
    )
    as_of = dict(zip(moments["customer_id"].to_pylist(), moments["as_of_us"].to_pylist(),
                     strict=True))  # fmt: skip
    ids = table["customer_id"].to_pylist()
    newest = _newest(engine.lake, states[0], ids, [as_of[one] for one in ids])
    return _with_rows(table, newest)


def _with_rows(table: pa.Table, newest: NDArray[np.int64]) -> _Known:
    import pyarrow as pa

    kept = np.flatnonzero(newest >= 0)
    if kept.size == 0:
        raise InputError("nobody has a ledger by then", record="trans", field="date")
    table = table.take(pa.array(kept))
    said = [name for name in table.column_names if table[name].null_count < table.num_rows]
    return _Known(table.select(said), newest[kept])


def _newest(
    lake: Lake, mapped: pa.Table, ids: Sequence[str], as_of_us: int | Sequence[int]
) -> NDArray[np.int64]:
    """Return the instant of each customer's newest ledger row by their as-of, −1 without one."""
    import pyarrow as pa

    many = [as_of_us] * len(ids) if isinstance(as_of_us, int) else list(as_of_us)
    asked = pa.table({"customer_id": pa.array(ids, pa.string()), "as_of_us": pa.array(many)})
    found = lake.query(
        "select a.customer_id, max(epoch_us(r.occurred_at)) as newest_us"
        " from asked a join customer_map m on a.customer_id = m.customer_id"
        " join transactions r on r.subject_id = m.subject_id"
        " where r.received_at <= make_timestamp(a.as_of_us)"
        " and r.occurred_at <= make_timestamp(a.as_of_us) group by a.customer_id",
        {"asked": asked, "customer_map": mapped},
    )
    at = dict(zip(found["customer_id"].to_pylist(), found["newest_us"].to_pylist(), strict=True))
    return np.array([at.get(one, -1) for one in ids], np.int64)


def _without(lake: Lake, category: str) -> Lake:
    """Return a lake of the ledger without one category's rows."""
    from jinqiao.store.memory import MemoryLake

    names = ", ".join(TRANSACTIONS.names)
    rows = lake.query(
        f"select {names} from transactions where category <> $category", category=category
    )
    blind = MemoryLake()
    blind.append(TRANSACTIONS, rows, batch_id="without")
    return blind


def _accounts(arrived: Arrived, ids: Sequence[str]) -> NDArray[np.int64]:
    account = {person: a for a, person in reversed(list(arrived.customer_of.items()))}
    return np.array([account[one] for one in ids], np.int64)


def _named(found: _Known, accounts: NDArray[np.int64]) -> Evidence:
    import pyarrow as pa

    table = found.table.drop_columns(["customer_id"])
    return Evidence("trans", table.append_column("account_id", pa.array(accounts)), found.newest_us)


def _learn(
    cases: Cases, evidence: Sequence[Evidence], target: str, trial: Trial,
) -> Learnt:  # fmt: skip
    order = np.argsort(cases.account_id, kind="stable")
    cases = Cases(cases.account_id[order], cases.label[order], cases.decided_us[order])
    table = training_table(cases, evidence, target=target)
    return _fitted(table, target, cases.account_id, trial)


def _fitted(
    table: pa.Table, target: str, accounts: NDArray[np.int64], trial: Trial,
) -> Learnt:  # fmt: skip
    from jinqiao.propensity import Judging, fit_score

    judging = Judging(folds=10, repeats=trial.repeats, progress=trial.tell)
    return Learnt(fit_score(table, target, seed=trial.seed, judging=judging), table, accounts)
