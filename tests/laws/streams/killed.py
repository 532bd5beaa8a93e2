"""Play a stream in processes that are killed: at a chosen step, or at any instant at all.

Run as ``python -m laws.streams.killed``: one JSON job a line on standard input, one answer a line.
Each job runs in a fork, so what is imported is imported once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from laws.streams.steps import Steps, watched
from laws.streams.stream import Item, stream
from laws.streams.world import Delivery, on_disk

__all__ = ["Job", "chain"]


@dataclass(frozen=True)
class Job:
    """A stream of a few people in four pieces, some of it twice, and how often its process dies.

    ``mend``: everything refused is mended before the close.
    """

    folder: str
    seed: int
    kills: int
    records_url: str = ""
    mend: bool = False
    people: int = 12

    def items(self) -> list[Item]:
        return stream(self.seed, self.people, 0.3 if self.mend else 0.06)

    def batches(self) -> list[list[Item]]:
        return Delivery(self.seed, 40, 4).batches(self.items())


def chain(job: Job) -> dict[str, Any]:
    """Return which signals ended the processes, and the state after the last was left alive.

    Every other one dies before, in or after a step of a store (a transaction, an append), the
    others at an instant that only the clock knows. Each starts again with the first batch.
    """
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "laws.streams.killed"],
        input=json.dumps(asdict(job)), capture_output=True, text=True, check=False, cwd=here,
        env={"PYTHONPATH": str(here), "PATH": "/usr/bin:/bin", "TMPDIR": job.folder},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _play(job: Job, die_at: int, batches: Sequence[Sequence[Item]]) -> None:
    """Play every batch and close the books; then write down the state and the steps it took."""
    from laws.streams.state import state

    folder = Path(job.folder)
    world = on_disk(folder / "market", job.records_url)
    steps = Steps(die_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with watched(world.engine, steps):
        world.play(batches)
        if job.mend:
            world.mend()
        world.finish()
    found = {"state": state(world.engine), "steps": steps.count}
    world.engine.close()
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


def _fork(work: Callable[[], None], after_s: float | None = None) -> int:
    """Return the signal that ended a child, 0 for none; ``after_s`` kills it by the clock."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if status:
        raise SystemExit("a child failed")
    return 0


def _answer(job: Job) -> dict[str, Any]:
    import duckdb  # noqa: F401  (what every child needs is loaded before they fork)
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401
    import sqlalchemy  # noqa: F401

    from laws.streams import state  # noqa: F401

    chance, batches, folder = random.Random(job.seed), job.batches(), Path(job.folder)
    _fork(lambda: on_disk(folder / "market", job.records_url).engine.close())
    killed = []
    for number in range(job.kills):  # every child is let a little farther
        if number % 2 == 0:
            die_at = 25 + 15 * number + chance.randrange(20)
            killed.append(_fork(lambda at=die_at: _play(job, at, batches)))
        else:
            killed.append(_fork(lambda: _play(job, 0, batches), 0.3 + chance.random()))
    (folder / "found.json").unlink(missing_ok=True)
    last = _fork(lambda: _play(job, 0, batches))
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return {"killed": killed, "last": last, **found}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(Job(**json.loads(sys.stdin.read())))) + "\n")
