"""The whole loop on a generated market: one verb, one picture of what the product does."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jinqiao.customer import customer_of
from jinqiao.domain.shelf import Context, Shelf
from jinqiao.domain.time import from_us
from jinqiao.errors import InputError, Unavailable
from jinqiao.flow.intake import subjects_of
from jinqiao.flow.wiring import Engine, Progress, nothing_to_say, open_engine, system_clock
from jinqiao.flow.workspace import SETTINGS_FILE, init_workspace

if TYPE_CHECKING:
    from jinqiao.flow.evaluate import Evaluation
    from jinqiao.flow.live import Live
    from jinqiao.flow.rehearse import Rehearsal

__all__ = ["MARKER", "Demo", "FirstShelf", "run_demo"]

MARKER = ".generated"
"""A workspace made by a demo carries this file; only such a one is ever removed."""

_DAYS = 28
_TAIL_DAYS = 120
_SUBJECTS = 103
"""Names the stream of subject ids: in a generated market they follow the seed, so it can be played
again to the same shelves; in every other workspace they come from the system."""


@dataclass(frozen=True)
class FirstShelf:
    """The first shelf made by trained models and a solved plan."""

    shelf: Shelf
    user_id: str
    seconds: float
    certificate: dict[str, float]
    names: dict[str, tuple[str, str]]
    """Product id → its name, zh and en."""


@dataclass
class Demo:
    """What a demo made. ``figures`` is what ``figures.json`` holds."""

    root: Path
    figures: dict[str, Any]
    first: FirstShelf
    user_ids: tuple[str, ...] = field(default=())


def run_demo(
    root: Path,
    *,
    seed: int = 1,
    customers: int = 20_000,
    days: int = _DAYS,
    tail_days: int = _TAIL_DAYS,
    started: float | None = None,
    progress: Progress = nothing_to_say,
    first_shelf: Callable[[FirstShelf], None] | None = None,
    afresh: bool = False,
) -> Demo:
    """Play a generated market from its ledgers to settled statements, and compare with the truth.

    A 28-day random log, ``days`` under the plan while each baseline lives its own, then
    ``tail_days`` of outcomes. ``started``: ``time.perf_counter()`` when the process began.
    ``first_shelf`` is called as soon as there is one. Writes ``figures.json`` into ``root``.
    A market that was played there to its end, by this very code, is opened again and not played
    again, unless ``afresh``: its figures stand, its seconds are those of this opening.

    Raises InputError when ``root`` holds something that no demo made.
    """
    from jinqiao import synthetic
    from jinqiao.flow.rehearse import SimulatedClock, open_market

    begun = time.perf_counter() if started is None else started
    market = synthetic.market(customers, seed)
    signature = _signature(market.version, seed, customers, days, tail_days)
    if not afresh and _played(root, signature):
        return _open_again(root, begun, first_shelf)
    clock = SimulatedClock(market.start_us)
    workspace = init_workspace(_fresh(root), samples=False)
    (root / MARKER).write_text("{}", encoding="utf-8")
    chance = np.random.default_rng([seed, _SUBJECTS])
    with open_engine(workspace=workspace, clock=clock, chance=lambda: chance) as engine:
        played = open_market(engine, market, clock, seed=seed)
        played.arrive(_part(progress, "ledgers", 0.00, 0.08))
        _approve_content(engine)
        played.log(_part(progress, "random log", 0.08, 0.16))
        live = played.plan(market.log_days, _part(progress, "first plan", 0.16, 0.20))
        first = _first(played, live, begun)
        if first_shelf is not None:
            first_shelf(first)
        before = _evaluation_inputs(played, days)
        played.play(market.log_days + days, _part(progress, "under the plan", 0.20, 0.55))
        compared = _compare(before, _part(progress, "baselines", 0.55, 0.95))
        played.wait(tail_days, _part(progress, "outcomes", 0.95, 1.0))
        figures = _figures(played, before, compared, days + market.log_days + tail_days)
        figures |= {"seed": seed, "first_shelf_s": round(first.seconds, 2)}
        _keep_clock(engine)
    figures["total_s"] = round(time.perf_counter() - begun, 2)
    users = _some_users(played)
    _write_figures(root, figures)
    kept = {"signature": signature, "user_id": first.user_id, "users": users}
    (root / MARKER).write_text(json.dumps(kept), encoding="utf-8")
    return Demo(root, figures, first, users)


def _write_figures(root: Path, figures: dict[str, Any]) -> None:
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    (root / "figures.json").write_text(text, encoding="utf-8")


def _signature(*parts: object) -> str:
    """Return what a demo depends on: its arguments and every line of this package."""
    digest = hashlib.sha256(repr(parts).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*")):
        if path.suffix in (".py", ".toml"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _played(root: Path, signature: str) -> bool:
    """Return whether the same demo was played here to its end."""
    try:
        kept = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    done = (root / "figures.json").is_file() and (root / SETTINGS_FILE).is_file()
    return done and isinstance(kept, dict) and kept.get("signature") == signature


def _open_again(root: Path, begun: float, first_shelf: Callable[[FirstShelf], None] | None) -> Demo:
    """Return a demo played before: its figures, and a shelf made now by its models and plan."""
    from jinqiao.flow.live import open_live

    kept = json.loads((root / MARKER).read_text(encoding="utf-8"))
    figures: dict[str, Any] = json.loads((root / "figures.json").read_text(encoding="utf-8"))
    with open_engine(root, clock=demo_clock(root) or system_clock) as engine:
        live = open_live(engine)
        subject = str(subjects_of(engine, [kept["user_id"]])[0].as_py())
        with engine.records.reading() as tx:
            customer = customer_of(tx, subject)
        shelf = live.preview(customer, Context(from_us(engine.clock()), "demo", channel="app"))
        certificate = _certificate_of(engine)
    seconds = time.perf_counter() - begun
    first = FirstShelf(shelf, kept["user_id"], seconds, certificate, _names(live, shelf))
    if first_shelf is not None:
        first_shelf(first)
    total = time.perf_counter() - begun
    figures |= {
        "first_shelf_s": round(seconds, 2),
        "total_s": round(total, 2),
        "opened_again": True,
    }
    _write_figures(root, figures)
    return Demo(root, figures, first, tuple(kept["users"]))


def _certificate_of(engine: Engine) -> dict[str, float]:
    folder = engine.snapshots.current()
    if folder is None:
        raise Unavailable("nothing is published here", fix="play the demo afresh")
    report = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    names = ("primal_minor", "dual_bound_minor", "gap", "violation_max")
    return {name: float(report[name]) for name in names}


def _fresh(root: Path) -> Path:
    """Return an empty folder of that name; only an earlier demo is removed for it."""
    if root.exists() and any(root.iterdir()):
        if not (root / MARKER).is_file():
            raise InputError(
                "the folder was not made by a demo", record=str(root), fix="name another folder"
            )
        shutil.rmtree(root)
    return root


def _approve_content(engine: Engine) -> None:
    """Let an institution that sells the class approve each piece, as the market's would."""
    from jinqiao.flow.pieces import all_pieces, approve_piece

    sellers = {p.product_class: p.institution_id for p in reversed([*engine.catalog().products()])}
    anybody = next(iter(sellers.values()))
    for piece in all_pieces(engine):
        seller = sellers.get(piece.product_class, anybody) if piece.product_class else anybody
        approve_piece(engine, piece.content_id, institution_id=seller, actor="market")


