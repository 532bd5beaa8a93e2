"""Consent texts: the exact words of each purpose, in files whose versions are never edited."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from importlib import resources

from jinqiao.domain.consent import ConsentText, Purpose
from jinqiao.errors import Conflict, NotFound
from jinqiao.store.base import Tx

__all__ = ["newest_text", "publish_texts", "shipped_texts", "text_digest", "text_digests"]


@cache
def shipped_texts() -> tuple[ConsentText, ...]:
    """Return every text that comes with jinqiao, purposes in order, oldest version first."""
    found = []
    for entry in sorted(resources.files(__package__).joinpath("texts").iterdir(), key=str):
        if entry.name.endswith(".toml"):
            purpose = Purpose(entry.name.removesuffix(".toml"))
            versions = tomllib.loads(entry.read_text(encoding="utf-8"))["version"]
            for one in versions:
                version = f"{purpose.value}@{one['number']}"
                texts = (" ".join(one["zh"].split()), " ".join(one["en"].split()))
                found.append(ConsentText(version, purpose, *texts))
    return tuple(found)


@cache
def newest_text(purpose: str) -> ConsentText:
    """Return the newest shipped text of a purpose; raise NotFound when it has none."""
    texts = [text for text in shipped_texts() if text.purpose == purpose]
    if not texts:
        raise NotFound(f"no consent text for {purpose!r}", field="purpose")
    return texts[-1]


def text_digest(text: ConsentText) -> str:
    """Return 64 hex digits of the exact words, both languages."""
    return hashlib.sha256(f"{text.zh}\x1f{text.en}".encode()).hexdigest()


def publish_texts(tx: Tx, texts: tuple[ConsentText, ...], now_us: int) -> int:
    """Return how many texts were new; raise Conflict when a version came with other words."""
    rows = [
        {
            "version": text.version,
            "purpose": text.purpose.value,
            "zh": text.zh,
            "en": text.en,
            "digest": text_digest(text),
            "created_at": now_us,
        }
        for text in texts
    ]
    new = tx.insert_new("consent_texts", rows)
    for row, is_new in zip(rows, new, strict=True):
        if not is_new:
            kept = tx.get("consent_texts", {"version": row["version"]})
            if kept is None or kept["digest"] != row["digest"]:
                raise Conflict(
                    "a consent text is never edited",
                    record=str(row["version"]),
                    fix="give the new words a new version",
                )
    return sum(new)


def text_digests(tx: Tx) -> dict[str, str]:
    """Return version → digest of every text, shipped or published."""
    shipped = {text.version: text_digest(text) for text in shipped_texts()}
    return shipped | {row["version"]: row["digest"] for row in tx.find("consent_texts")}
