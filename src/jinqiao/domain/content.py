"""Content: topics (专题) and materials (素材), shown only in the very words that were approved."""

from __future__ import annotations

from dataclasses import dataclass

from jinqiao.domain.stage import ProductClass

__all__ = ["Material"]


@dataclass(frozen=True, slots=True)
class Material:
    """One short piece in one language pair; ``digest`` is of the exact text, approval names it."""

    content_id: str
    topic: str
    product_class: ProductClass | None
    title_zh: str
    title_en: str
    body_zh: str
    body_en: str
    digest: str
