"""Files received: NDJSON, CSV and Parquet, read in blocks; a line that cannot be read is one row.

Every physical record of a file is counted once: it becomes a row, or a refused row that keeps its
bytes as they were.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from jinqiao.domain.tables import TableSchema
from jinqiao.engines import tables
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.events.intake import (
    BLOCK_ROWS,
    Checked,
    accept_table,
    check_messages,
    check_table,
    commit,
)
from jinqiao.events.received import KINDS, RAW, Batch, Door, Received, total
from jinqiao.events.segment import read_messages
from jinqiao.events.values import Faults, table_of_rows, table_of_texts

__all__ = ["accept_file", "check_lines"]

LINE_BYTES = 1024 * 1024
MESSAGE_BLOCK = 10_000


def accept_file(door: Door, batch: Batch, kind: str, path: Path) -> Received:
    """Return what became of a file's rows.

    ``kind`` is behaviour, transactions or attributes (the RAW_* columns by name, as NDJSON, CSV
    with a header, or Parquet) or messages (Segment messages, NDJSON). The suffix tells the format:
    ``.ndjson``/``.jsonl``, ``.csv``, ``.parquet``. Raises NotFound for no file, SchemaError for a
    header or a Parquet schema that does not fit; then nothing was taken.
    """
    if kind not in KINDS:
        raise InputError(f"no kind {kind!r}", field="kind", fix=f"use one of {', '.join(KINDS)}")
    if not path.is_file():
        raise NotFound(f"no file {str(path)!r}", record=str(path))
    suffix = path.suffix.lower()
    if suffix in (".ndjson", ".jsonl"):
        return _lines(door, batch, kind, path)
    if kind != "messages" and suffix == ".csv":
        return _csv(door, batch, kind, path)
    if kind != "messages" and suffix == ".parquet":
        return _parquet(door, batch, kind, path)
    raise InputError(
        f"a {suffix or 'nameless'} file cannot hold {kind}",
        record=str(path),
        fix="use .ndjson for messages; .ndjson, .csv or .parquet for rows",
    )


def check_lines(
    kind: str, lines: Sequence[bytes], first_row: int, batch: Batch, arrivals: Sequence[int] | None
) -> Checked:
    """Return NDJSON lines as a checked block; ``arrivals`` gives each line its own arrival (µs)."""
    if kind == "messages":
        read = read_messages(lines, first_row=first_row, record=batch.source)
        return check_messages(read, arrivals or batch.now_us)
    raw, _ = RAW[kind]
    faults = Faults(first_row, batch.source)
    rows = [_object(line, place, faults) for place, line in enumerate(lines)]
    if arrivals is not None:
        for row, arrival in zip(rows, arrivals, strict=True):
            if row is not None and row.get("received_at") is None:
                row["received_at"] = arrival
    table = table_of_rows(rows, raw, faults)
    return check_table(kind, table, faults, batch.now_us, lambda place: lines[place])


def _lines(door: Door, batch: Batch, kind: str, path: Path) -> Received:
    size = MESSAGE_BLOCK if kind == "messages" else BLOCK_ROWS
    parts, first_row = [], 1
    for number, lines in enumerate(_blocks(_records(path), size)):
        checked = check_lines(kind, lines, first_row, batch, None)
        parts.append(commit(door, batch.part(number), checked))
        first_row += len(lines)
    return total(parts)


def _records(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file that are not blank; an endless one in pieces of LINE_BYTES."""
    with path.open("rb") as file:
        first = True
        while line := file.readline(LINE_BYTES):
            text = line.removeprefix(b"\xef\xbb\xbf") if first else line
            first = False
            if text.strip():
                yield text.rstrip(b"\r\n")


def _object(line: bytes, place: int, faults: Faults) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        faults.mark(place, "intake_not_json", "row")
        return None
    if not isinstance(row, dict):
        faults.mark(place, "intake_not_an_object", "row")
        return None
    return row


