"""How a command is declared: its own arguments, and the four that every command has."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jinqiao.errors import JinqiaoError, Unavailable
from jinqiao.faces.output import Output

if TYPE_CHECKING:
    from jinqiao.flow.wiring import Engine

__all__ = ["Call", "command", "group", "nouns"]

_COMMON = {
    "workspace": typer.Option(
        None,
        "--workspace",
        "-w",
        help="The workspace; else JINQIAO_WORKSPACE, else a parent folder.",
    ),
    "as_json": typer.Option(False, "--json", help="Plain JSON on stdout, for programs."),
    "lang": typer.Option("", "--lang", help="zh or en; else JINQIAO_LANG, else en."),
    "debug": typer.Option(False, "--debug", help="Show where an error came from."),
}
_TYPES: dict[str, Any] = {
    "workspace": Path | None, "as_json": bool, "lang": str, "debug": bool,
}  # fmt: skip


class Call:
    """One call of a command: where it speaks, and the workspace it is about."""

    def __init__(self, out: Output, workspace: Path | None) -> None:
        self.out = out
        self.workspace = workspace

    def engine(self) -> Engine:
        """Open the workspace's engine; a generated one runs on its own clock."""
        from jinqiao.flow.demo import demo_clock
        from jinqiao.flow.wiring import open_engine, system_clock
        from jinqiao.flow.workspace import find_workspace

        found = find_workspace(self.workspace)
        return open_engine(workspace=found, clock=demo_clock(found.root) or system_clock)

    @property
    def actor(self) -> str:
        """Who is recorded as having done it."""
        import getpass

        try:
            return os.environ.get("JINQIAO_ACTOR") or getpass.getuser()
        except (KeyError, OSError):
            return "unknown"


def group(name: str, help_text: str) -> typer.Typer:
    """Return a noun: a group of commands."""
    return typer.Typer(
        name=name, help=help_text, no_args_is_help=True, rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )  # fmt: skip


def nouns(app: typer.Typer, *listed: tuple[str, str, Mapping[str, Callable[..., Any]]]) -> None:
    """Add nouns: each with its help and its verbs by name."""
    for noun, text, verbs in listed:
        made = group(noun, text)
        for name, work in verbs.items():
            command(made, name)(work)
        app.add_typer(made)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that makes a function a command; its first argument is the ``Call``.

    The function may return an exit code. An error of the tree becomes one line and the exit code of
    the status table.
    """

    def declare(work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def run(**given: Any) -> None:
            common = {key: given.pop(key) for key in _COMMON}
            raise typer.Exit(_run(work, common, given))

        own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]
        more = [
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=_TYPES[key]
            )
            for key, option in _COMMON.items()
        ]
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        run.__signature__ = inspect.Signature(parameters + more)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in (*parameters, *more)}
        del run.__wrapped__
        app.command(name, help=inspect.getdoc(work))(run)
        return work

    return declare


def _run(work: Callable[..., Any], common: dict[str, Any], given: dict[str, Any]) -> int:
    language = common["lang"] or os.environ.get("JINQIAO_LANG", "en")[:2]
    out = Output(
        json=common["as_json"], language=language if language in ("zh", "en") else "en",
        debug=common["debug"],
    )  # fmt: skip
    try:
        return int(work(Call(out, common["workspace"]), **given) or 0)
    except JinqiaoError as error:
        return _failed(out, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (typer.Exit, typer.Abort):
        raise
    except (OSError, MemoryError) as error:
        return _failed(out, Unavailable(str(error) or type(error).__name__))
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error}"
        return _failed(out, JinqiaoError(said, fix="--debug shows where; please report it"))


def _failed(out: Output, error: JinqiaoError) -> int:
    from jinqiao.faces.status import status_of

    if out.debug:
        traceback.print_exc()
    out.error(error)
    return status_of(error).exit_code
