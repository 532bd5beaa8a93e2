"""One real workspace for every face: a small generated market, lived for some weeks, published.

Each test module gets a copy of its own, so that what one changes no other sees.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from jinqiao.flow.wiring import open_engine
from tests_faces import Lived


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """Return the workspace as it was lived; do not write into it: ``market`` is a copy."""
    from jinqiao import synthetic
    from jinqiao.flow.rehearse import SimulatedClock, open_market
    from jinqiao.flow.workspace import init_workspace

    root = tmp_path_factory.mktemp("lived") / "workspace"
    market = synthetic.market(300, 7, institutions=12, products=20)
    clock = SimulatedClock(market.start_us)
    with open_engine(workspace=init_workspace(root, samples=False), clock=clock) as engine:
        played = open_market(engine, market, clock, seed=7)
        played.arrive()
        played.log()
        first = market.log_days
        played.play(first + 7)
        played.wait(14)
        from jinqiao.flow import daily

        daily.daily(engine, seed=7)
        (root / ".generated").write_text("tests\n")
        (root / ".generated.clock").write_text(str(engine.clock()))
        with engine.records.reading() as tx:
            clicks = tx.find("clicks", {"reserved": True}, order_by=("-clicked_at",), limit=20)
        consents = played.consents()
    agreed = [user for user, name in played.customers.items() if name in consents]
    others = [user for user, name in played.customers.items() if name not in consents]
    return Lived(
        root, tuple(played.customers), tuple(agreed), tuple(others),
        tuple(row["trace_id"] for row in clicks),
    )  # fmt: skip


@pytest.fixture(scope="module")
def market(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Return a copy of the lived workspace for one module."""
    root = tmp_path_factory.mktemp("copy") / "workspace"
    shutil.copytree(lived.root, root)
    yield Lived(root, lived.logins, lived.consenting, lived.refusing, lived.traces)
    shutil.rmtree(root)
