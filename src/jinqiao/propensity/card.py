"""Model cards: what was learnt, from what, how well, and what it may be used for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jinqiao.domain.time import from_us
from jinqiao.propensity.measure import BASELINES

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel, ChainSpec
    from jinqiao.propensity.training import TrainingSet

__all__ = ["card_page", "chain_card"]


def chain_card(model: ChainModel, rows: TrainingSet, spec: ChainSpec, seed: int) -> dict[str, Any]:
    """Return the card as plain JSON values; ``version`` depends on data, seed and settings."""
    data = _data_hash(rows)
    by_name = rows.dictionary.by_name
    settings = {
        "click_rows": spec.click_rows,
        "stages": {
            stage.value: {
                name: getattr(one, name) if name != "monotone" else dict(one.monotone)
                for name in one.__dataclass_fields__
            }
            for stage, one in spec.stages.items()
        },
    }
    version = hashlib.sha256(
        json.dumps([data, seed, settings, rows.dictionary.version], sort_keys=True).encode()
    ).hexdigest()[:16]
    return {
        "version": f"chain-{version}",
        "purpose": rows.purpose.value,
        "trained_as_of": from_us(rows.as_of_us).isoformat(),
        "seed": seed,
        "data_sha256": data,
        "shown_offers": len(rows),
        "left_out": dict(rows.left_out),
        "open_cases": {
            stage.stage: int(np.isnan(part.delays.label).sum())
            for stage, part in zip(model.stages, rows.stages, strict=True)
        },
        "dictionary_version": rows.dictionary.version,
        "features": [
            {"name": name, "purposes": sorted(p.value for p in by_name[name].purposes)}
            for name, _ in rows.layout.features
        ],
        "settings": settings,
        "stages": {stage.stage: dict(stage.card) for stage in model.stages},
    }


def _data_hash(rows: TrainingSet) -> str:
    digest = hashlib.sha256()
    for array in (rows.shown_us, rows.product, rows.position, rows.snapshot, rows.customer):
        digest.update(np.ascontiguousarray(array).tobytes())
    for stage in rows.stages:
        digest.update(stage.delays.label.tobytes())
    for profile in rows.profiles:
        digest.update(profile.matrix.tobytes())
    return digest.hexdigest()


def card_page(card: Mapping[str, Any]) -> str:
    """Return the card as a Markdown page."""
    lines = [
        f"# Model card: {card['version']}",
        "",
        f"Purpose: `{card['purpose']}`. Trained as of {card['trained_as_of']} on "
        f"{card['shown_offers']:,} shown offers (seed {card['seed']}).",
        f"Data SHA-256: `{card['data_sha256']}`.",
        f"Feature dictionary: `{card['dictionary_version']}`.",
        "",
        "Figures are out of time: the latest 15 % of each stage's cases, never fitted on.",
    ]
    for name, stage in card["stages"].items():
        lines += ["", f"## {name}", "", _stage_line(stage, card["open_cases"].get(name, 0)), ""]
        if stage["metrics"]:
            lines += ["| model | log-loss | 95 % | AUC | 95 % | calibration error |",
                      "|---|---|---|---|---|---|"]  # fmt: skip
            lines += [_metric_line(kind, found) for kind, found in stage["metrics"].items()]
    lines += ["", "## Features", "", "| feature | purposes |", "|---|---|"]
    lines += [f"| {f['name']} | {', '.join(f['purposes'])} |" for f in card["features"]]
    return "\n".join(lines) + "\n"


def _stage_line(stage: Mapping[str, Any], waiting: int) -> str:
    text = (
        f"Served: **{stage['chosen']}**, from {stage['rows']:,} cases "
        f"with {stage['yes']:,.0f} yes; "
        f"{waiting:,} still open counted by their expected end. Calibration: slope "
        f"{stage['calibration']['slope']:.3f}, shift {stage['calibration']['shift']:.3f}."
    )
    text += "".join(f" {_beside(stage, name)}" for name in BASELINES if stage["metrics"])
    note = stage["note"]
    return f"{text} {note[0].upper()}{note[1:]}." if note else text


def _beside(stage: Mapping[str, Any], baseline: str) -> str:
    """Return one sentence: is the served model better than a baseline out of time, or not."""
    found = stage["metrics"].get(stage["chosen"], {}).get("gain", {}).get(baseline)
    if found is None:
        return ""
    gain, low, high = found
    name = {"constant": "a constant", "logistic": "a plain logistic regression"}[baseline]
    verdict = "beats" if low > 0 else "is worse than" if high < 0 else "is not told apart from"
    return f"It {verdict} {name}: {gain:+.4f} nats a case (95 % {low:+.4f} to {high:+.4f})."


def _metric_line(kind: str, found: Mapping[str, Any]) -> str:
    low, high = found["log_loss_ci"]
    left, right = found["auc_ci"]
    return (
        f"| {kind} | {found['log_loss']:.4f} | {low:.4f}–{high:.4f} | {found['auc']:.3f} "
        f"| {left:.3f}–{right:.3f} | {found['ece']:.4f} |"
    )
