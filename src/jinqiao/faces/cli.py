"""The command line: ``jinqiao``. Every command is a verb of ``flow``; here it is only spoken to."""

from __future__ import annotations

import typer

from jinqiao.faces import (
    cli_catalog,
    cli_customer,
    cli_decision,
    cli_experiment,
    cli_first,
    cli_import,
    cli_keys,
    cli_model,
    cli_plan,
    cli_policy,
    cli_settle,
    cli_shelf,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="jinqiao",
    help="The open engine of a financial marketplace.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cli_first.add(app)
cli_import.add(app)
cli_catalog.add(app)
cli_customer.add(app)
cli_shelf.add(app)
cli_decision.add(app)
cli_model.add(app)
cli_plan.add(app)
cli_policy.add(app)
cli_experiment.add(app)
cli_settle.add(app)
cli_keys.add(app)


@app.callback(invoke_without_command=True)
def _version(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and end."),
) -> None:
    if version:
        from jinqiao import __version__

        typer.echo(f"jinqiao {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app(prog_name="jinqiao")


if __name__ == "__main__":
    main()
