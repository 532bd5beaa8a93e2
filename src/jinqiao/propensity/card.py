"""Model cards: what was learnt, from what, how well, and what it may be used for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jinqiao.domain.time import from_us
from jinqiao.propensity.calibration import calibration_floor
from jinqiao.propensity.columns import other_columns
from jinqiao.propensity.fingerprint import code_version, data_sha256
from jinqiao.propensity.measure import BASELINES
from jinqiao.propensity.swapped import background

if TYPE_CHECKING:
    from jinqiao.domain.feature import Feature
    from jinqiao.propensity.chain import ChainModel, ChainSpec
    from jinqiao.propensity.stage import StageModel
    from jinqiao.propensity.training import TrainingSet

__all__ = ["card_page", "chain_card", "chain_settings", "chain_version"]


def chain_card(model: ChainModel, rows: TrainingSet, spec: ChainSpec, seed: int) -> dict[str, Any]:
    """Return the card as plain JSON values.

    ``version`` depends on data, instant, seed, settings, dictionary and code.
    """
    data, settings = data_sha256(rows), chain_settings(spec)
    by_name = rows.dictionary.by_name
    return {
        "version": chain_version(rows, spec, seed, data),
        "kind": "chain",
        "code_version": code_version(),
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
        "features": [_feature(by_name[name]) for name, _ in rows.layout.features],
        "other_columns": list(other_columns()),
        "background": background(rows),
        "settings": settings,
        "stages": {stage.stage: _stage(stage, seed) for stage in model.stages},
    }


def chain_version(rows: TrainingSet, spec: ChainSpec, seed: int, data: str | None = None) -> str:
    """Return the id a chain of these rows, settings and seed has, before it is trained."""
    found = data_sha256(rows) if data is None else data
    made_of = [
        found, rows.as_of_us, seed, chain_settings(spec), rows.dictionary.version, code_version(),
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return f"chain-{digest[:16]}"


def chain_settings(spec: ChainSpec) -> dict[str, Any]:
    """Return the settings of a chain as plain JSON values."""
    return {
        "click_rows": spec.click_rows,
        "stages": {
            stage.value: {
                name: getattr(one, name) if name != "monotone" else dict(one.monotone)
                for name in one.__dataclass_fields__
            }
            for stage, one in spec.stages.items()
        },
    }


def _feature(feature: Feature) -> dict[str, Any]:
    return {
        "name": feature.name, "type": feature.type, "unit": feature.unit,
        "purposes": sorted(p.value for p in feature.purposes), "zh": feature.zh, "en": feature.en,
    }  # fmt: skip


def _stage(stage: StageModel, seed: int) -> dict[str, Any]:
    """Return a stage's card; the served kind's calibration error with what chance alone shows."""
    card = dict(stage.card)
    if stage.judged is None or card["chosen"] not in card["metrics"]:
        return card
    rng = np.random.default_rng([seed, 48])
    mean, most = calibration_floor(stage.judged.p, stage.judged.w, rng)
    served = card["metrics"][card["chosen"]] | {"ece_floor": mean, "ece_floor_most": most}
    return card | {"metrics": card["metrics"] | {card["chosen"]: served}}


def card_page(card: Mapping[str, Any]) -> str:
    """Return the card as a Markdown page."""
    lines = [
        f"# Model card: {card['version']}",
        "",
        f"Purpose: `{card['purpose']}`. Trained as of {card['trained_as_of']} on "
        f"{card['shown_offers']:,} shown offers (seed {card['seed']}).",
        f"Data SHA-256: `{card['data_sha256']}`.",
        f"Feature dictionary: `{card['dictionary_version']}`. "
        f"Code: `{card.get('code_version', 'unknown')}`.",
        "",
        "Figures are out of time: the latest 15 % of each stage's cases, never fitted on. The "
        "calibration error stands beside what a perfectly calibrated model shows by chance.",
    ]
    for name, stage in card["stages"].items():
        lines += ["", f"## {name}", "", _stage_line(stage, card["open_cases"].get(name, 0)), ""]
        if stage["metrics"]:
            lines += ["| model | log-loss | 95 % | AUC | 95 % | calibration error | by chance |",
                      "|---|---|---|---|---|---|---|"]  # fmt: skip
            lines += [_metric_line(kind, found) for kind, found in stage["metrics"].items()]
    lines += _context_lines(card.get("context"))
    lines += ["", "## Features", "", "| feature | unit | purposes |", "|---|---|---|"]
    lines += [
        f"| {f['name']} | {f.get('unit') or '–'} | {', '.join(f['purposes'])} |"
        for f in card["features"]
    ]
    lines += ["", f"And of the product, the moment and the pair: {_listed(card)}."]
    lines += ["", "## Settings", "", "| stage | settings |", "|---|---|"]
    lines += [_settings_line(name, one) for name, one in card["settings"]["stages"].items()]
    return "\n".join(lines) + "\n"


def _listed(card: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in card.get("other_columns", ())) or "not told"


def _settings_line(stage: str, settings: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {value}" for name, value in settings.items() if value != {})
    return f"| {stage} | {told} |"


def _context_lines(found: Mapping[str, Any] | None) -> list[str]:
    """Return what time, place, channel and scene add, or nothing where it was not judged."""
    if not found:
        return []
    nats, low, high = found["nats"]
    text = (
        "Time, place, channel and scene, by the linear part with them and without, out of time: "
        f"{nats:+.4f} nats a shown offer (95 % {low:+.4f} to {high:+.4f}); AUC {found['auc']:.3f}, "
        f"without {found['auc_without']:.3f}."
    )
    if found["lift"] is not None:
        lift, low, high = found["lift"]
        text += (
            f" On {found['shelves']:,} logged shelves they change which offer comes first in "
            f"{found['differ']:.0%}, and clicks of the first by {lift:+.1%} ({low:+.1%} to "
            f"{high:+.1%})."
        )
    return ["", "## Context", "", text]


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
    floor = f"{found['ece_floor']:.4f}" if "ece_floor" in found else ""
    return (
        f"| {kind} | {found['log_loss']:.4f} | {low:.4f}–{high:.4f} | {found['auc']:.3f} "
        f"| {left:.3f}–{right:.3f} | {found['ece']:.4f} | {floor} |"
    )
