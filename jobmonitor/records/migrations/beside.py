"""The statements of a migration, in the file beside it.

Runs in: `jobs migrate`, and whoever calls `monitor.migrate()`.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run_statements_beside(migration: str) -> None:
    """Run the .sql file that has the name of this migration (`__file__`)."""
    statements = Path(migration).with_suffix(".sql").read_text("utf-8")
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(statements)
