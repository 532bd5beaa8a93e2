"""decision: why a shelf was as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from jinqiao.faces.command import Call, nouns
from jinqiao.faces.output import Output

if TYPE_CHECKING:
    from jinqiao.domain.decision import Decision
    from jinqiao.flow.explain import Explanation

__all__ = ["add", "say_explanation", "say_steps"]


def add(app: typer.Typer) -> None:
    """Add the noun of decisions."""
    nouns(app, ("decision", "Why a shelf was as it was.", {"list": listed, "explain": explain}))


def listed(
    call: Call,
    customer: str = typer.Option("", help="Of this customer."),
    clicked: bool = typer.Option(False, help="Those that somebody left by alone."),
    day: str = typer.Option("", help="Those of this UTC day alone, as 2026-11-24."),
    limit: int = typer.Option(20, min=1, max=1000, help="How many at once."),
) -> None:
    """List the newest shelves that were shown, with the trace id of each."""
    from jinqiao.flow.explain import recent
    from jinqiao.flow.people import find_customer_id

    with call.engine() as engine:
        found = find_customer_id(engine, customer) if customer else None
        rows = recent(engine, customer_id=found, clicked=clicked, day=day, limit=limit)
    columns = (
        ("trace_id", "trace"), ("occurred_at", "at"), ("customer_id", "customer"),
        ("channel", "channel"), ("scene", "scene"), ("offers", "offers"),
    )  # fmt: skip
    call.out.value({"decisions": rows}, lambda: call.out.table(rows, columns))


def explain(
    call: Call,
    trace: str = typer.Argument(..., help="The trace id of a shelf."),
    product: str = typer.Option("", help="Of one product, shown or not."),
) -> None:
    """Tell a decision whole: eligibility, suitability, propensity, price, rank, quota, outcome."""
    from jinqiao.flow.explain import explain as explained

    with call.engine() as engine:
        found = explained(engine, trace, product_id=product or None)
    call.out.value(told(found), lambda: say_explanation(call.out, found))


def told(found: Explanation) -> dict[str, object]:
    """Return an explanation as plain data with every sentence in both languages."""
    from jinqiao.domain.messages import LANGUAGES, sentence
    from jinqiao.faces.output import plain

    made: dict[str, object] = plain(found)

    def reasons(listed: object) -> list[dict[str, object]]:
        return [
            {
                "code": reason.code,
                "numbers": plain(reason.numbers),
                **{language: sentence(reason, language) for language in LANGUAGES},
            }
            for reason in listed  # type: ignore[attr-defined]
        ]

    made["notes"] = reasons(found.notes)
    made["offers"] = [
        {
            "product_id": offer.product_id,
            "position": offer.position,
            "numbers": plain(offer.numbers),
            "steps": [
                {"step": step.step, "allowed": step.allowed, "reasons": reasons(step.reasons)}
                for step in offer.steps
            ],
            "outcome": reasons(offer.outcome),
        }
        for offer in found.offers
    ]
    return made


def say_explanation(out: Output, found: Explanation) -> None:
    """Print an explanation in sentences."""
    from jinqiao.domain.messages import render, sentence

    language = out.language
    out.say(
        f"{found.trace_id}  {found.occurred_at}  "
        f"{found.context['channel']}/{found.context['scene']}"
    )
    out.say(*(f"  {name}: {value}" for name, value in found.versions.items() if value))
    out.say(*(f"  {sentence(note, language)}" for note in found.notes))
    for offer in found.offers:
        out.say("", f"{offer.position or '–'}. {offer.product_id}")
        say_steps(out, offer.steps)
        if offer.outcome:
            name = render("explain_step_outcome", language)
            out.say(f"   → {name}: {sentence(offer.outcome[0], language)}")
            out.say(*(f"     {sentence(reason, language)}" for reason in offer.outcome[1:]))


def say_steps(out: Output, steps: Sequence[Decision]) -> None:
    """Print a chain of decisions, each with its reasons."""
    from jinqiao.domain.messages import render, sentence

    for step in steps:
        name = render(f"explain_step_{step.step}", out.language)
        mark = "✓" if step.allowed else "✗"
        first, *rest = [sentence(reason, out.language) for reason in step.reasons] or [""]
        out.say(f"   {mark} {name}" + (f": {first}" if first else ""))
        out.say(*(f"     {line}" for line in rest))