def _blocks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    block: list[Any] = []
    for item in items:
        block.append(item)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _parquet(door: Door, batch: Batch, kind: str, path: Path) -> Received:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        tables.check(file.schema_arrow.empty_table(), RAW[kind][0], record=str(path))
        table = pa.Table.from_batches(file.iter_batches(BLOCK_ROWS), schema=file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(
            f"the file cannot be read as Parquet: {error}", record=str(path)
        ) from error
    return accept_table(door, batch, kind, table)


@dataclass(slots=True)
class _CsvBlock:
    """Records of a CSV file: their cells (None where unreadable) and their own text."""

    cells: list[list[str] | None] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    codes: dict[int, str] = field(default_factory=dict)

    def add(self, cells: list[str] | None, text: bytes, code: str = "") -> None:
        if code:
            self.codes[len(self.cells)] = code
        self.cells.append(cells)
        self.texts.append(text)


def _csv(door: Door, batch: Batch, kind: str, path: Path) -> Received:
    raw, _ = RAW[kind]
    records = _csv_records(path)
    _, head = next(records, (None, b""))
    names = _header(head, raw, path)
    parts, first_row = [], 1
    for number, block in enumerate(_csv_blocks(records, len(names))):
        checked = _csv_checked(kind, names, block, (first_row, batch))
        parts.append(commit(door, batch.part(number), checked))
        first_row += len(block.cells)
    return total(parts)


def _header(head: bytes, raw: TableSchema, path: Path) -> list[str]:
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    names = [name.strip() for name in next(csv.reader([text]), [])]
    wanted = {column.name for column in raw.columns if not column.nullable}
    lacking = sorted(wanted - set(names))
    extra = [name for name in names if name not in raw.names]
    if lacking or extra or len(set(names)) != len(names):
        shown = (lacking or extra or names)[0][:64]
        raise SchemaError(
            "the header does not fit",
            record=f"{path}: line 1",
            field=shown,
            fix=f"columns are {', '.join(raw.names)}",
        )
    return names


def _csv_checked(kind: str, names: list[str], block: _CsvBlock, at: tuple[int, Batch]) -> Checked:
    raw, _ = RAW[kind]
    first_row, batch = at
    faults = Faults(first_row, batch.source)
    for place, code in block.codes.items():
        faults.mark(place, code, "row", columns=len(names))
    texts = dict.fromkeys(raw.names, [None] * len(block.cells)) | {
        name: [(cells[i] or None) if cells else None for cells in block.cells]
        for i, name in enumerate(names)
    }
    table = table_of_texts(texts, raw, faults)
    return check_table(kind, table, faults, batch.now_us, lambda p: _as_json(names, block, p))


def _as_json(names: list[str], block: _CsvBlock, place: int) -> bytes:
    """Return a refused record as an object when its cells are known, else its own bytes."""
    cells = block.cells[place]
    if cells is None:
        return block.texts[place]
    return msgspec.json.encode(dict(zip(names, cells, strict=True)))


def _csv_blocks(records: Iterator[tuple[Any, bytes]], width: int) -> Iterator[_CsvBlock]:
    for some in _blocks(records, BLOCK_ROWS):
        block = _CsvBlock()
        for cells, text in some:
            if cells is not None and len(cells) == width:
                block.add(cells, text)
            elif cells is None or b"\n" not in text.rstrip(b"\r\n"):
                block.add(None, text, "intake_not_csv" if cells is None else "intake_wrong_width")
            else:  # a stray quote swallowed line ends: each line for itself
                for line in filter(bytes.strip, text.splitlines(keepends=True)):
                    alone = _alone(line)
                    fits = alone is not None and len(alone) == width
                    block.add(alone if fits else None, line, "" if fits else "intake_wrong_width")
        yield block


def _alone(line: bytes) -> list[str] | None:
    try:
        return next(csv.reader([line.decode()]), None)
    except (csv.Error, UnicodeDecodeError):
        return None


def _csv_records(path: Path) -> Iterator[tuple[list[str] | None, bytes]]:
    """Yield (cells or None, own bytes) of every record; blank lines are no records."""
    with path.open("rb") as file:
        taken: list[bytes] = []

        def lines() -> Iterator[str]:
            while line := file.readline(LINE_BYTES):
                taken.append(line)
                yield line.decode("utf-8", "surrogateescape")

        source = lines()
        reader = csv.reader(source)
        while True:
            taken.clear()
            cells: list[str] | None
            try:
                cells = next(reader)
            except StopIteration:
                if taken:
                    yield None, b"".join(taken)
                return
            except csv.Error:
                cells, reader = None, csv.reader(source)
            text = b"".join(taken)
            if text.strip():
                yield cells, text
