"""Stages of a training that is not finished: kept as each is done, so that none is done twice.

::

    <folder>/<stage>/model.json   the stage as plain values, its card, digests of the other two
    <folder>/<stage>/trees.txt    LightGBM text, absent without trees
    <folder>/<stage>/judged.npz   what it said of the latest rows

The folder is named after everything the training depends on; see ``work_key``. A stage is written
under a name nobody reads, and renamed when it is whole; a damaged one is as good as none.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jinqiao.propensity.card import chain_settings
from jinqiao.propensity.fingerprint import code_version, rows_sha256
from jinqiao.propensity.saved import stage_from, stage_json
from jinqiao.propensity.stage import Judged, StageModel

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainSpec
    from jinqiao.propensity.training import TrainingSet

__all__ = ["UnfinishedStages", "work_key"]

_COLUMNS = ("rows", "p", "y", "w")


def work_key(rows: TrainingSet, spec: ChainSpec, seed: int) -> str:
    """Return the digest of all that decides what training comes to, rows in their order."""
    parts = [rows_sha256(rows), chain_settings(spec), seed, code_version()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


class UnfinishedStages:
    """The ``StagesKept`` of a folder. ``told(stage, again)`` hears of each stage as it is there."""

    def __init__(
        self, folder: Path, names: tuple[str, ...], told: Callable[[str, bool], None] | None = None
    ) -> None:
        self.folder = folder
        self.names = names
        self._told = told or (lambda stage, again: None)

    def find(self, stage: str) -> StageModel | None:
        """Return a finished stage bit for bit as it was, or None."""
        home = self.folder / stage
        try:
            kept = json.loads((home / "model.json").read_text(encoding="utf-8"))
            trees = (home / "trees.txt").read_bytes() if kept["trees_sha256"] else None
            judged = (home / "judged.npz").read_bytes() if kept["judged_sha256"] else None
            whole = [kept["trees_sha256"], kept["judged_sha256"]] == [_sha(trees), _sha(judged)]
            if not whole or kept["names"] != list(self.names):
                return None
            text = trees.decode() if trees is not None else None
            model = stage_from(kept["stage"], self.names, kept["card"], text)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._told(stage, True)
        return model if judged is None else _with(model, judged)

    def keep(self, model: StageModel) -> None:
        """Write a finished stage down; it is there whole, or not at all."""
        draft = self.folder / f".{model.stage}-{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        trees = model.trees.encode() if model.trees is not None else None
        judged = _bytes(model.judged) if model.judged is not None else None
        for name, data in (("trees.txt", trees), ("judged.npz", judged)):
            if data is not None:
                _write(draft / name, data)
        kept = {
            "stage": stage_json(model), "card": dict(model.card), "names": list(self.names),
            "trees_sha256": _sha(trees), "judged_sha256": _sha(judged),
        }  # fmt: skip
        _write(draft / "model.json", json.dumps(kept, ensure_ascii=False).encode())
        shutil.rmtree(self.folder / model.stage, ignore_errors=True)
        os.replace(draft, self.folder / model.stage)
        self._told(model.stage, False)

    def drop(self) -> None:
        """Forget the work: its model is on record."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _with(model: StageModel, data: bytes) -> StageModel:
    from dataclasses import replace

    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return replace(model, judged=Judged(*(found[name] for name in _COLUMNS)))


def _bytes(judged: Judged) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(judged, name) for name in _COLUMNS})
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
