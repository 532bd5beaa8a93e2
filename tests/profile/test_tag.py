"""Tags and audiences: saved rules, versions, live counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from jinqiao.domain.consent import Purpose
from jinqiao.engines.rules import parse
from jinqiao.errors import ConsentError, NotFound, SchemaError
from jinqiao.profile import (
    Tag,
    audience,
    count,
    counts,
    default_tags,
    dictionary,
    install_tags,
    retire_tag,
    save_tag,
    tags,
)
from jinqiao.store.base import Records, Tx
from jinqiao.store.memory import MemoryRecords
from jinqiao.store.records import open_records


@pytest.fixture(params=["memory", "sqlite"])
def tx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tx]:
    records: Records = MemoryRecords()
    if request.param == "sqlite":
        records = open_records(f"sqlite:///{tmp_path}/records.db")
        records.migrate()
    with records.transaction() as opened:
        yield opened


PROFILES = pa.table({
    "customer_id": ["c1", "c2", "c3"],
    "age": pa.array([30, None, 61], pa.int64()),
    "occupation": ["gig", "student", None],
})  # fmt: skip
YOUNG = Tag("young", "年轻", "young", "age < 40")


def test_a_rule_counts_and_names_its_customers() -> None:
    """Unknown does not hold, in the count and in the audience alike."""
    assert count(PROFILES, "age >= 18") == 2
    assert audience(PROFILES, "age >= 18 or occupation = 'student'").to_pylist() == [
        "c1", "c2", "c3",
    ]  # fmt: skip
    assert audience(PROFILES, YOUNG).to_pylist() == ["c1"]


def test_many_tags_are_counted_in_one_pass() -> None:
    """Counts by name equal each count alone."""
    chosen = [YOUNG, Tag("gig", "零工", "gig", "occupation = 'gig'")]
    assert counts(PROFILES, chosen) == {"young": 1, "gig": 1}
    assert counts(PROFILES, []) == {}


def test_a_rule_over_a_feature_these_profiles_may_not_have_is_refused() -> None:
    """A profile for one purpose cannot answer a rule over a feature of another."""
    with pytest.raises(ConsentError, match="gambling_share"):
        count(PROFILES, "gambling_share > 0.1")


def test_a_saved_tag_has_versions(tx: Tx) -> None:
    """Saving the same again changes nothing; another rule is another version."""
    assert save_tag(tx, YOUNG, author="ann", now_us=1).version == 1
    assert save_tag(tx, YOUNG, author="bob", now_us=2).version == 1
    changed = Tag("young", "年轻", "young", "age < 35")
    assert save_tag(tx, changed, author="bob", now_us=3).version == 2
    assert [tag.rule for tag in tags(tx)] == ["age < 35"]
    assert tx.count("tags") == 2


def test_a_retired_tag_is_gone_and_can_come_back(tx: Tx) -> None:
    """Retiring leaves the versions; saving again is the next one."""
    save_tag(tx, YOUNG, author="ann", now_us=1)
    retire_tag(tx, "young", now_us=2)
    assert tags(tx) == ()
    with pytest.raises(NotFound):
        retire_tag(tx, "young", now_us=3)
    assert save_tag(tx, YOUNG, author="ann", now_us=4).version == 2


@pytest.mark.parametrize(
    "tag",
    [
        Tag("Young", "年轻", "young", "age < 40"),
        Tag("young", "", "young", "age < 40"),
        Tag("young", "年轻", "young", " "),
        Tag("young", "年轻", "young", "shoe_size < 40"),
        Tag("young", "年轻", "young", "age < 40", kind="list"),
    ],
)
def test_a_bad_tag_is_refused(tx: Tx, tag: Tag) -> None:
    """Names, labels, kinds and rules are checked before anything is written."""
    with pytest.raises(SchemaError):
        save_tag(tx, tag, author="ann", now_us=1)
    assert tx.count("tags") == 0


def test_the_shipped_tags_are_good_and_serve_the_shelf(tx: Tx) -> None:
    """Every shipped rule parses over features that personalisation may use; they install once."""
    allowed = dictionary().allowed(Purpose.PERSONALISE).by_name
    for tag in default_tags():
        parse(tag.rule, allowed)
    assert len(install_tags(tx, now_us=1)) == len(default_tags())
    assert install_tags(tx, now_us=2) == ()
