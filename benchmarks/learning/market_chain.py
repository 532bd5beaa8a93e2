"""The chain in generated markets, beside the truth: calibration, delays, a changed policy, a refit.

Calibration error and predicted ÷ true are of ``flow.evaluate.calibration``: the day after the log,
every pair that may be shown, each stage weighted by the true chance of getting there; how far the
value of a greedy shelf is told off likewise. Peers learn from the same rows, silence counted as no:
plain LightGBM, plain logistic regression, and LightGBM under one delay curve p · F(age) for all.

``delay_gap_closed`` is 1 − (ECE(ours) − ECE(eventual)) ÷ (ECE(silence is no) − ECE(eventual)), the
same learner (``propensity.fit_stage``) on three kinds of label, in percent; told where silence
costs .02 or more.

``policy_change_bias`` lets the market live another 28 days of even draws and learns anew: the worst
|mean chance − true rate| of approval over institutions that tightened or loosened three to six
weeks before and have 200 of the day's pairs or more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.learning.market_world import Pairs, Played, eventual, played, true_chances
from numpy.typing import NDArray

from jinqiao import propensity
from jinqiao.domain.time import DAY_US
from jinqiao.flow import evaluate
from jinqiao.propensity.calibration import calibration_error
from jinqiao.propensity.columns import CLASSES, class_codes
from jinqiao.propensity.stage import Levels

STAGES = ("click", "application", "approval", "activation")
FEW, ENOUGH, LEAST_GAP = 200, 150_000, 0.02
"""Pairs of an institution; rows from which the seconds of 240,000 may be told; the gap."""
Floats = NDArray[np.float64]


def plain_trees(x: Floats, y: Floats, asked: Floats, weight: Floats | None = None) -> Floats:
    """Return LightGBM's chances with its own defaults but for 100 rounds at 0.05."""
    import lightgbm

    settings = {
        "objective": "binary", "verbose": -1, "num_threads": 1, "learning_rate": 0.05, "seed": 1,
        "deterministic": True,
    }  # fmt: skip
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y, weight=weight), 100)
    return np.asarray(booster.predict(asked, num_threads=1))


