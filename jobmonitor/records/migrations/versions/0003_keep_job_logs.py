"""Create the table of what jobs log, one partition a day."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    statements = Path(__file__).with_suffix(".sql").read_text("utf-8")
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(statements)


def downgrade() -> None:
    """Drop it, with all its days."""
    op.execute("DROP FUNCTION job_log_days")
    op.execute("DROP TABLE job_log")
