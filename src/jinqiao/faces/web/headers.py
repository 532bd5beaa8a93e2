"""The headers every page carries: no script at all, no other site, nothing kept by caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["secured"]

_POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def secured(response: Response, *, https: bool, form_hosts: tuple[str, ...] = ()) -> Response:
    """Return the response with its headers; ``form_hosts`` are where its forms may lead to."""
    policy = "; ".join(f"{name} {value}" for name, value in _POLICY.items())
    forms = " ".join(("'self'", *form_hosts))
    headers = response.headers
    headers["content-security-policy"] = f"{policy}; form-action {forms}"
    headers["x-content-type-options"] = "nosniff"
    headers["x-frame-options"] = "DENY"
    headers["referrer-policy"] = "same-origin"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers["permissions-policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
    headers.setdefault("cache-control", "private, no-store")
    if https:
        headers["strict-transport-security"] = "max-age=31536000"
    return response
