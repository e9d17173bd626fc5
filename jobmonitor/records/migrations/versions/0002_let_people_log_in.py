"""Create the tables of people who log in, their sessions, and the key of their cookies."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    statements = Path(__file__).with_suffix(".sql").read_text("utf-8")
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(statements)


def downgrade() -> None:
    """Drop them."""
    for table in ("panel_key", "panel_session", "panel_user"):
        op.execute(f"DROP TABLE {table}")
