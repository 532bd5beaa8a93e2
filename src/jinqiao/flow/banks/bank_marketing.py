"""Bank-marketing calls (bank-additional-full): forecast a term deposit without hindsight.

Rows are in the order of the calls. ``duration`` is refused: it is known only after the call.

Source: Moro, Cortez & Rita, "A data-driven approach to predict the success of bank telemarketing",
Decision Support Systems 62, 2014 (UCI 222, CC BY 4.0).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jinqiao.errors import NotFound, SchemaError
from jinqiao.flow.banks.evidence import refuse_columns
from jinqiao.flow.banks.figures import rounded
from jinqiao.flow.wiring import Progress, nothing_to_say

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FEATURES", "read_calls", "run", "run_table"]

FEATURES = (
    "age", "job", "marital", "education", "default", "housing", "loan", "contact", "month",
    "day_of_week", "campaign", "pdays", "previous", "poutcome", "emp.var.rate", "cons.price.idx",
    "cons.conf.idx", "euribor3m", "nr.employed",
)  # fmt: skip
TARGET = "y"
_TENTHS = 10
_HELD_OUT = 0.2


def run(file: Path, *, seed: int = 1, progress: Progress = nothing_to_say) -> dict[str, Any]:
    """Return the figures of a bank-additional-full file, CSV (``;``) or Parquet.

    ``term_deposit_auc``: trained on the first 80 % of rows, area on the last 20 %.
    ``term_deposit_auc_rolling``: each block of 600 rows by a model of all earlier rows, pooled.
    ``term_deposit_auc_rolling_second_half``: the same, of the rows that chose no setting.
    ``yes_rate_by_tenth``: how the answer drifts; both figures are to be read beside it.

    Raises
    ------
    NotFound : no such file. SchemaError : it cannot be read, or a column or value is wrong.
    """
    progress("read", 0.0)
    return run_table(read_calls(file), seed=seed, progress=progress)


def run_table(
    table: pa.Table,
    *,
    features: tuple[str, ...] = FEATURES,
    seed: int = 1,
    progress: Progress = nothing_to_say,
) -> dict[str, Any]:
    """Return the same figures of a table in memory; ``features`` with ``duration`` are refused."""
    from jinqiao.propensity.rolling import BLOCK_ROWS, area_with_interval, follow, rolling

    begun = time.perf_counter()
    refuse_columns("bank_marketing", features)
    _check(table, features)
    x, y = _numbers(table.select(list(features))), _answers(table)
    learn = follow(seed)
    split = int(len(y) * (1 - _HELD_OUT))
    progress("the last 20 % of rows", 0.02)
    ahead = np.full(len(y), np.nan)
    ahead[split:] = learn(x[:split], y[:split], x[split:])
    last, last_ci = area_with_interval(ahead, y, seed=seed)

    def tell(share: float) -> None:
        progress("rolling", 0.05 + 0.93 * share)

    scores = rolling(x, y, learn, progress=tell)
    pooled, pooled_ci = area_with_interval(scores, y, seed=seed)
    behind = np.where(np.arange(len(y)) >= len(y) // 2, scores, np.nan)
    second, second_ci = area_with_interval(behind, y, seed=seed)
    progress("done", 1.0)
    rates = [float(part.mean()) for part in np.array_split(y, _TENTHS)]
    return {
        "term_deposit_auc": rounded(last),
        "term_deposit_auc_ci": rounded(last_ci),
        "term_deposit_auc_rolling": rounded(pooled),
        "term_deposit_auc_rolling_ci": rounded(pooled_ci),
        "term_deposit_auc_rolling_second_half": rounded(second),
        "term_deposit_auc_rolling_second_half_ci": rounded(second_ci),
        "rolling_block_rows": BLOCK_ROWS,
        "rolling_rows": int(np.isfinite(scores).sum()),
        "yes_rate_first_tenth": rounded(rates[0]),
        "yes_rate_last_tenth": rounded(rates[-1]),
        "yes_rate_by_tenth": rounded(rates),
        "yes_rate_last_20_pct": rounded(float(y[split:].mean())),
        "rows": len(y),
        "refused_features": ["duration"],
        "seed": seed,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def read_calls(file: Path) -> pa.Table:
    """Return the file's table as it is; raise NotFound or SchemaError naming the file."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    if not file.is_file():
        raise NotFound(
            "no such file", record=str(file), fix="name bank-additional-full.csv or its Parquet"
        )
    try:
        if file.suffix.lower() == ".parquet":
            return pq.read_table(file)
        with file.open("rb") as lines:
            first = lines.readline()
        mark = ";" if first.count(b";") >= first.count(b",") else ","
        return csv.read_csv(file, parse_options=csv.ParseOptions(delimiter=mark, quote_char='"'))
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"cannot be read: {error}", record=str(file)) from error


def _check(table: pa.Table, features: tuple[str, ...]) -> None:
    for name in (*features, TARGET):
        if name not in table.column_names:
            raise SchemaError(
                "the column is missing", record="bank-additional-full", field=name,
                fix="use bank-additional-full, not bank-full: it has the economic indicators",
            )  # fmt: skip


def _answers(table: pa.Table) -> NDArray[np.float64]:
    words = table[TARGET].cast("string").to_pylist()
    for row, word in enumerate(words, 1):
        if word not in ("yes", "no"):
            raise SchemaError(f"{word!r} is neither yes nor no", record=f"row {row}", field=TARGET)
    return np.array([word == "yes" for word in words], np.float64)


def _numbers(table: pa.Table) -> NDArray[np.float64]:
    """Return the columns as numbers, a text as one 0/1 column a value, (n, k) float64."""
    import pyarrow as pa

    parts: list[NDArray[np.float64]] = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            parts.append(np.asarray(column.cast(pa.float64()).to_numpy(), np.float64))
            continue
        codes = column.cast(pa.string()).combine_chunks().dictionary_encode()
        words = codes.dictionary.to_pylist()
        index = codes.indices.fill_null(-1).to_numpy()
        parts += [(index == words.index(word)).astype(np.float64) for word in sorted(words)]
    return np.ascontiguousarray(np.column_stack(parts))
