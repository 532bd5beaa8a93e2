"""key, session."""

from __future__ import annotations

import typer

from jinqiao.faces.command import Call, nouns

__all__ = ["add"]

KEY = typer.Argument(..., help="The key's id (pk_, sk_, ik_ or whs_ …).")


def add(app: typer.Typer) -> None:
    """Add the nouns about who may ask."""
    nouns(
        app,
        ("key", "API keys and webhook secrets.",
         {"create": create, "list": listed, "revoke": revoke, "rotate": rotate}),
        ("session", "Signed sign-in links of customers.", {"create": session}),
    )  # fmt: skip


def create(
    call: Call,
    role: str = typer.Argument(..., help="operator, institution, publishable or webhook."),
    institution: str = typer.Option("", help="Whose key it is."),
    scope: list[str] = typer.Option([], help="Only this action; may be given several times."),
    label: str = typer.Option("", help="What it is for."),
) -> None:
    """Make a key; it is shown this once."""
    from jinqiao.flow.keys import key_create

    with call.engine() as engine:
        row = key_create(
            engine, role, institution_id=institution or None, scopes=scope, label=label
        )
    call.out.value(row, lambda: call.out.pairs(row))


def listed(
    call: Call, institution: str = typer.Option("", help="Of this institution alone.")
) -> None:
    """List every key, without its secret."""
    from jinqiao.flow.keys import key_list

    with call.engine() as engine:
        rows = key_list(engine, institution or None)
    columns = (
        ("key_id", "key"), ("role", "role"), ("institution_id", "institution"),
        ("label", "label"), ("created_at", "made"), ("expires_at", "ends"),
        ("revoked_at", "ended"),
    )  # fmt: skip
    call.out.value({"keys": rows}, lambda: call.out.table(rows, columns))


def revoke(call: Call, key: str = KEY) -> None:
    """End a key now."""
    from jinqiao.flow.keys import key_revoke

    with call.engine() as engine:
        key_revoke(engine, key)
    row = {"key_id": key, "revoked": True}
    call.out.value(row, lambda: call.out.pairs(row))


def rotate(
    call: Call, key: str = KEY,
    overlap_hours: int = typer.Option(24, min=0, help="So long the old one lives on."),
) -> None:  # fmt: skip
    """Replace a key; both live for a while."""
    from jinqiao.flow.keys import key_rotate

    with call.engine() as engine:
        row = key_rotate(engine, key, overlap_hours=overlap_hours)
    call.out.value(row, lambda: call.out.pairs(row))


def session(
    call: Call,
    user: str = typer.Argument(..., help="The operator's own login of the customer."),
    hours: int = typer.Option(0, min=0, max=168, help="How long; else serve.session_hours."),
) -> None:
    """Make a signed sign-in link for a customer."""
    from jinqiao.flow.keys import new_session

    with call.engine() as engine:
        made = new_session(engine, user, hours=hours or None)
        serve = engine.settings.serve
    row = {
        "customer_id": made.customer_id,
        "token": made.token,
        "expires_in_s": made.expires_in_s,
        "link": f"http://{serve.host}:{serve.port}/enter?token={made.token}",
    }
    call.out.value(row, lambda: call.out.say(str(row["link"])))
