"""A chain on disk: LightGBM text, plain JSON, and the card as JSON and Markdown. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from jinqiao.domain.consent import Purpose
from jinqiao.domain.feature import FeatureDictionary
from jinqiao.errors import ConsentError, NotFound, SchemaError
from jinqiao.propensity.card import card_page
from jinqiao.propensity.chain import ChainModel
from jinqiao.propensity.columns import Layout
from jinqiao.propensity.linear import Linear, Scaling
from jinqiao.propensity.outcomes import CHAIN
from jinqiao.propensity.stage import StageModel

__all__ = ["load", "save", "stage_from", "stage_json"]

_FORMAT = 1


def save(model: ChainModel, directory: Path | str) -> Path:
    """Write a chain into a directory (made if absent) and return it."""
    root = Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    settings = {
        "format": _FORMAT,
        "features": [[name, list(values)] for name, values in model.layout.features],
        "columns": list(model.layout.names),
        "products": list(model.products),
        "institutions": list(model.institutions),
        "rates": _plain(model.rates),
        "class_rates": _plain(model.class_rates),
        "house_rates": _plain(model.house_rates),
        "stages": [stage_json(stage) for stage in model.stages],
    }
    for stage in model.stages:
        path = root / f"{stage.stage}.txt"
        path.unlink(missing_ok=True)
        if stage.trees is not None:
            path.write_text(stage.trees, encoding="utf-8")
    _write(root / "chain.json", settings)
    _write(root / "card.json", dict(model.card))
    (root / "card.md").write_text(card_page(model.card), encoding="utf-8")
    return root


def load(
    directory: Path | str,
    *,
    dictionary: FeatureDictionary | None = None,
    purpose: Purpose = Purpose.PERSONALISE,
) -> ChainModel:
    """Return the chain saved in a directory, if the purpose may use every feature of its card.

    With a ``dictionary`` the purposes are those in force now, else those the card was written with.

    Raises
    ------
    NotFound : no chain there. SchemaError : a damaged or unknown format.
    ConsentError : a feature of the card is not allowed for the purpose.
    """
    root = Path(directory)
    if not (root / "chain.json").is_file():
        raise NotFound("no saved chain", record=str(root), fix="train and save one first")
    card, settings = _read(root / "card.json"), _read(root / "chain.json")
    if settings.get("format") != _FORMAT:
        raise SchemaError("an unknown format", record=str(root / "chain.json"), field="format")
    _permit(card, dictionary, purpose)
    try:
        layout = Layout(tuple((name, tuple(values)) for name, values in settings["features"]))
        if tuple(settings.get("columns", layout.names)) != layout.names:
            raise ValueError("its columns are not those of this release; train again")
        stages = tuple(
            stage_from(item, layout.names, card["stages"][item["stage"]], _trees(root, item))
            for item in settings["stages"]
        )
        return ChainModel(
            layout, (stages[0], stages[1], stages[2], stages[3]),
            tuple(settings["products"]), tuple(settings["institutions"]),
            _short(settings["rates"]), _short(settings["class_rates"]),
            _short(settings["house_rates"]), Purpose(card["purpose"]), card,
        )  # fmt: skip
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise SchemaError(f"damaged: {error}", record=str(root / "chain.json")) from error


def _permit(card: dict[str, Any], dictionary: FeatureDictionary | None, purpose: Purpose) -> None:
    for feature in card["features"]:
        if dictionary is not None:
            dictionary.select((feature["name"],), purpose)
        elif purpose.value not in feature["purposes"]:
            raise ConsentError(
                f"the saved chain uses {feature['name']!r}, not allowed for {purpose.value}",
                field=feature["name"],
                fix="train again without it",
            )


def stage_json(stage: StageModel) -> dict[str, Any]:
    """Return a stage as plain JSON values, without its trees and its card."""
    linear = stage.linear
    return {
        "stage": stage.stage,
        "kind": stage.kind,
        "slope": stage.slope,
        "shift": stage.shift,
        "base": stage.base,
        "shares": list(stage.shares),
        "trees": stage.trees is not None,
        "linear": None
        if linear is None
        else {
            "unit": _plain(linear.scaling.unit),
            "mean": _plain(linear.scaling.mean),
            "sd": _plain(linear.scaling.sd),
            "intercepts": _plain(linear.intercepts),
            "slopes": _plain(linear.slopes),
            "effects": [_plain(effect) for effect in linear.effects],
        },
    }


def _trees(root: Path, item: dict[str, Any]) -> str | None:
    if item["stage"] not in {stage.value for stage in CHAIN}:
        raise SchemaError(f"no such stage: {item['stage']!r}", record=str(root / "chain.json"))
    return (root / f"{item['stage']}.txt").read_text(encoding="utf-8") if item["trees"] else None


def stage_from(
    item: dict[str, Any], names: tuple[str, ...], card: dict[str, Any], trees: str | None
) -> StageModel:
    """Return the stage of plain JSON values, its column names, its card and its trees."""
    own, linear = item["linear"], None
    if own is not None:
        scaling = Scaling(_short(own["unit"]), _short(own["mean"]), _short(own["sd"]))
        effects = tuple(np.asarray(effect, np.float64) for effect in own["effects"])
        intercepts = np.asarray(own["intercepts"], np.float64)
        linear = Linear(scaling, intercepts, _short(own["slopes"]), effects)
    shares = item.get("shares", (1.0, 1.0))
    return StageModel(
        item["stage"], item["kind"], names, item["slope"], item["shift"], item["base"],
        linear, trees, card, (shares[0], shares[1]),
    )  # fmt: skip


def _plain(array: Any) -> Any:
    return np.asarray(array).astype(np.float64).tolist()


def _short(values: Any) -> Any:
    return np.asarray(values, dtype=np.float64).astype(np.float32)


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SchemaError(f"not readable: {error}", record=str(path)) from error
    if not isinstance(found, dict):
        raise SchemaError("not a JSON object", record=str(path))
    return found
