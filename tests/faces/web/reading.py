"""What a page says, read from its HTML."""

from __future__ import annotations

import re
from html import unescape

__all__ = ["field", "links", "offers", "text", "trace"]


def text(html: str) -> str:
    """Return the words of a page, tags left out, spaces made one."""
    body = html[html.index("<main") :] if "<main" in html else html
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def links(html: str, start: str) -> list[str]:
    """Return the addresses on a page that begin so, in order."""
    return [unescape(x) for x in re.findall(r'href="([^"]+)"', html) if x.startswith(start)]


def offers(html: str) -> list[str]:
    """Return the product ids on a shelf, top first."""
    found = re.findall(r'<h2 id="offer-\d+"><a href="/products/([^"?]+)', html)
    return [unescape(x) for x in found]


def trace(html: str) -> str:
    """Return the trace id of a shelf's small print."""
    found = re.search(r'<a href="/why/([^"#]+)"><code>', html)
    assert found is not None, "no trace"
    return found.group(1)


def field(html: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None, f"no field {name}"
    return unescape(found.group(1))
