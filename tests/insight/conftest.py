"""A market small enough to count on fingers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from jinqiao.domain.metric import Metric
from jinqiao.domain.tables import BEHAVIOUR, DECISIONS, OUTCOMES
from jinqiao.insight import Facts, indicators
from jinqiao.store.memory import MemoryLake
from laws.feature_world import AS_OF_US, Row, at, table

PRODUCTS = {
    "p_loan": ("loan", "i_bank"), "p_card": ("credit_card", "i_bank"), "p_fund": ("fund", "i_fund"),
    "p_gone": ("loan", "i_old"),
}  # fmt: skip


class Market:
    """Rows added one by one; ``metrics`` computes the indicators over them."""

    def __init__(self) -> None:
        self.behaviour: list[Row] = []
        self.decisions: list[Row] = []
        self.outcomes: list[Row] = []
        self.customers = {"c1": "c1", "c2": "c2", "c3": "c3", "s4": "c1"}
        self.consents: list[tuple[str, str, bool]] = []
        self.payouts: tuple[int, ...] = ()
        self.clawbacks: tuple[int, ...] = ()

    def visit(self, who: str, session: str, days_ago: float, **more: Any) -> None:
        self.behaviour.append({
            "message_id": f"m{len(self.behaviour)}", "type": "page", "event": "page_viewed",
            "subject_id": who, "session_id": session,
            "occurred_at": at(days_ago), "received_at": at(days_ago),
        } | more)  # fmt: skip

    def show(self, trace: str, who: str, product: str, days_ago: float, **more: Any) -> None:
        self.decisions.append({
            "trace_id": trace, "position": 1, "customer_id": who, "session_id": f"v_{trace}",
            "product_id": product, "channel": "app", "scene": "home", "source": "own",
            "occurred_at": at(days_ago), "received_at": at(days_ago),
        } | more)  # fmt: skip

    def tell(
        self, trace: str, product: str, stage: str, days_ago: float, polarity: str = "reached",
        **more: Any,
    ) -> None:  # fmt: skip
        self.outcomes.append({
            "outcome_id": f"o{len(self.outcomes):03d}", "trace_id": trace, "position": 1,
            "click_id": trace, "customer_id": "c1", "product_id": product, "stage": stage,
            "polarity": polarity, "occurred_at": at(days_ago), "received_at": at(days_ago),
        } | more)  # fmt: skip

    def path(self, trace: str, product: str, *stages: tuple[str, float]) -> None:
        """Show an offer and tell each stage with the days before the as-of."""
        self.show(trace, "c1", product, stages[0][1])
        for stage, days_ago in stages:
            self.tell(trace, product, stage, days_ago)

    def lake(self) -> MemoryLake:
        lake = MemoryLake()
        rows = ((BEHAVIOUR, self.behaviour), (DECISIONS, self.decisions), (OUTCOMES, self.outcomes))
        for schema, own in rows:
            if own:
                lake.append(schema, table(schema, own), batch_id="all")
        return lake

    def facts(self) -> Facts:
        asked = [{"customer_id": c, "purpose": p, "granted": g} for c, p, g in self.consents]
        state = pa.schema([
            ("customer_id", pa.string()), ("purpose", pa.string()), ("granted", pa.bool_()),
        ])  # fmt: skip
        people = {"subject_id": list(self.customers), "customer_id": list(self.customers.values())}
        texts = pa.schema([("subject_id", pa.string()), ("customer_id", pa.string())])
        return Facts(
            pa.table(people, schema=texts), pa.Table.from_pylist(asked, schema=state), products(),
            self.payouts, self.clawbacks,
        )  # fmt: skip

    def metrics(self, window_days: int = 28) -> dict[str, Metric]:
        found = indicators(self.lake(), self.facts(), as_of_us=AS_OF_US, window_days=window_days)
        return {metric.name: metric for metric in found}


def products() -> pa.Table:
    """Return four products: three on sale, one withdrawn."""
    gone = [None, None, None, datetime.fromisoformat("2025-01-01")]
    return pa.table({
        "product_id": list(PRODUCTS),
        "product_class": [kind for kind, _ in PRODUCTS.values()],
        "institution_id": [owner for _, owner in PRODUCTS.values()],
        "launch_at": pa.nulls(4, pa.timestamp("us")),
        "withdraw_at": pa.array(gone, pa.timestamp("us")),
        "stopped": [False] * 4,
    })  # fmt: skip


@pytest.fixture
def market() -> Market:
    return Market()
