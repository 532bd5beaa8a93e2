"""Who asks for a shelf, when and where: one request or ten thousand, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jinqiao.domain.ids import keyed_id
from jinqiao.domain.shelf import Context
from jinqiao.domain.time import from_us, to_us
from jinqiao.errors import InputError

__all__ = ["Requests"]


@dataclass(frozen=True, eq=False)
class Requests:
    """r requests. Texts are Arrow arrays; ``customer`` is a row of the profiles, −1 if unknown.

    A request is personalised when the customer has a row **and** ``consent_version`` is not null.
    ``customer_id`` is "" where nobody is signed in. ``shown_before`` (r, P) counts how often each
    product was shown to this customer in the frequency window, or None. ``region`` None asks for no
    place in particular; a null in it is a place not known. ``branch_id``: on behalf of which branch
    each is asked for, or None for none. ``arms``: the arms of experiments each is in, as logged.
    """

    customer: NDArray[np.int32]
    customer_id: pa.Array
    consent_version: pa.Array
    session_id: pa.Array
    trace_id: pa.Array
    at_us: NDArray[np.int64]
    channel: pa.Array
    scene: pa.Array
    source: pa.Array
    visit_cost_minor: NDArray[np.int64]
    city_tier: NDArray[np.float32]
    shown_before: NDArray[np.integer] | None = None
    region: pa.Array | None = None
    branch_id: pa.Array | None = None
    arms: pa.Array | None = None

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            column = getattr(self, name)
            if column is not None and len(column) != len(self.customer):
                raise InputError(
                    f"{len(column)} values for {len(self.customer)} requests", field=name
                )

    def __len__(self) -> int:
        return len(self.customer)

    @cached_property
    def personalised(self) -> NDArray[np.bool_]:
        """Whether each request may use a profile, (r,) bool."""
        agreed = ~np.asarray(self.consent_version.is_null().to_numpy(zero_copy_only=False))
        return np.asarray(agreed & (self.customer >= 0))

    @classmethod
    def one(
        cls,
        context: Context,
        *,
        customer: int = -1,
        customer_id: str = "",
        consent_version: str | None = None,
        trace_id: str | None = None,
    ) -> Requests:
        """Return a single request; without a trace id it is keyed by session and instant."""
        at = to_us(context.at)
        trace = trace_id or keyed_id("shf", context.session_id, at, customer_id)
        tier = float("nan") if context.city_tier is None else float(context.city_tier)
        c = context

        def text(value: str | None) -> pa.Array:
            return pa.array([value], pa.string())

        return cls(
            np.array([customer], np.int32), text(customer_id), text(consent_version),
            text(c.session_id), text(trace), np.array([at], np.int64), text(c.channel),
            text(c.scene), text(c.source), np.array([c.visit_cost_minor], np.int64),
            np.array([tier], np.float32), region=text(c.region),
            branch_id=None if c.branch_id is None else text(c.branch_id),
        )  # fmt: skip

    @classmethod
    def of_sessions(
        cls,
        sessions: pa.Table,
        customer: NDArray[np.integer],
        customer_id: Sequence[str] | pa.Array,
        consent_version: Sequence[str | None] | pa.Array,
    ) -> Requests:
        """Return one request a row of a SESSIONS table; traces are keyed by session and instant.

        ``customer``, ``customer_id``, ``consent_version``: one a row (``user_id`` is not read).
        """
        at = sessions["occurred_at"].cast(pa.int64()).to_numpy().astype(np.int64)
        ids = [str(i) for i in _plain(customer_id)]
        session = sessions["session_id"].to_pylist()
        rows = zip(session, at.tolist(), ids, strict=True)
        flat = {
            name: _text(sessions[name]) for name in ("session_id", "channel", "scene", "source")
        }
        tier = sessions["city_tier"].cast(pa.float64()).to_numpy().astype(np.float32)
        return cls(
            np.asarray(customer, np.int32), pa.array(ids, pa.string()),
            pa.array(_plain(consent_version), pa.string()), flat["session_id"],
            pa.array([keyed_id("shf", *row) for row in rows], pa.string()), at, flat["channel"],
            flat["scene"], flat["source"],
            sessions["visit_cost_minor"].to_numpy().astype(np.int64), tier,
            region=pa.nulls(len(at), pa.string()),
        )  # fmt: skip

    def context(self, i: int) -> Context:
        """Return one request's context as a record."""
        tier = self.city_tier[i]
        return Context(
            from_us(int(self.at_us[i])), self.session_id[i].as_py(), self.channel[i].as_py(),
            self.scene[i].as_py(), self.source[i].as_py(), int(self.visit_cost_minor[i]),
            None if np.isnan(tier) else int(tier),
            None if self.region is None else self.region[i].as_py(),
            None if self.branch_id is None else self.branch_id[i].as_py(),
        )  # fmt: skip

    def take(self, rows: NDArray[np.integer]) -> Requests:
        """Return some of the requests."""
        at = pa.array(np.asarray(rows, np.int64))
        before = None if self.shown_before is None else self.shown_before[rows]
        return Requests(
            self.customer[rows], self.customer_id.take(at), self.consent_version.take(at),
            self.session_id.take(at), self.trace_id.take(at), self.at_us[rows],
            self.channel.take(at), self.scene.take(at), self.source.take(at),
            self.visit_cost_minor[rows], self.city_tier[rows], before,
            None if self.region is None else self.region.take(at),
            None if self.branch_id is None else self.branch_id.take(at),
            None if self.arms is None else self.arms.take(at),
        )  # fmt: skip

    @property
    def regions(self) -> list[str | None] | None:
        """Each request's region as plain text, or None when no place is asked for."""
        return None if self.region is None else self.region.to_pylist()


def _text(column: pa.ChunkedArray) -> pa.Array:
    flat = column.combine_chunks()
    flat = flat.cast(pa.string()) if pa.types.is_dictionary(flat.type) else flat
    return flat.fill_null("") if flat.null_count else flat


def _plain(values: Sequence[str | None] | pa.Array) -> list[str | None]:
    return values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else list(values)
