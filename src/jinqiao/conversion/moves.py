"""What a changed application means for reserved units: post what stands, void what never will,
hold again what was never said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from jinqiao.conversion.fold import ORDER
from jinqiao.domain.application import Application, LimitMove
from jinqiao.domain.stage import Stage

__all__ = ["moves"]


def moves(before: Application, after: Application) -> Iterator[LimitMove]:
    """Yield one move a stage whose unit must change, stages in order.

    A stage that stands now is posted; one at or past a refusal or reversal is voided; one whose
    report, or whose end, was retracted is held again: nobody has said anything of it. An amount
    that was restated is posted again with the new amount.
    """
    stood = {stage: (at, amount) for stage, at, amount in before.reached}
    stands = {stage: (at, amount) for stage, at, amount in after.reached}
    closed = _closed(after)
    was_closed = _closed(before)
    for name in ORDER:
        stage = Stage(name)
        if stage in stands:
            at, amount = stands[stage]
            if stage not in stood or stood[stage][1] != amount:
                yield LimitMove(after.click_id, stage, "post", at, amount)
        elif stage in closed:
            if stage in stood or stage not in was_closed:
                yield LimitMove(after.click_id, stage, "void", closed[stage])
        elif stage in stood or stage in was_closed:
            at = stood[stage][0] if stage in stood else was_closed[stage]
            yield LimitMove(after.click_id, stage, "hold", at)


def _closed(application: Application) -> dict[Stage, datetime]:
    """Return the stages that will not come any more, and since when."""
    ends = [(stage, undone) for stage, _, undone, _ in application.reversals]
    if application.refused_stage is not None and application.refused_at is not None:
        ends.append((application.refused_stage, application.refused_at))
    closed: dict[Stage, datetime] = {}
    for stage, at in ends:
        for name in ORDER[ORDER.index(stage) :]:
            closed[Stage(name)] = min(at, closed.get(Stage(name), at))
    return closed
