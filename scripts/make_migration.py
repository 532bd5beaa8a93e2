"""Write the Alembic revision of the records schema from its metadata.

    .venv/bin/python scripts/make_migration.py            # rewrite the first, unreleased revision
    .venv/bin/python scripts/make_migration.py 0002 "what changed"    # write the next one

The output depends on the metadata alone, and is formatted by ruff.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from jinqiao.store import migrations
from jinqiao.store.schema import metadata

VERSIONS = Path(migrations.__file__).parent / "versions"

TEMPLATE = '''"""{title}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''


def main(revision: str = "0001", title: str = "The records as first released.") -> None:
    """Write ``versions/<revision>.py``; the first describes an empty database's whole schema."""
    first = revision == "0001"
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/records.db")
        if not first:
            migrations.upgrade(engine)
        with engine.connect() as connection:
            script = produce_migrations(MigrationContext.configure(connection), metadata)
    text = TEMPLATE.format(
        title=title,
        revision=revision,
        down=None if first else migrations.HEAD,
        upgrade=_body(script.upgrade_ops),
        downgrade=_body(script.downgrade_ops),
    )
    path = VERSIONS / f"{revision}.py"
    path.write_text(text, encoding="utf-8")
    ruff = Path(sys.executable).with_name("ruff")
    subprocess.run([ruff, "format", "-q", path], check=True)  # noqa: S603
    subprocess.run([ruff, "check", "-q", "--fix", path], check=True)  # noqa: S603


def _body(operations: object) -> str:
    code = render_python_code(operations).replace("# ### commands auto generated", "#")
    lines = [line for line in code.splitlines() if not line.strip().startswith("#")]
    return "\n".join(lines).strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
