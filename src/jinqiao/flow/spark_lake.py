"""The lake as Apache Spark reads it: the same files, named by the same manifests.

In: a Spark session and the lake's folder on a disk that every executor sees. Out: the reading half
of the ``Lake`` contract, so that ``profile.build(SparkLake(session, folder), …)`` is computed on
the cluster. Always: queries are of the two-engine subset (``engines.sql``), so that the answer is
DuckDB's. From: Spark 4's Arrow interchange.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinqiao.domain.tables import LAKE_TABLES, TableSchema
from jinqiao.engines.sql import check, to_spark
from jinqiao.errors import InputError
from jinqiao.store.arrow import arrow_schema
from jinqiao.store.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SparkLake"]


class SparkLake:
    """``query`` and ``reader`` of a lake, answered by Spark. It never writes.

    Parameters
    ----------
    session : a ``pyspark.sql.SparkSession`` whose ``spark.sql.session.timeZone`` is UTC.
    root : the folder of ``store.lake.open_lake``.

    Raises
    ------
    InputError : the session's zone is another.
    """

    def __init__(self, session: Any, root: Path | str) -> None:
        zone = session.conf.get("spark.sql.session.timeZone")
        if zone not in ("UTC", "Etc/UTC"):
            raise InputError(
                f"a session in the zone {zone}", record="session",
                field="spark.sql.session.timeZone", fix="set it to UTC",
            )  # fmt: skip
        self._session = session
        self._root = Path(root).resolve()

    def query(
        self, sql: str, inputs: Mapping[str, pa.Table] | None = None, /, **params: object
    ) -> pa.Table:
        """Return the result of a checked query over lake tables and named inputs, (rows,).

        Raises SchemaError for SQL off the subset.
        """
        query = check(sql)
        given = dict(inputs or {})
        for schema in LAKE_TABLES:
            if schema.name in query.tables and schema.name not in given:
                self._files(schema).createOrReplaceTempView(schema.name)
        for name, table in given.items():
            self._session.createDataFrame(table).createOrReplaceTempView(name)
        wanted = {name: params[name] for name in query.parameters if name in params}
        return self._session.sql(to_spark(query, wanted)).toArrow()

    def reader(
        self,
        sql: str,
        inputs: Mapping[str, pa.Table] | None = None,
        /,
        *,
        batch_rows: int = 65_536,
        **params: object,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the same as record batches of at most ``batch_rows`` rows."""
        yield from self.query(sql, inputs, **params).to_batches(max_chunksize=batch_rows)

    def _files(self, schema: TableSchema) -> Any:
        """Return the table as committed by now."""
        manifest = Manifest(self._root / schema.name)
        manifest.refresh()
        paths = [str(manifest.folder / path) for path in manifest.files]
        if not paths:
            return self._session.createDataFrame(arrow_schema(schema).empty_table())
        whole = self._session.createDataFrame(arrow_schema(schema).empty_table()).schema
        return self._session.read.schema(whole).parquet(*paths)
