"""shelf: made and clicked at the desk, as the pages and the API do it."""

from __future__ import annotations

import typer

from jinqiao.faces.cli_first import say_shelf
from jinqiao.faces.command import Call, command, group

__all__ = ["add"]


def add(app: typer.Typer) -> None:
    """Add the noun of shelves."""
    noun = group("shelf", "Shelves made at the desk, to see and to test what customers get.")
    for name, work in (("show", show), ("why", why), ("click", click)):
        command(noun, name)(work)
    app.add_typer(noun)


def show(
    call: Call,
    customer: str = typer.Argument("", help="A login or customer id; nobody when left out."),
    scene: str = typer.Option("home", help="Where the shelf stands."),
    channel: str = typer.Option("web", help="The channel it is asked through."),
    region: str = typer.Option("", help="Where it is asked for."),
    branch: str = typer.Option("", help="The branch it is asked for on behalf of."),
) -> None:
    """Make a customer's shelf as of now, with its reasons; the decision is logged."""
    from jinqiao.faces.output import plain
    from jinqiao.flow.people import find_customer_id
    from jinqiao.flow.serve import Asked, open_service

    with call.engine() as engine:
        service = open_service(engine)
        found = find_customer_id(engine, customer) if customer else None
        asked = Asked(channel=channel, scene=scene, region=region, branch_id=branch)
        made = service.shelf(found, asked)
        service.flush()
        facts = {str(o.product_id): service.offer_facts(o.product_id) for o in made.offers}
    names = {name: (one["name_zh"], one["name_en"]) for name, one in facts.items()}
    out = call.out
    kind = out.both("个性化", "personalised") if made.personalised else out.both(
        "未使用画像", "no profile was read"
    )  # fmt: skip

    def say() -> None:
        out.say(f"{made.trace_id}  {kind}")
        say_shelf(out, made, names)

    out.value(plain(made), say)


def why(
    call: Call,
    customer: str = typer.Argument(..., help="A login or customer id."),
    product: str = typer.Argument(..., help="The product's id."),
    scene: str = typer.Option("home", help="Where the shelf stands."),
    channel: str = typer.Option("web", help="The channel it is asked through."),
    region: str = typer.Option("", help="Where it is asked for."),
    branch: str = typer.Option("", help="The branch it is asked for on behalf of."),
) -> None:
    """Tell why a product is, or is not, on a customer's shelf now: each rule and by how much."""
    from jinqiao.faces.cli_decision import say_steps
    from jinqiao.faces.output import plain
    from jinqiao.flow.people import find_customer_id
    from jinqiao.flow.serve import Asked, open_service

    with call.engine() as engine:
        found = find_customer_id(engine, customer)
        asked = Asked(channel=channel, scene=scene, region=region, branch_id=branch)
        steps = open_service(engine).why(found, asked, product)
    row = {"product_id": product, "shown": all(step.allowed for step in steps),
           "steps": plain(steps)}  # fmt: skip
    call.out.value(row, lambda: say_steps(call.out, steps))


def click(
    call: Call,
    trace: str = typer.Argument(..., help="The shelf's trace id."),
    position: int = typer.Argument(1, min=1, help="The offer's place on it."),
) -> None:
    """Leave for the institution as the page's button does: one unit of its limits is reserved."""
    from jinqiao.domain.messages import sentence
    from jinqiao.faces.output import plain
    from jinqiao.flow.serve import open_service

    with call.engine() as engine:
        service = open_service(engine)
        out = service.click_out(service.click_row(trace, position))
    row = {
        "click_id": out.click.click_id,
        "application_id": out.click.application_id,
        "product_id": out.click.product_id,
        "allowed": out.decision.allowed,
        "url": out.url or None,
        "expires_at": out.click.expires_at,
    }

    def say() -> None:
        call.out.pairs({name: plain(value) for name, value in row.items()})
        call.out.say(*(sentence(why, call.out.language) for why in out.decision.reasons))

    call.out.value(row, say)
