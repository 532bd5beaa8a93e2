"""Content: both languages, approved word for word, beside what it is about."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from jinqiao import content
from jinqiao.content.pieces import digest_of
from jinqiao.domain.content import Material
from jinqiao.domain.stage import ProductClass
from jinqiao.errors import InputError, NotFound, SchemaError
from jinqiao.store.memory import MemoryRecords

SHIPPED = Path(str(resources.files("jinqiao.content"))) / "pieces"
NOW_US = 1_772_323_200_000_000
PIECES = content.load()


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.content_id)
def test_a_piece_is_short_and_in_both_languages(piece: Material) -> None:
    """A shipped piece has a title and 80 to 200 words in English and as much in Chinese."""
    assert 80 <= len(piece.body_en.split()) <= 200
    assert 120 <= sum("\u4e00" <= c <= "\u9fff" for c in piece.body_zh) <= 300
    assert 2 <= len(piece.title_zh) <= 30
    assert 5 <= len(piece.title_en) <= 60


def test_there_is_a_piece_for_every_class() -> None:
    """At least a dozen pieces cover every class, and some no class."""
    assert len(PIECES) >= 12
    assert {piece.product_class for piece in PIECES} == {None, *ProductClass}
    assert len({piece.digest for piece in PIECES}) == len(PIECES)


def test_nothing_promises() -> None:
    """No piece promises a return or an approval."""
    promises = (
        "guaranteed",
        "risk-free",
        "no risk",
        "sure to",
        "保证收益",
        "稳赚",
        "零风险",
        "必过",
        "包过",
    )
    for piece in PIECES:
        text = (piece.title_en + piece.body_en + piece.title_zh + piece.body_zh).lower()
        assert not [word for word in promises if word in text], piece.content_id


def test_an_edit_unapproves() -> None:
    """Approval is of the exact text: a changed letter is unapproved; the old text is not."""
    first = PIECES[0]
    texts = (first.title_zh, first.body_zh, first.title_en, first.body_en + "!")
    kind = first.product_class.value if first.product_class else ""
    edited = replace(first, body_en=texts[3], digest=digest_of(first.topic, kind, texts))
    with MemoryRecords().transaction() as tx:
        assert content.approve(tx, first, institution_id="bank", actor="ann", now_us=NOW_US)
        assert not content.approve(tx, first, institution_id="bank", actor="bob", now_us=NOW_US)
        assert content.approved(tx, PIECES) == (first,)
        assert content.approved(tx, [edited]) == ()
        assert content.approved(tx, [first], institutions=["other"]) == ()
        assert content.approved(tx, []) == ()


def test_an_approval_can_be_withdrawn() -> None:
    """A withdrawn approval no longer counts, and may be given again."""
    piece = PIECES[0]
    with MemoryRecords().transaction() as tx:
        content.approve(tx, piece, institution_id="bank", actor="ann", now_us=NOW_US)
        gone = content.disapprove(tx, piece, institution_id="bank", actor="bob", now_us=NOW_US + 1)
        assert gone
        assert content.approved(tx, PIECES) == ()
        assert not content.disapprove(tx, piece, institution_id="bank", actor="b", now_us=NOW_US)
        assert content.approve(tx, piece, institution_id="bank", actor="ann", now_us=NOW_US + 2)
        assert content.approved(tx, PIECES) == (piece,)
        with pytest.raises(InputError):
            content.approve(tx, piece, institution_id="bank", actor="", now_us=NOW_US)


@pytest.mark.parametrize("kind", ProductClass)
def test_a_piece_stands_beside_its_class(kind: ProductClass) -> None:
    """With one class on the shelf, the first piece is about it; no piece about another is shown."""
    ranked = content.rank(PIECES, [kind])
    assert ranked[0].product_class is kind
    assert {piece.product_class for piece in ranked} <= {kind, None}


def test_the_top_of_the_shelf_comes_first() -> None:
    """Pieces follow the order of the offers, one a topic; what was read steps back."""
    shelf = [ProductClass.FUND, ProductClass.LOAN, ProductClass.BNPL]
    ranked = content.rank(PIECES, shelf, count=4)
    assert [piece.product_class for piece in ranked][:2] == [ProductClass.FUND, ProductClass.LOAN]
    assert len({piece.topic for piece in ranked}) == 4
    read = content.rank(PIECES, shelf, read={ranked[0].content_id}, count=4)
    assert read[0].product_class is ProductClass.LOAN
    assert content.rank(list(reversed(PIECES)), shelf, count=4) == ranked
    assert content.rank(PIECES, [])[0].product_class is None


def test_a_folder_reads_as_the_shipped_one(tmp_path: Path) -> None:
    """Pieces copied into a workspace are the same pieces."""
    for path in SHIPPED.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert content.load(tmp_path) == PIECES
    with pytest.raises(NotFound):
        content.load(tmp_path / "none")


SOUND = """content_id = "a"
topic = "t"
[zh]
title = "甲"
body = "乙"
[en]
title = "A"
body = "B"
"""
FAULTS = [
    (SOUND.replace('"a"', '"A b"'), "content_id"),
    (SOUND.replace('topic = "t"\n', ""), "topic"),
    (SOUND.replace("[zh]", "[zz]"), "zz"),
    (SOUND.replace('body = "B"', 'body = ""'), "body"),
    (SOUND.replace('body = "B"', "body = 3"), "body"),
    (SOUND.replace('topic = "t"', 'topic = "t"\nproduct_class = "car"'), "product_class"),
    (SOUND.split("[en]", maxsplit=1)[0], "en"),
    (SOUND.replace("[en]", "[en"), "not TOML"),
    ("a = " + "[" * 3_000, "not TOML"),
    ("\x00", "not TOML"),
    ("#" * 70_000, "larger"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_a_faulty_piece_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A piece that cannot be used is refused with its file and field."""
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError) as caught:
        content.load(tmp_path)
    assert "x.toml" in str(caught.value)
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A file in another encoding, or two files with one id, end in a sentence."""
    (tmp_path / "x.toml").write_bytes(SOUND.encode("gb18030"))
    with pytest.raises(SchemaError, match="not TOML"):
        content.load(tmp_path)
    (tmp_path / "x.toml").write_text(SOUND, encoding="utf-8")
    (tmp_path / "y.toml").write_text(SOUND, encoding="utf-8")
    with pytest.raises(SchemaError, match="two pieces"):
        content.load(tmp_path)
