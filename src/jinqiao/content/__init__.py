"""Topics (专题) and materials (素材): short pieces that stand beside offers, as approved.

In: one TOML file a piece, approvals by institutions, the classes on a shelf. Out: ``Material``s,
ranked. Always: only the exact text that was approved is shown; a piece has both languages; nothing
in it promises a return or an approval. From: docs/how-to/dock-an-institution.md.
"""

from jinqiao.content.approval import approve, approved, disapprove
from jinqiao.content.pieces import check, digest_of, load
from jinqiao.content.ranking import rank

__all__ = ["approve", "approved", "check", "digest_of", "disapprove", "load", "rank"]
