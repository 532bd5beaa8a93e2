"""Write the Alembic revision of the records schema from its metadata.

    .venv/bin/python scripts/make_migration.py 0003 "What changed."    # write it, or rewrite it

A revision is what the metadata have and the revisions before it do not make. The output depends on
those alone, and is formatted by ruff.
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

KEPT = Path(migrations.__file__).parent / "versions"
VERSIONS = KEPT

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


def main(revision: str, title: str) -> None:
    """Write ``versions/<revision>.py``; the first describes an empty database's whole schema."""
    before = sorted(path.stem for path in KEPT.glob("[0-9]*.py") if path.stem < revision)
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/records.db")
        if before:
            migrations.upgrade(engine, before[-1])
        with engine.connect() as connection:
            script = produce_migrations(MigrationContext.configure(connection), metadata)
    text = TEMPLATE.format(
        title=title,
        revision=revision,
        down=before[-1] if before else None,
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
