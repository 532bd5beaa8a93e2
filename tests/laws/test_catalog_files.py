"""Laws of files: no text can crash or hang the reader, and what is written reads back."""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jinqiao import catalog
from jinqiao.catalog.node import MAX_BYTES, parse, plain
from jinqiao.domain.feature import FeatureDictionary

ON = date(2026, 3, 1)
EMPTY = FeatureDictionary(())
FOLDER = Path(str(resources.files("jinqiao.catalog"))) / "templates" / "institutions"
BANK = (FOLDER / "qinghe_bank.yaml").read_text(encoding="utf-8")
LINES = BANK.splitlines(keepends=True)

KEYS = ("institution_id", "name", "zh", "en", "products", "limits", "cost", "hours", "schedule",
        "payout", "tiers", "fees", "delivery", "branches")  # fmt: skip
pieces = st.sampled_from(
    ["- ", ": ", "{", "}", "[", "]", "&a ", "*a", "!!int ", "|\n", ">\n", "---\n", "...\n",
     "%YAML 1.1\n", "\t", "  ", "\n", "#", "'", '"', "? ", "products", "institution_id", "~", "1e9",
     "0x1f", "<<: *a",
     "\x00", "\u2028", "\ufeff", "\ud800", "é", "清", "@", "`", "null", ".inf", "2026-02-30",
     "1:30"]
)  # fmt: skip
noise = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200),
    st.lists(pieces, max_size=40).map("".join),
    st.tuples(st.integers(0, len(LINES) - 1), st.lists(pieces, max_size=4).map("".join)).map(
        lambda pair: "".join(LINES[: pair[0]]) + pair[1] + "".join(LINES[pair[0] :])
    ),
    st.tuples(st.integers(0, len(BANK)), st.integers(0, len(BANK))).map(
        lambda pair: BANK[: min(pair)] + BANK[max(pair) :]
    ),
)


@settings(max_examples=300)
@given(content=noise)
def test_any_content_is_read_or_told_what_is_wrong(content: str | bytes) -> None:
    """Random bytes, YAML and mutilated files give faults or an institution, never a crash."""
    files = catalog.read_files({"x.yaml": content})
    faults = catalog.check(files, {}, EMPTY, ON)
    assert files.files[0].institution is not None or faults
    for fault in faults:
        assert fault.file == "x.yaml"
        assert fault.message
        assert str(fault)
    for fault in catalog.check_jurisdictions({"x.yaml": content}):
        assert fault.message


@given(content=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_mapping_is_read_or_told_what_is_wrong(content: Any) -> None:
    """The mapping form meets the same door."""
    if isinstance(content, dict):
        assert catalog.check(catalog.read_files({"x.yaml": content}), {}, EMPTY, ON)


BOMBS = {
    "deep flow": "a: " + "[" * 100_000,
    "deep maps": "{a: " * 50_000,
    "deep block": "\n".join("  " * depth + "a:" for depth in range(400)),
    "aliases": "a: &a [x, x]\n" + "\n".join(f"{c}: &{c} [*a, *a]" for c in "bcdefgh"),
    "merge": "a: &a {b: 1}\nc:\n  <<: *a\n",
    "huge": "a: " + "x" * (MAX_BYTES + 1),
    "many": "a: [" + "1," * 60_000 + "]",
    "long key": "k" * 5_000 + ": 1",
    "long number": "institution_id: " + "9" * 5_000,
    "long tag": "!" * 1_000_000,
    "one key often": "{" + "a," * 9_000 + "}",
    "one fault often": "products: [" + "1," * 9_000 + "]",
    "tag": "a: !!python/object/apply:os.system ['true']",
    "documents": "a: 1\n---\nb: 2\n",
    "directive": "%YAML 3.1\n---\na: 1\n",
    "control": 'a: "\\0"',
    "surrogate": 'a: "\\ud800"',
    "utf16": "a: 1".encode("utf-16"),
    "gbk": "name: {zh: 清河银行}".encode("gb18030"),
    "scalar": "hello",
    "list": "- a\n- b\n",
    "empty": "",
    "comment": "# nothing\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_a_reason(name: str) -> None:
    """Depth, size, aliases, tags and foreign encodings end in one clear sentence."""
    files = catalog.read_files({"bomb.yaml": BOMBS[name]})
    assert files.faults
    assert len(files.faults) <= 201
    assert all(len(str(fault)) < 400 for fault in files.faults)


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.dates().map(date.isoformat),
    words,
    st.sampled_from(
        ["true", "1", "1.5", "null", "~", "a: b", "- a", "#x", "'", "yes", "2026-01-01"]
    ),
)
records = st.dictionaries(
    words.filter(lambda word: len(word) < 100),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
        max_leaves=10,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=200)
@given(record=records)
def test_what_is_written_reads_back(record: dict[str, Any]) -> None:
    """Any mapping of plain values survives being written as YAML and read again."""
    node, faults = parse(catalog.write_text(record), "x.yaml")
    if node is None:
        assert all(value is None for value in record.values()), faults
        return
    assert plain(node) == record


def test_the_samples_survive_being_written() -> None:
    """A file read, written and read again describes the same institution."""
    for file in catalog.read_files(FOLDER).files:
        text = catalog.write_text(file.record)
        again = catalog.read_files({file.name: text}).files[0]
        assert not again.faults
        assert again.institution == file.institution
        mapping = catalog.read_files({file.name: file.record}).files[0]
        assert mapping.institution == file.institution
