"""Create the table of what jobs log, one partition a day."""

from alembic import op

from jobmonitor.records.migrations.beside import run_statements_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    run_statements_beside(__file__)


def downgrade() -> None:
    """Drop it, with all its days."""
    op.execute("DROP FUNCTION job_log_days")
    op.execute("DROP TABLE job_log")