def _part(progress: Progress, name: str, first: float, last: float) -> Progress:
    """Return a progress that fills one stretch of the whole."""

    def tell(step: str, share: float) -> None:
        progress(f"{name}: {step}", first + (last - first) * share)

    return tell


def _first(played: Rehearsal, live: Live, begun: float) -> FirstShelf:
    """Return the shelf of the first visitor with consent after the plan was made."""
    market = played.market
    live.refresh(played.clock())
    sessions = market.sessions(market.log_days)
    for row in sessions.slice(0, 500).to_pylist():
        customer = played.customers[row["user_id"]]
        at = from_us(played.clock() + 12 * 3_600_000_000)
        context = Context(
            at, row["session_id"], row["channel"], row["scene"], row["source"],
            row["visit_cost_minor"], row["city_tier"],
        )  # fmt: skip
        shelf = live.preview(customer, context)
        if shelf.personalised and len(shelf.offers) >= 3:
            break
    c = played.plans[-1].plan.certificate
    certificate = {
        "primal_minor": c.primal, "dual_bound_minor": c.dual_bound, "gap": c.gap,
        "violation_max": c.violation_max,
    }  # fmt: skip
    seconds = time.perf_counter() - begun
    return FirstShelf(shelf, row["user_id"], seconds, certificate, _names(live, shelf))


