"""Fold every report on one click into one application: a pure function, the same for any order.

Three steps. (1) *Corrections*: reports joined by ``corrects`` are one chain, of which the highest
``sequence`` stands (then the one that corrects the others, then the greater report id); a chain
whose last word is a reversal was retracted: it never happened. (2) *Verdicts*: within a stage, in
the order (sequence, instant), a refusal or reversal takes back what was reached before it; what was
reached after it stands. (3) *Implication*: a stage that stands, or was refused or undone, implies
the stages before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinqiao.domain.application import Application, Click, Postback
from jinqiao.domain.stage import STAGES, Polarity, Stage
from jinqiao.domain.time import from_us, to_us

__all__ = ["ORDER", "Folded", "fold", "fold_rows", "sequence_of"]

Report = Mapping[str, Any]
"""A row of ``reports``: stage and polarity as text, instants in µs."""

ORDER = (
    "pre_approval", "application", "approval", "activation", "disbursement", "repayment", "default",
)  # fmt: skip
"""Stages an institution reports, as they follow each other."""

_REACHED, _REFUSED, _REVERSED = (polarity.value for polarity in Polarity)
_RANK = {_REACHED: 0, _REFUSED: 1, _REVERSED: 2}
_PLACE = {stage: place for place, stage in enumerate(ORDER)}
_CHAINS = {
    product_class.value: tuple(
        stage for stage in ORDER if Stage(stage) in stages and stage != Stage.PRE_APPROVAL
    )
    for product_class, stages in STAGES.items()
}
_REPORTED_ONLY = frozenset({Stage.REPAYMENT.value, Stage.DEFAULT.value})
"""Never implied: a default does not mean that an instalment was paid."""
_ENDS = frozenset(ORDER[:5])
"""Stages whose refusal or reversal is the state of the application."""


@dataclass(slots=True)
class Folded:
    """What stands: plain values, instants in µs. ``reached`` and ``reversals`` in stage order."""

    state: str = "click"
    reached: list[tuple[str, int, int | None]] = field(default_factory=list)
    reversals: list[tuple[str, int, int, int | None]] = field(default_factory=list)
    refused_at: int | None = None
    refused_stage: str | None = None


@dataclass(slots=True)
class _Verdict:
    """One stage's last word: it stands since ``reached_at``, or ended at ``ended_at``."""

    reached_at: int | None = None
    amount: int | None = None
    ended_at: int | None = None
    refused: bool = False


def fold(click: Click, postbacks: Iterable[Postback]) -> Application:
    """Return the application of a click after every report on it, given in any order."""
    rows = {post.report_id: _row(post) for post in postbacks}
    folded = fold_rows(click.product_class.value, list(rows.values()))
    return application_of(click, folded)


def application_of(click: Click, folded: Folded) -> Application:
    """Return the record of what a click's reports were folded into."""
    return Application(
        click.application_id,
        click.click_id,
        click.trace_id,
        click.customer_id,
        click.product_id,
        click.institution_id,
        click.product_version,
        folded.state,
        tuple((Stage(stage), from_us(at), amount) for stage, at, amount in folded.reached),
        None if folded.refused_at is None else from_us(folded.refused_at),
        None if folded.refused_stage is None else Stage(folded.refused_stage),
        tuple(
            (Stage(stage), from_us(at), from_us(undone), amount)
            for stage, at, undone, amount in folded.reversals
        ),
    )


def fold_rows(product_class: str, reports: Sequence[Report]) -> Folded:
    """Return what stands after these reports (each report id once) on a product of this class."""
    cells: dict[str, list[Report]] = {}
    for report in _standing(reports):
        cells.setdefault(report["stage"], []).append(report)
    verdicts = {stage: _verdict(stage, cell) for stage, cell in cells.items()}
    _imply(_CHAINS[product_class], verdicts)
    return _folded(verdicts)


def sequence_of(report: Report) -> int:
    """Return the sequence a report counts with: a correction is never below 1."""
    sequence = int(report["sequence"])
    return max(sequence, 1) if report["corrects"] else sequence


def _standing(reports: Sequence[Report]) -> Sequence[Report]:
    """Return the last word of each chain of corrections, without what was retracted."""
    if not any(report["corrects"] for report in reports):
        return reports
    by_id = {report["report_id"]: report for report in reports}
    chains: dict[str, list[Report]] = {}
    for report in reports:
        chains.setdefault(_root(report, by_id), []).append(report)
    last = [max(chain, key=lambda r: _authority(r, by_id)) for chain in chains.values()]
    return [r for r in last if not (r["corrects"] and r["polarity"] == _REVERSED)]


