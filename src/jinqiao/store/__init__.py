"""Three stores, each the right kind: lake, records, snapshot.

In: Arrow tables, rows, directories. Out: the same, exactly. Always: an append is all or nothing and
idempotent, a transaction is serialisable, a snapshot is immutable. From: docs/architecture.md.
"""
