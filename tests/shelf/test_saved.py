"""A serving on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jinqiao import shelf
from jinqiao.errors import SchemaError, Unavailable
from jinqiao.shelf.serving import CustomerIndex

Serve = Callable[..., shelf.Serving]
Ask = Callable[..., shelf.Requests]


@pytest.fixture
def saved(tmp_path: Path, make_serving: Serve) -> Path:
    """Return the directory of a written serving."""
    return shelf.write(tmp_path / "snapshot", make_serving())


def test_a_serving_read_back_makes_the_same_shelves(
    saved: Path, make_serving: Serve, make_requests: Ask
) -> None:
    """Written and read, every row of every shelf is the same."""
    made, asked = make_serving(), make_requests(20)
    scorer = made.chances
    shelf.check(saved, chances=scorer)
    again = shelf.read(saved, chances=scorer)
    assert shelf.rank(again, asked).rows().equals(shelf.rank(made, asked).rows())
    assert again.settings == made.settings
    assert again.versions == made.versions


def test_arrays_are_mapped_and_read_only(saved: Path) -> None:
    """The big arrays are memory maps that refuse a write."""
    again = shelf.read(saved)
    assert isinstance(again.allowed, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        again.allowed[0, 0] = 1


def test_a_damaged_snapshot_is_refused(saved: Path, make_serving: Serve) -> None:
    """A missing file, a cut file, a NaN, another format: each is refused by name."""
    scorer = make_serving().chances

    def refused(name: str, content: bytes | None) -> None:
        path = saved / name
        good = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unavailable) as error:
            shelf.check(saved, chances=scorer)
        assert str(saved) in str(error.value)
        path.unlink(missing_ok=True)
        path.write_bytes(good)

    for name in ("profiles.arrow", "products.arrow", "allowed.npy", "serving.json", "sample.npy"):
        refused(name, None)
        refused(name, (saved / name).read_bytes()[:40])
    settings = json.loads((saved / "serving.json").read_text())
    refused("serving.json", json.dumps(settings | {"format": 99}).encode())
    refused("serving.json", json.dumps(settings | {"customers": 1}).encode())
    shelf.check(saved, chances=scorer)
    np.save(saved / "popularity.npy", np.full(12, np.nan))
    with pytest.raises(Unavailable, match="finite"):
        shelf.check(saved, chances=scorer)


def test_models_that_say_something_else_are_refused(saved: Path, make_serving: Serve) -> None:
    """The sample of chances written beside the arrays must be what the models say now."""
    scorer = make_serving().chances
    assert scorer is not None

    def other(*pairs: object) -> np.ndarray:
        return np.nextafter(scorer(*pairs), np.float32(1))

    with pytest.raises(Unavailable, match="models"):
        shelf.check(saved, chances=other)
    with pytest.raises(Unavailable, match="models"):
        shelf.check(saved)


def test_an_empty_catalogue_is_refused(tmp_path: Path, make_serving: Serve) -> None:
    """A snapshot without a product must not serve."""
    path = shelf.write(tmp_path / "empty", make_serving(p=0))
    with pytest.raises(Unavailable, match="product"):
        shelf.check(path)


def test_parts_that_do_not_fit_are_refused(make_serving: Serve) -> None:
    """A part of the wrong shape is a schema error that names it."""
    with pytest.raises(SchemaError, match="popularity"):
        make_serving(popularity=np.zeros(3))


def test_the_index_finds_every_customer_and_no_other(make_serving: Serve) -> None:
    """Every id leads to its row; an unknown one to −1."""
    ids = make_serving().profiles["customer_id"].combine_chunks()
    index = CustomerIndex.of(ids)
    assert index.rows(ids.to_pylist()).tolist() == list(range(len(ids)))
    assert index.find("nobody") == -1
