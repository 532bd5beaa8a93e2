"""Every error has its HTTP status and its exit code."""

from __future__ import annotations

import pytest

from jinqiao import errors
from jinqiao.errors import JinqiaoError
from jinqiao.faces.status import STATUS, problem, status_of

TREE = [getattr(errors, name) for name in errors.__all__]


def test_the_table_is_complete() -> None:
    """Every class of the error tree stands in the one table, and nothing else does."""
    assert set(STATUS) == set(TREE)


@pytest.mark.parametrize("kind", TREE)
def test_each_error_becomes_a_problem(kind: type[JinqiaoError]) -> None:
    """Any error is told by RFC 9457: type, title, status, detail, and what to mend."""
    error = kind("it broke", record="file.yaml:3", field="rate_bps", fix="mend it")
    body = problem(error, "req_1")
    status = status_of(error)
    assert 400 <= body["status"] == status.http <= 503
    assert 1 <= status.exit_code <= 125
    assert body["type"].endswith(f"#{error.code}")
    assert body["detail"] == "it broke"
    assert (body["record"], body["field"], body["fix"]) == ("file.yaml:3", "rate_bps", "mend it")
    assert body["trace_id"] == "req_1"


def test_what_is_not_known_is_left_out() -> None:
    """A problem has no empty fields."""
    assert set(problem(errors.NotFound("none"))) == {"type", "title", "status", "detail", "code"}


def test_a_new_error_has_its_parents_status() -> None:
    """An error class that the table does not name is told as its nearest parent."""

    class Newer(errors.QuotaExceeded):
        pass

    assert status_of(Newer("full")) == STATUS[errors.QuotaExceeded]
    assert status_of(Newer) == STATUS[errors.QuotaExceeded]