def plain_logistic(x: Floats, y: Floats, asked: Floats) -> Floats:
    """Return scikit-learn's logistic regression's chances: medians filled in, standardised."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(),
        LogisticRegression(max_iter=200),
    )  # fmt: skip
    model.fit(x, y)
    return np.asarray(model.predict_proba(asked)[:, 1])


def one_curve(world: Played, place: int, x: Floats, asked: Floats) -> Floats:
    """Return LightGBM's chances where every open case is p · F(age), one F for everybody.

    A case that is not a yes yet counts as a no with the weight of the share of yes that would have
    shown by its age, whatever institution it is of and however fast refusals are.
    """
    stage = world.rows.stages[place]
    yes = np.nan_to_num(stage.delays.label) == 1
    age = (world.rows.as_of_us - world.rows.shown_us[stage.rows]) / DAY_US
    share = np.empty(len(age))
    for part in np.array_split(np.argsort(age), 20):  # by twentieths of age
        share[part] = stage.delays.yes_by[part].mean()
    weight = np.where(yes, 1.0, np.clip(share, 0.05, 1.0))
    return plain_trees(x, yes.astype(float), asked, weight)


def sizes_of(world: Played, rows: NDArray[np.int64]) -> Levels:
    """Return the levels of some learnt rows as the chain's own learner takes them."""
    products = world.rows.products
    house = products["institution_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    what, code = world.rows.product[rows], class_codes(products)
    return Levels(
        code[what], len(CLASSES), (what, house[what].astype(np.int64)),
        (products.num_rows, int(house.max()) + 1),
    )  # fmt: skip


def peers(world: Played, pairs: Pairs, truth: Floats, seed: int) -> list[dict[str, Any]]:
    """Return the peers' calibration error by stage, and how much of the delay's gap is closed."""
    out, weight, chain = [], np.ones(len(pairs.x)), propensity.ChainSpec()
    for place, name in enumerate(STAGES):
        stage, true = world.rows.stages[place], pairs.chances[:, place]
        some = np.arange(0, len(stage.rows), max(1, len(stage.rows) // 60_000))
        x, silent = world.rows.matrix(stage.rows[some]), np.nan_to_num(stage.delays.label[some])
        told = {
            "lightgbm": plain_trees(x, silent, pairs.x),
            "logistic": plain_logistic(x, silent, pairs.x),
        }
        if place >= 2:
            told["one delay curve"] = one_curve(world, place, x, pairs.x)
        errors = {who: calibration_error(p, true, weight) for who, p in told.items()}
        out.append({"stage": name, "errors": errors})
        if place >= 2:
            levels, when = sizes_of(world, stage.rows), world.rows.shown_us[stage.rows]
            labels = {
                "silent": silent, "ours": stage.delays.expected(stage.delays.rate),
                "eventual": eventual(truth, world, place, seed).astype(float),
            }  # fmt: skip
            asked = Levels(
                class_codes(world.rows.products)[pairs.product], len(CLASSES),
                (pairs.product, levels_house(world)[pairs.product]), levels.sizes,
            )  # fmt: skip
            spec = next(s for n, s in chain.stages.items() if n.value == name)
            found = {
                kind: calibration_error(
                    propensity.fit_stage(
                        x, y, names=world.rows.layout.names, times=when, levels=levels, seed=seed,
                        spec=spec, stage=name,
                    ).predict(pairs.x, asked), true, weight,
                )
                for kind, y in labels.items()
            }  # fmt: skip
            gap = found["silent"] - found["eventual"]
            left = max(found["ours"] - found["eventual"], 0.0)
            closed = 100 * (1 - left / gap) if gap > LEAST_GAP else None
            out[-1]["gap"] = {**found, "closed_pct": closed}
        weight = weight * true
    return out


def levels_house(world: Played) -> NDArray[np.int64]:
    """Return each product's institution as its number."""
    names = world.rows.products["institution_id"].combine_chunks().dictionary_encode()
    return np.asarray(names.indices.to_numpy(), np.int64)


def changed_bias(world: Played, seed: int) -> tuple[float | None, int]:
    """Return the worst bias of approval after a changed policy, and over how many institutions."""
    day = int((world.rows.as_of_us - world.market.market.start_us) // DAY_US)
    model = propensity.train(world.rows, seed=seed)
    pairs = Pairs.of_day(world, day, seed)
    house = levels_house(world)
    asked = Levels(
        class_codes(world.rows.products)[pairs.product], len(CLASSES),
        (pairs.product, house[pairs.product]),
    )  # fmt: skip
    p = model.stages[2].predict(pairs.x, asked)
    hidden = world.market.market.goods.hidden
    ago = day - hidden[:, 10]
    changed = (hidden[:, 9] != 0) & (ago >= 21) & (ago <= 42)
    reach = pairs.chances[:, 0] * pairs.chances[:, 1]
    found = []
    for one in np.unique(house[changed]):
        rows = (house[pairs.product] == one) & changed[pairs.product]
        if rows.sum() >= FEW:
            gap = np.average(p[rows] - pairs.chances[rows, 2], weights=reach[rows])
            found.append(abs(float(gap)))
    return (max(found), len(found)) if found else (None, 0)


def records(quick: bool, seed: int) -> list[dict[str, Any]]:
    """Return the figures of each market, three of them unless quick."""
    seeds = (seed or 1,) if quick else (1, 2, 3)
    out: list[dict[str, Any]] = []
    for one in seeds:
        with played(1_500 if quick else 13_000, one) as world:
            out += of_market(world, one)
    return out


def of_market(world: Played, seed: int) -> list[dict[str, Any]]:
    """Return the figures of one market."""
    size = {"people": world.inputs.market.size, "shown": len(world.rows)}
    base: dict[str, Any] = {"seed": seed, "size": size}
    begun = time.process_time()
    propensity.train(world.rows, seed=seed)
    cpu = time.process_time() - begun
    per = cpu * 240_000 / len(world.rows) if len(world.rows) > ENOUGH else None
    beside = evaluate.calibration(world.inputs)
    truth = true_chances(world)
    told = peers(world, Pairs.of_day(world, world.inputs.first_day, seed), truth, seed)
    lines = [_stage(base, beside, one, cpu) for one in told]
    lines += [
        {**base, "figure": f"delay_gap_closed_{one['stage']}", "unit": "%", "peer": 0.0,
         "peer_name": "silence is no", "ours": one["gap"]["closed_pct"], "ratio": None,
         "cpu_s": cpu, "errors": one["gap"]}
        for one in told if "gap" in one
    ]  # fmt: skip
    lines += [
        {**base, "figure": f"value_off_{group}", "unit": "abs(predicted ÷ true − 1)", "peer": None,
         "peer_reason": "nothing else says what an offer is worth", "ratio": None, "cpu_s": cpu,
         "ours": abs(beside[group]["value"] - 1), "predicted_of_true": beside[group]["value"]}
        for group in ("shown", "eligible")
    ]  # fmt: skip
    lines.append({
        **base, "figure": "refit_240k", "unit": "CPU s, at 240,000 shown", "ours": per,
        "peer": None, "peer_reason": "no other learns four stages with delays", "ratio": None,
        "cpu_s": cpu, "reason": "" if per else "the log is too short to tell",
    })  # fmt: skip
    world.more(28)
    bias, houses = changed_bias(world, seed)
    lines.append({
        **base, "figure": "policy_change_bias", "unit": "approval rate", "ours": bias,
        "peer": None, "peer_reason": "", "ratio": None, "institutions": houses, "cpu_s": cpu,
    })  # fmt: skip
    return lines


def _stage(
    base: Mapping[str, Any], beside: Mapping[str, Mapping[str, float]], told: Mapping[str, Any],
    cpu: float,
) -> dict[str, Any]:  # fmt: skip
    """Return one stage's calibration error beside the best peer's."""
    name, errors = told["stage"], told["errors"]
    best = min(errors, key=lambda who: errors[who])
    ours = beside["eligible"][f"{name}_error"]
    return {
        **base, "figure": f"market_ece_{name}", "unit": "ECE vs truth", "ours": ours,
        "peer": errors[best], "peer_name": best, "ratio": errors[best] / ours, "peers": errors,
        "predicted_of_true": {g: beside[g][name] for g in ("eligible", "shown")}, "cpu_s": cpu,
    }  # fmt: skip


if __name__ == "__main__":
    for record in records(quick=True, seed=1):
        print(record)
