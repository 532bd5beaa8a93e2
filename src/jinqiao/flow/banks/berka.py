"""``import berka``: a real bank's ledger through the front half of the loop, to one shelf.

Rows → intake → customers → profiles → propensities → shelf, by the rooms that do it for anyone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinqiao.flow.banks import scoring
from jinqiao.flow.banks.arrive import Arrived, arrive
from jinqiao.flow.banks.figures import score_figures
from jinqiao.flow.banks.home import BankClock, bank_engine
from jinqiao.flow.banks.ledgers import Bank, read_bank
from jinqiao.flow.banks.showing import one_shelf
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say

__all__ = ["REFUSED", "run"]

REFUSED = ("order", "loan.status", "rows dated on or after the loan")
"""What is never a feature; ``evidence`` raises when it is tried."""


def run(
    place: Engine | Path | None,
    directory: Path,
    *,
    seed: int = 1,
    repeats: int = 5,
    progress: Progress = nothing_to_say,
) -> dict[str, Any]:
    """Return the figures of the import, and one customer's shelf, as plain values.

    ``place``: an engine or a workspace's folder; None is the workspace found from here, or
    ``berka/`` made here. One whose money is not CZK is left alone and gets a ``berka/`` inside.
    ``directory`` holds the public ``.asc`` files or Parquet tables of the same names; ``repeats``
    of ten stratified folds judge each model.

    Raises
    ------
    NotFound : no such folder or table. SchemaError : a table that cannot be read, naming it.
    """
    begun = time.perf_counter()
    progress("read", 0.0)
    bank = read_bank(Path(directory))
    clock = BankClock(scoring.AS_OF_US)
    with bank_engine(place, clock) as engine:
        arrived = arrive(engine, clock, bank, progress)
        trials = _trials(seed, repeats, progress)
        learnt = _learn(engine, bank, arrived, trials)
        progress("shelf", 0.97)
        clock.now_us = scoring.AS_OF_US
        shelf = one_shelf(engine, arrived, learnt, seed=seed)
        told = _figures(bank, arrived, learnt) | {"repeats": repeats}
        told |= {"workspace": str(engine.workspace.root), "seed": seed}
    progress("done", 1.0)
    return {**told, "seconds": round(time.perf_counter() - begun, 1), "shelf": shelf}


def _trials(seed: int, repeats: int, progress: Progress) -> dict[str, scoring.Trial]:
    """Return how each model is judged, by name; each fills a stretch of the progress."""

    def trial(name: str, first: float, last: float) -> scoring.Trial:
        def tell(share: float) -> None:
            progress(name, first + (last - first) * share)

        return scoring.Trial(seed, repeats, tell)

    return {
        "bad_loan": trial("bad loans", 0.25, 0.40),
        "loan": trial("later loans", 0.40, 0.58),
        "card": trial("later cards", 0.58, 0.77),
        "insurance": trial("insurance look-alikes", 0.77, 0.97),
    }


def _learn(
    engine: Engine, bank: Bank, arrived: Arrived, trials: Mapping[str, scoring.Trial]
) -> dict[str, scoring.Learnt]:
    """Return the four models by name."""
    loans = bank.loans
    loan_us = dict(zip(loans.account_id.tolist(), loans.day_us.tolist(), strict=True))
    taken = {"loan": loan_us, "card": bank.card_us}
    found = {"bad_loan": scoring.bad_loan(engine, bank, arrived, trial=trials["bad_loan"])}
    for name, days in taken.items():
        found[name] = scoring.demand(
            engine, arrived, days, target=f"later_{name}", trial=trials[name]
        )
    found["insurance"] = scoring.look_alike(engine, arrived, trial=trials["insurance"])
    return found


def _figures(bank: Bank, arrived: Arrived, learnt: dict[str, scoring.Learnt]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in learnt.items():
        found |= score_figures(name, one.model.card)
    return found | {
        "insurance_is": "look-alike of accounts that pay premia by 1994-03-31, not a forecast",
        "auc_is": "mean over repeats of the area pooled over 10 stratified folds; "
        "95 % interval: bootstrap over rows, the same rows for both models of a difference",
        "customers": len(set(arrived.customer_of.values())),
        "transactions": arrived.accepted + arrived.duplicate,
        "received": arrived.received,
        "accepted": arrived.accepted,
        "rejected": arrived.rejected,
        "duplicate": arrived.duplicate,
        "rejected_rows": list(arrived.faults),
        "consents_written": arrived.consents,
        "institutions": list(arrived.institutions),
        "tables": dict(bank.tables),
        "refused_features": list(REFUSED),
    }
