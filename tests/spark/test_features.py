"""The law of two engines: every feature, computed by DuckDB and by Apache Spark, is the same."""

from __future__ import annotations

import math
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jinqiao.domain.consent import Purpose
from jinqiao.domain.ledger import CATEGORIES
from jinqiao.domain.tables import LAKE_TABLES
from jinqiao.errors import InputError
from jinqiao.flow.spark_lake import SparkLake
from jinqiao.profile import build, build_at, dictionary
from jinqiao.store.lake import open_lake
from laws.feature_world import AS_OF, AS_OF_US, CLASSES, Row, World, table

pytestmark = pytest.mark.spark

CUSTOMERS = 120
NAMES = dictionary().names
DAY_US = 86_400_000_000


def world(seed: int) -> World:
    """Return a world of every kind of row: late, repeated, of no account, at the very as-of."""
    rng = np.random.default_rng(seed)
    made = World(customer_of={f"s{i}": f"s{i - i % 7 % 2}" for i in range(CUSTOMERS)})

    def pick(*choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    def base(key: str, number: int, owner: str) -> Row:
        back = pick(0, 30, 90, 180, *rng.integers(-3, 400, 8).tolist()) * 86_400
        moment = AS_OF - timedelta(seconds=back + int(pick(0, 1, rng.integers(0, 86_400))))
        late = timedelta(seconds=int(pick(0, 0, 3_600, 5 * 86_400, 200 * 86_400)))
        if number % 100:  # most come with a monthly batch, so that the lake has few files
            late += (AS_OF - moment - late) % timedelta(days=30)
        who = f"s{rng.integers(CUSTOMERS)}"
        return {
            key: f"{key[0]}{number}", owner: who, "occurred_at": moment,
            "received_at": moment + late,
        }  # fmt: skip

    for n in range(3_000):
        made.transactions.append(base("transaction_id", n, "subject_id") | {
            "account_id": f"a{rng.integers(200)}", "currency": pick("CNY", "CNY", "CNY", "USD"),
            "amount_minor": int(pick(0, 1, -1, *rng.integers(-2_000_000, 2_000_000, 6))),
            "category": pick(*CATEGORIES, "salary", "rent"), "instrument": pick("bank", "card"),
            "balance_minor": pick(None, int(rng.integers(-500_000, 5_000_000))),
        })  # fmt: skip
    for n in range(1_500):
        channel, scene = pick((None, None), ("app", "home"), ("web", "checkout"))
        made.behaviour.append(base("message_id", n, "subject_id") | {
            "event": pick("product_viewed", "offer_viewed", "ledger_viewed", "content_read"),
            "type": pick("track", "track", "page"), "session_id": pick(None, f"v{n // 4}"),
            "city_tier": pick(None, 1, 2, 5), "product_id": pick(None, *CLASSES, "p_gone"),
            "channel": channel, "scene": scene, "source": pick("own", "bought"),
        })  # fmt: skip
    for n in range(400):
        name, number, words = pick(
            ("birth_year", 1990, None), ("birth_year", 1800, None), ("risk_tolerance", 3, None),
            ("occupation", None, "gig"), ("occupation", None, "astronaut"),
            ("kind", None, "merchant"), ("city_tier", 2, None),
        )  # fmt: skip
        made.attributes.append(
            base("attribute_id", n, "subject_id")
            | {"attribute": name, "number": number, "text": words}
        )
    for n in range(500):
        made.decisions.append(base("trace_id", n, "customer_id") | {
            "position": 1, "product_id": pick(*CLASSES, "p_gone")
        })  # fmt: skip
    for n in range(900):
        made.outcomes.append(base("outcome_id", n, "customer_id") | {
            "trace_id": f"t{rng.integers(400)}", "position": 1,
            "product_id": pick(*CLASSES, "p_gone"),
            "stage": pick("click", "application", "approval", "activation"),
            "polarity": pick("reached", "reached", "refused", "reversed"),
            "sequence": int(rng.integers(3)),
        })  # fmt: skip
    return made


@pytest.fixture(scope="module")
def made() -> World:
    return world(1)


@pytest.fixture(scope="module")
def lake(spark: Any, made: World, tmp_path_factory: pytest.TempPathFactory) -> SparkLake:
    """Return the world's lake on disk, in two batches, as Spark reads it."""
    root = tmp_path_factory.mktemp("lake")
    with closing(open_lake(root, durable=False)) as written:
        for schema in LAKE_TABLES:
            rows = getattr(made, schema.name)
            for number, part in enumerate((rows[::2], rows[1::2])):
                written.append(schema, table(schema, part), batch_id=str(number))
    return SparkLake(spark, root)


def _differences(spark: pa.Table, duck: pa.Table) -> list[str]:
    """Return each value of a profile that is another on Spark, whole numbers exactly."""
    assert spark["customer_id"].to_pylist() == duck["customer_id"].to_pylist()
    told = []
    for name in duck.column_names:
        for who, mine, theirs in zip(
            duck["customer_id"].to_pylist(), duck[name].to_pylist(), spark[name].to_pylist(),
            strict=True,
        ):  # fmt: skip
            if not _same(mine, theirs):
                told.append(f"{name} of {who}: DuckDB {mine!r}, Spark {theirs!r}")
    return told


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and theirs is not None:
        return math.isclose(mine, float(theirs), rel_tol=1e-9, abs_tol=1e-9)
    return bool(mine == theirs)


def test_every_feature_is_the_same_on_spark(lake: SparkLake, made: World) -> None:
    """The whole dictionary, one moment for all: Spark's text gives what DuckDB's gives."""

    def built(store: Any) -> pa.Table:
        return build(
            store, made.customer_map, made.consent_state, as_of_us=AS_OF_US,
            purpose=Purpose.MEASURE, names=NAMES, products=made.products,
        )  # fmt: skip

    told = _differences(built(lake), built(made.lake()))
    assert not told, "\n".join(told[:40])


def test_each_customers_own_moment_is_the_same_on_spark(lake: SparkLake, made: World) -> None:
    """The whole dictionary, as of a moment of each customer's own: the same again."""
    customers = sorted(set(made.customer_of.values()))
    moments = pa.table({
        "customer_id": customers,
        "as_of_us": [AS_OF_US - i % 40 * DAY_US for i in range(len(customers))],
    })  # fmt: skip

    def built(store: Any) -> pa.Table:
        return build_at(
            store, made.customer_map, made.consent_state, moments,
            purpose=Purpose.MEASURE, names=NAMES, products=made.products,
        )  # fmt: skip

    told = _differences(built(lake), built(made.lake()))
    assert not told, "\n".join(told[:40])


def test_spark_reads_what_the_manifests_name(lake: SparkLake, made: World) -> None:
    """A table never written is empty, one written twice has each row once; batches are bounded."""
    counted = lake.query("select count(*) as n from transactions")
    assert counted["n"].to_pylist() == [len(made.transactions)]
    batches = list(lake.reader("select customer_id from decisions", batch_rows=100))
    assert max(batch.num_rows for batch in batches) <= 100
    assert sum(batch.num_rows for batch in batches) == len(made.decisions)


def test_a_session_in_another_zone_is_refused(spark: Any, tmp_path: Path) -> None:
    """Local hours would shift without a word."""
    spark.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")
    try:
        with pytest.raises(InputError, match="timeZone"):
            SparkLake(spark, tmp_path)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
