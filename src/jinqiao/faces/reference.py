"""Reference pages made from the program: commands, errors, routes. A test holds them equal.

``python -m jinqiao.faces.reference docs/reference`` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinqiao import errors

__all__ = ["api_page", "cli_page", "errors_page", "pages"]

_COMMON = ("--workspace", "--json", "--lang", "--debug", "--help")


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    return {"cli.md": cli_page(), "errors.md": errors_page(), "api.md": api_page()}


def cli_page() -> str:
    """Return the page of commands."""
    import typer

    from jinqiao.faces.cli import app

    lines = [
        "# Commands",
        "",
        "Made from the program; `jinqiao COMMAND --help` says the same.",
        "",
        "Every command takes `--workspace DIR` (`-w`; else `JINQIAO_WORKSPACE`, else a parent",
        "folder), `--json` (plain JSON on stdout, problems as JSON on stderr), `--lang zh|en`",
        "(else `JINQIAO_LANG`, or en) and `--debug` (where an error came from). Exit codes are on",
        "[the page of errors](errors.md). `jinqiao --install-completion` sets up the shell.",
    ]
    for path, command in _commands(typer.main.get_command(app), ()):
        lines += ["", f"## jinqiao {' '.join(path)}", "", *_command(path, command)]
    return "\n".join(lines) + "\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(one, (*path, name))


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [
        one
        for one in command.params
        if one.param_type_name == "option" and one.opts[0] not in _COMMON
    ]
    words = [
        f"{one.name.upper()}" if one.required else f"[{one.name.upper()}]" for one in arguments
    ]
    usage = " ".join(["jinqiao", *path, *words, *(["[OPTIONS]"] if options else [])])
    yield f"`{usage}`"
    yield ""
    yield " ".join(str(command.help).split())
    if arguments or options:
        yield ""
        for one in arguments:
            yield f"- `{one.name.upper()}`: {one.help or ''}"
        for one in options:
            yield f"- `{_option(one)}`: {one.help or ''}{_default(one)}"


def _option(one: Any) -> str:
    names = "/".join([one.opts[-1], *one.secondary_opts])
    if one.is_flag:
        return names
    return f"{names} VALUE"


def _default(one: Any) -> str:
    value = one.default
    if (value in (None, "", (), [], 0) and not one.is_flag) or one.required:
        return " Required." if one.required else ""
    if one.is_flag:
        return f" Default: {'yes' if value else 'no'}." if one.secondary_opts else ""
    return f" Default: {value}."


def errors_page() -> str:
    """Return the page of errors: code, HTTP status, exit code."""
    from jinqiao.faces.status import STATUS

    tree = (errors.__doc__ or "").split("::\n", 1)[1].split("\n\nAn expected", 1)[0]
    lines = [
        "# Errors",
        "",
        "Every error names the record at fault, the field and the fix where they are known. Over",
        "HTTP it is RFC 9457 problem details (`application/problem+json`: `type`, `title`,",
        "`status`, `detail`, `code`, `record`, `field`, `fix`, `trace_id`); on the command line,",
        "one line on stderr. An expected outcome (not eligible, sold out, duplicate) is no error.",
        "",
        "```",
        *(line[4:] for line in tree.strip("\n").splitlines()),
        "```",
        "",
        "| code | HTTP | exit code | title |",
        "|---|---|---|---|",
    ]
    for name in errors.__all__:
        kind = getattr(errors, name)
        status = STATUS[kind]
        lines.append(
            f'| <a id="{kind.code}"></a>`{kind.code}` | {status.http} | {status.exit_code} '
            f"| {status.title} |"
        )
    lines += [
        "",
        "A body larger than a mebibyte is answered by 413 with code `input`. `jinqiao check` ends",
        "with 3 when it found faults, `jinqiao doctor` with 1, and `jinqiao statement reconcile`",
        "with 8 when the two sides differ.",
    ]
    return "\n".join(lines) + "\n"


_API_HEAD = """# HTTP API

`jinqiao serve` answers on `serve.host:serve.port`. The whole contract is OpenAPI 3.1 at
`/openapi.json`; this page is made from it.

**Who asks.** `Authorization: Bearer …` with one of:

| credential | from | may |
|---|---|---|
| publishable key `pk_…` | `jinqiao key create publishable` | send events, see nobody's shelf |
| operator key `sk_…` | `jinqiao key create operator` | everything of the operator |
| institution key `ik_…`, or `/oauth/token` | `jinqiao key create institution` | its own |
| customer session | `POST /v1/sessions`, by your server | the customer's own |

Reports may instead be signed by [Standard Webhooks](https://www.standardwebhooks.com)
(`webhook-id`, `webhook-timestamp`, `webhook-signature`) with `Jinqiao-Institution: ID`.

**Retries.** `Idempotency-Key` on `POST /v1/clicks` and `/v1/postbacks`: within a day the same
request is done once and answered as before (`Idempotent-Replayed: true`); another request under
the same key is a 409.

**Versions.** Every answer carries `Jinqiao-Version: {version}`; a request may pin it by the same
header. **Limits on asking:** `RateLimit-Limit`, `-Remaining`, `-Reset`; beyond them 429 with
`Retry-After`. **Bodies** are at most a mebibyte and 32 deep. **Pages:** `cursor` and
`next_cursor`. **Languages:** `?lang=zh|en`, else `Accept-Language`. Money is whole minor units;
instants are ISO 8601 with zone. CORS is off. Errors are [problem details](errors.md).
"""


def api_page() -> str:
    """Return the page of routes."""
    from jinqiao.faces.api import documented
    from jinqiao.faces.api_door import VERSION

    page = documented()
    lines = [_API_HEAD.format(version=VERSION).rstrip()]
    for path, verbs in page["paths"].items():
        for verb, one in verbs.items():
            lines += ["", f"## {verb.upper()} {path}", "", " ".join(one["description"].split())]
            lines += list(_route(one, page))
    return "\n".join(lines) + "\n"


def _route(one: dict[str, Any], page: dict[str, Any]) -> Iterator[str]:
    told = []
    for part in one.get("parameters", ()):
        needed = "" if part.get("required") else ", optional"
        text = f": {part['description']}" if part.get("description") else ""
        told.append(f"- `{part['name']}` ({part['in']}{needed}){text}")
    for kind, body in one.get("requestBody", {}).get("content", {}).items():
        told.append(f"- body: `{kind}`{_fields(body['schema'], page)}")
    for status in ("200", "201"):
        for kind, answer in one["responses"].get(status, {}).get("content", {}).items():
            told.append(f"- {status}: `{kind}`{_fields(answer.get('schema', {}), page)}")
    if told:
        yield ""
        yield from told


def _fields(schema: dict[str, Any], page: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    found = page["components"]["schemas"].get(name, schema)
    if "anyOf" in found:
        found = found["anyOf"][0]
    fields = found.get("properties", {})
    needed = set(found.get("required", ()))
    if not fields:
        return ""
    listed = ", ".join(f"`{key}`" + ("" if key in needed else "?") for key in fields)
    return f" {listed}"


def main() -> None:
    """Write every page into the folder named."""
    folder = Path(sys.argv[1])
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