def _root(report: Report, by_id: Mapping[str, Report]) -> str:
    """Return the name of a report's chain: the id it ends at, or the least id of a ring."""
    seen = _path(report, by_id)
    end = by_id[seen[-1]]["corrects"] if seen[-1] in by_id else None
    if end in seen:
        return min(seen[seen.index(end) :])
    return seen[-1]


def _path(report: Report, by_id: Mapping[str, Report]) -> list[str]:
    """Return the ids from a report along ``corrects``, as far as they are known or come round."""
    path = [str(report["report_id"])]
    while (current := by_id.get(path[-1])) and (name := current["corrects"]) and name not in path:
        path.append(name)
    return path


def _authority(report: Report, by_id: Mapping[str, Report]) -> tuple[int, int, str]:
    return sequence_of(report), len(_path(report, by_id)), report["report_id"]


def _order(report: Report) -> tuple[int, int, int, str]:
    return (
        sequence_of(report), report["occurred_at"], _RANK[report["polarity"]], report["report_id"]
    )  # fmt: skip


def _verdict(stage: str, cell: list[Report]) -> _Verdict:
    if len(cell) > 1:
        cell.sort(key=_order)
    last = cell[-1]
    ends = [i for i, report in enumerate(cell) if report["polarity"] != _REACHED]
    after = cell[ends[-1] + 1 :] if ends else cell
    if after:
        at, amount = _reached(stage, after)
        return _Verdict(at, amount)
    verdict = _Verdict(ended_at=last["occurred_at"], refused=last["polarity"] == _REFUSED)
    before = [report for report in cell if report["polarity"] == _REACHED]
    if before:
        verdict.reached_at, verdict.amount = _reached(stage, before)
    return verdict


def _reached(stage: str, reports: Sequence[Report]) -> tuple[int, int | None]:
    """Return when a stage was reached and with what amount; repayments add up."""
    if len(reports) == 1:
        return reports[0]["occurred_at"], reports[0]["amount_minor"]
    if stage == Stage.REPAYMENT:
        amounts = [r["amount_minor"] for r in reports if r["amount_minor"] is not None]
        return min(r["occurred_at"] for r in reports), sum(amounts) if amounts else None
    first = min(reports, key=lambda r: (-sequence_of(r), r["occurred_at"], r["report_id"]))
    return first["occurred_at"], first["amount_minor"]


def _imply(chain: Sequence[str], verdicts: dict[str, _Verdict]) -> None:
    """Let later stages speak for earlier ones, in place; ``chain`` in stage order.

    What stands overrules an earlier refusal or reversal; what was refused or undone only fills in
    stages nobody reported.
    """
    stands: int | None = None
    happened: int | None = None
    for stage in reversed(chain):
        verdict = verdicts.get(stage)
        if stage not in _REPORTED_ONLY:
            since = _earliest(stands, happened) if verdict is None else stands
            overruled = verdict is not None and verdict.ended_at is not None
            if since is not None and (verdict is None or overruled):
                was = verdict or _Verdict()
                verdict = verdicts[stage] = _Verdict(_earliest(since, was.reached_at), was.amount)
        if verdict is None:
            continue
        if verdict.ended_at is None:
            stands = _earliest(stands, verdict.reached_at)
        else:
            happened = _earliest(happened, verdict.reached_at, verdict.ended_at)


def _earliest(*instants: int | None) -> int | None:
    return min((at for at in instants if at is not None), default=None)


def _folded(verdicts: Mapping[str, _Verdict]) -> Folded:
    folded = Folded()
    furthest = -1
    for stage in ORDER:
        verdict = verdicts.get(stage)
        if verdict is None:
            continue
        if verdict.ended_at is None:
            assert verdict.reached_at is not None
            folded.reached.append((stage, verdict.reached_at, verdict.amount))
            folded.state, furthest = stage, _PLACE[stage]
            continue
        if verdict.reached_at is not None:
            undone = (stage, verdict.reached_at, verdict.ended_at, verdict.amount)
            folded.reversals.append(undone)
    return _ended(folded, verdicts, furthest)


def _ended(folded: Folded, verdicts: Mapping[str, _Verdict], furthest: int) -> Folded:
    """Let the last refusal or reversal past what stands be the state."""
    for stage in ORDER[furthest + 1 :]:
        verdict = verdicts.get(stage)
        if verdict is None or verdict.ended_at is None or stage not in _ENDS:
            continue
        folded.state = "refused" if verdict.refused else "reversed"
        if verdict.refused:
            folded.refused_at, folded.refused_stage = verdict.ended_at, stage
    return folded


def _row(post: Postback) -> dict[str, Any]:
    return {
        "report_id": post.report_id,
        "stage": post.stage.value,
        "polarity": post.polarity.value,
        "occurred_at": to_us(post.occurred_at),
        "amount_minor": post.amount_minor,
        "corrects": post.corrects,
        "sequence": post.sequence,
    }
