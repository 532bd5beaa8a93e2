"""A marketplace at work, its pages in process, over a socket, and in a real browser."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from jinqiao.faces.api import app
from jinqiao.flow.access import RateLimits
from jinqiao.flow.keys import key_create, new_session
from jinqiao.flow.pieces import all_pieces, approve_piece
from jinqiao.flow.serve import Service, open_service
from left_out import leave_out
from tests_faces import Lived

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def shop(lived: Lived, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service on a copy of the lived workspace, with every piece approved but one."""
    root = tmp_path_factory.mktemp("pages") / "workspace"
    shutil.copytree(lived.root, root)
    with Lived(root, lived.logins, lived.consenting, lived.refusing).engine() as engine:
        house = engine.catalog().institutions[0].institution_id
        for piece in all_pieces(engine)[1:]:
            approve_piece(engine, piece.content_id, institution_id=house, actor="test")
        yield open_service(engine)


@pytest.fixture(scope="session")
def site(shop: Service) -> Iterator[str]:
    """Return the address of the pages, served on a socket."""
    plenty = RateLimits(burst=100_000, per_second=10_000.0)
    made = app(shop, limits=plenty, log=_Quiet())
    server = uvicorn.Server(uvicorn.Config(made, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=30)


@pytest.fixture
def pages(shop: Service) -> Iterator[TestClient]:
    """Return a visitor nobody knows, who reads English."""
    with _client(shop) as client:
        yield client


@pytest.fixture
def enter(shop: Service) -> Iterator[Callable[[str], TestClient]]:
    """Return a way to come in as one of the market's logins."""
    opened: list[TestClient] = []

    def come_in(login: str) -> TestClient:
        client = _client(shop)
        opened.append(client)
        answer = client.get("/enter", params={"token": new_session(shop.engine, login).token})
        assert answer.url.path == "/shelf", answer.text
        return client

    yield come_in
    for client in opened:
        client.close()


def _client(shop: Service) -> TestClient:
    plenty = RateLimits(burst=100_000, per_second=10_000.0)
    made = app(shop, limits=plenty, log=_Quiet())
    return TestClient(made, headers={"accept-language": "en"}, raise_server_exceptions=True)


@pytest.fixture(scope="session")
def operator_key(shop: Service) -> str:
    """Return an operator's key."""
    return str(key_create(shop.engine, "operator")["secret"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return the system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    if found is None:
        leave_out("browser: no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


class _Quiet:
    """A log that nobody reads."""

    def info(self, *_: object, **__: object) -> None: ...

    error = warning = debug = info