def _names(live: Live, shelf: Shelf) -> dict[str, tuple[str, str]]:
    products = (live.catalog.product(offer.product_id) for offer in shelf.offers)
    return {str(p.product_id): (p.name_zh, p.name_en) for p in products if p is not None}


def _evaluation_inputs(played: Rehearsal, days: int) -> Any:
    """Return what the baselines start from: the very state the plan starts from."""
    from jinqiao.flow import evaluate

    assert played.ready is not None
    ready, market = played.ready, played.market
    users = [u for b in market.blocks for u in market.users(b)["user_id"].to_pylist()]
    ids = [played.customers[u] for u in users]
    consents = played.consents()
    return evaluate.Inputs(
        market, played.life.fork(), ready.catalog, ready.serving,
        ready.serving.index.rows(ids), np.array([i in consents for i in ids], bool),
        first_day=market.log_days, days=days, seed=played.seed,
    )  # fmt: skip


def _compare(inputs: Any, progress: Progress) -> Evaluation:
    from jinqiao.flow import evaluate

    return evaluate.ladder(inputs, progress)


def _figures(played: Rehearsal, inputs: Any, compared: Evaluation, days: int) -> dict[str, Any]:
    from jinqiao import catalog as catalogs
    from jinqiao import settlement
    from jinqiao.flow import evaluate
    from jinqiao.flow.reported import report_of
    from jinqiao.synthetic import Market

    engine, market = played.engine, played.market
    assert isinstance(market, Market)
    own = evaluate.captured_by_plan(inputs, played.life)
    with engine.records.reading() as tx:
        over = catalogs.over_delivered_units(tx)
        journal = settlement.journal_sum(tx)
    worst = max(p.plan.certificate.violation_max for p in played.plans)
    catalog = engine.catalog()
    return {
        "world_version": market.version,
        "days": days,
        "customers": market.size,
        "institutions": len(catalog.institutions),
        "products": sum(1 for _ in catalog.products()),
        "value_of_oracle_pct": round(compared.of_oracle_pct(own.value_minor), 2),
        "value_of_static_pct": round(compared.of_static_pct(own.value_minor), 2),
        "value_of_bound_pct": round(compared.of_bound_pct(own.value_minor), 2),
        "baselines_pct": {k: round(v, 2) for k, v in compared.baselines_pct.items()},
        "references_minor": {k: round(v) for k, v in compared.references.items()},
        "refused_per_100": round(own.refused_per_100, 2),
        "plan_gap": max(p.plan.certificate.gap for p in played.plans),
        "plan_violation_max": worst,
        "over_delivered_units": over,
        "journal_sum_minor": journal,
        "reported": report_of(inputs, compared, own, played.life),
    }


def _keep_clock(engine: Engine) -> None:
    """Note the instant the market stands at, so that pages served later are of that day."""
    (engine.workspace.root / MARKER).with_suffix(".clock").write_text(str(engine.clock()))


def _some_users(played: Rehearsal) -> tuple[str, ...]:
    return tuple(list(played.customers)[:5])


def demo_clock(root: Path) -> Callable[[], int] | None:
    """Return the clock of a demo's workspace: its market's last instant, running on from there.

    It runs from when that instant was written down, so that a server and a command agree.
    """
    path = (root / MARKER).with_suffix(".clock")
    if not path.is_file() or not (root / SETTINGS_FILE).is_file():
        return None
    last, written = int(path.read_text()), path.stat().st_mtime_ns // 1000

    def clock() -> int:
        return last + max(time.time_ns() // 1000 - written, 0)

    return clock
