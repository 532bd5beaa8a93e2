"""The records tables, one module a topic, as SQLAlchemy Core metadata.

Instants are ``BigInteger`` microseconds since 1970 (UTC) and end in ``_at``; money is
``BigInteger`` minor units. Databases are created by ``store/migrations`` only; a test holds the two
equal.
"""

from jinqiao.store.schema import (
    access,
    catalog,
    content,
    conversion,
    customer,
    experiments,
    intake,
    model,
    profile,
    settlement,
)
from jinqiao.store.schema._metadata import metadata

__all__ = [
    "access",
    "catalog",
    "content",
    "conversion",
    "customer",
    "experiments",
    "intake",
    "metadata",
    "model",
    "profile",
    "settlement",
]
