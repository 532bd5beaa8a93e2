"""One request's chances: what its customer and moment decide once, then candidates by the dozen.

s stages, g groups (classes), w words of all trees, m candidates. Bit for bit what ``Scorer`` gives
the same pairs in a batch: the sums are the same ones in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import NDArray

from jinqiao.domain.time import DAY_US
from jinqiao.engines.stages import Ordered, Stages, join, part
from jinqiao.propensity.columns import ContextColumns, Layout
from jinqiao.propensity.linear import Linear, Scaling
from jinqiao.propensity.pairs import fill_pairs, rowwise

if TYPE_CHECKING:
    from jinqiao.propensity.chain import ChainModel
    from jinqiao.propensity.scorer import Goods

__all__ = ["Asked", "Ready"]

_KEPT_MOMENTS = 4_096
Moment = tuple[int, str, str, str, float]
"""Instant (µs), channel, scene, source, city tier."""


@dataclass(frozen=True, eq=False)
class _Lines:
    """The linear parts of s stages: scalings, slopes (s, g, k), the products' part (s, P)."""

    scalings: tuple[Scaling, ...]
    slopes: NDArray[np.float32]
    goods: NDArray[np.float64]

    @classmethod
    def of(cls, linear: Sequence[Linear | None], goods: Goods, k: int, g: int) -> _Lines:
        """Return the stages' lines; a stage without one adds nothing."""
        flat = Scaling(np.ones(k, np.float32), np.zeros(k, np.float32), np.ones(k, np.float32))
        slopes = [
            np.zeros((g, k), np.float32) if one is None else np.asarray(one.slopes, np.float32)
            for one in linear
        ]
        none = np.zeros(len(goods.classes))
        laid = [none if own is None else own for own in goods.linear]
        scalings = tuple(flat if one is None else one.scaling for one in linear)
        return cls(scalings, np.stack(slopes), np.stack(laid))

    @cached_property
    def _kept(self) -> dict[tuple[int, int], Scaling]:
        return {}

    def scaled(self, x: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        """Return (m, k) columns ``first`` … scaled for every stage, (m, s, k), in one go."""
        m, k = x.shape
        whole = self._kept.get((first, k))
        if whole is None:
            cut = slice(first, first + k)
            parts = [np.stack([one.unit[cut], one.mean[cut], one.sd[cut]])
                     for one in self.scalings]  # fmt: skip
            whole = self._kept[first, k] = Scaling(*np.concatenate(parts, axis=1))
        return whole.apply(np.tile(x, len(self.scalings))).reshape(m, -1, k)

    def sides(self, x: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        """Return z·slopes of one row of columns ``first`` …, (s, g)."""
        z = self.scaled(x[None], first)[0]
        cut = slice(first, first + len(x))
        return np.stack([rowwise(z[s][None], self.slopes[s, :, cut])[0] for s in range(len(z))])


class Ready:
    """A model laid out for single requests over fixed products."""

    def __init__(self, model: ChainModel, goods: Goods) -> None:
        whole, spans = join(model.forests)
        widths = model.layout.widths
        k1, k2, k3, k4 = widths
        self.widths, self.goods, self.n_words = widths, goods, whole.n_words
        placed = _position_columns(model.layout)
        self.stages = Stages(whole, spans, whole.words(1, goods.matrix), k4)
        self.who = Ordered.of(whole.sides[0], k1)
        self.moment = Ordered.of(part(whole.sides[2], lambda j: j not in placed), k3)
        self._place = Ordered.of(part(whole.sides[2], lambda j: j in placed), k3)
        self.lines = None
        if any(stage.linear is not None for stage in model.stages):
            linear = [stage.linear for stage in model.stages]
            groups = max(len(one.slopes) for one in linear if one is not None)
            self.lines = _Lines.of(linear, goods, sum(widths), groups)
        self.numbers = np.array(
            [(s.base, *s.shares, s.slope, s.shift) for s in model.stages], np.float64
        )
        self.kinds = np.array(
            [(s.linear is not None, f is not None)
             for s, f in zip(model.stages, model.forests, strict=True)]
        )  # fmt: skip
        self._offset_us = ContextColumns.single(0).offset_us
        names = model.layout.names[k1 + k2 : k1 + k2 + k3]
        self._hours = [names.index(name) for name in ("hour", "hour_sin", "hour_cos")]
        self._rows: dict[tuple[int, str, str, str, int], tuple[NDArray[np.float32], float]] = {}
        self._placed: dict[int, NDArray[np.uint32]] = {}

    def context(self, moment: Moment, position: int) -> tuple[NDArray[np.float32], float]:
        """Return a moment's columns at a position, and its day of the month.

        Those of a local day are kept; only the hour's are made anew.
        """
        at, channel, scene, source, _ = moment
        local = at + self._offset_us
        key = (local // DAY_US, channel, scene, source, position)
        kept = self._rows.get(key)
        if kept is None:
            if len(self._rows) >= _KEPT_MOMENTS:
                self._rows.clear()
            columns = ContextColumns.single(at, channel=channel, scene=scene, source=source)
            kept = columns.matrix(position)[0], float(columns.day_of_month()[0])
            self._rows[key] = kept
        row = kept[0].copy()
        hour = (local % DAY_US) / 3_600_000_000.0
        turn = hour * np.pi / 12
        row[self._hours] = (hour // 1.0, np.sin(turn), np.cos(turn))
        return row, kept[1]

    def placed(self, position: int) -> NDArray[np.uint32]:
        """Return the words that a position alone decides, (w,)."""
        words = self._placed.get(position)
        if words is None:
            row = ContextColumns.single(0).matrix(position)[0]
            words = np.full(self.n_words, 0xFFFFFFFF, np.uint32)
            self._place.words(row, words)
            self._placed[position] = words
        return words


def _position_columns(layout: Layout) -> frozenset[int]:
    first = layout.widths[0] + layout.widths[1]
    names = layout.names[first : first + layout.widths[2]]
    return frozenset(j for j, name in enumerate(names) if name.startswith("position"))


class Asked:
    """One customer at one moment."""

    def __init__(
        self, ready: Ready, customer: tuple[NDArray[np.float32], NDArray[np.float32]],
        moment: Moment,
    ) -> None:  # fmt: skip
        """Take the customer's columns (k,) and pair inputs (inputs,), and the moment."""
        self.ready, self.moment, self._needs = ready, moment, customer[1][None]
        top, day = ready.context(moment, 1)
        self._words = np.full(ready.n_words, 0xFFFFFFFF, np.uint32)
        ready.who.words(customer[0], self._words)
        ready.moment.words(top, self._words)
        self._day = np.array([day], np.float32)
        self._tier = np.array([moment[4]], np.float32)
        self._lines = ready.lines
        if ready.lines is not None:
            self._who = ready.lines.sides(customer[0], 0)

    def chances(
        self, goods: NDArray[np.int32], position: NDArray[np.integer] | int = 1
    ) -> NDArray[np.float32]:
        """Return the chances of candidates, (m, 4) float32; ``position`` is one for all or (m,)."""
        ready, laid, m = self.ready, self.ready.goods, len(goods)
        if not m:
            return np.empty((0, 4), np.float32)
        at = [position] if isinstance(position, int) else position.tolist()
        words = np.empty((len(at), ready.n_words), np.uint32)
        for i, place in enumerate(at):
            np.bitwise_and(ready.placed(place), self._words, out=words[i])
        none, own = np.zeros(m, np.int32), np.empty((m, ready.widths[3]), np.float32)
        fill_pairs(self._needs, none, laid.matrix, laid.family, goods, self._day, self._tier, none,
                   laid.places, own)  # fmt: skip
        sums = ready.stages.sums(words, goods, own)
        logits = sums if self._lines is None else self._logits(goods, own, at)
        _finish(sums, logits, ready.numbers, ready.kinds)
        np.exp(sums, out=sums)
        return (1.0 / (1.0 + sums)).astype(np.float32)

    def _logits(
        self, goods: NDArray[np.int32], own: NDArray[np.float32], at: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return the linear logits, (m, s)."""
        lines, ready = self._lines, self.ready
        assert lines is not None
        k1, k2, k3, _ = ready.widths
        moments = np.stack([lines.sides(ready.context(self.moment, p)[0], k1 + k2) for p in at])
        out = np.empty((len(goods), len(lines.goods)))
        first = k1 + k2 + k3
        _add_lines(
            goods, ready.goods.classes, self._who, lines.goods, moments,
            lines.scaled(own, first), lines.slopes[:, :, first:], out,
        )  # fmt: skip
        return out


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _add_lines(goods, classes, who, laid, moments, z, slopes, out):  # type: ignore[no-untyped-def]
    for i in range(goods.size):
        p = goods[i]
        g = classes[p]
        at = i if moments.shape[0] > 1 else 0
        for s in range(out.shape[1]):
            logit = np.float64(who[s, g]) + laid[s, p] + np.float64(moments[at, s, g])
            own = np.float32(0.0)
            for k in range(z.shape[2]):
                own += z[i, s, k] * slopes[s, g, k]
            out[i, s] = logit + np.float64(own)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,untyped-decorator,unused-ignore]
def _finish(sums, logits, numbers, kinds):  # type: ignore[no-untyped-def]
    """Turn sums of trees into what the exponential is taken of: minus the calibrated logit."""
    for i in range(sums.shape[0]):
        for s in range(sums.shape[1]):
            base, line, tree, slope, shift = numbers[s]
            score = base
            if kinds[s, 0]:
                score += line * logits[i, s]
            if kinds[s, 1]:
                score += tree * sums[i, s]
            bounded = slope * score + shift
            bounded = -40.0 if bounded < -40.0 else (40.0 if bounded > 40.0 else bounded)
            sums[i, s] = -bounded
