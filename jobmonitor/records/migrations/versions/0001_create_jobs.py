"""Create the tables of jobs, their messages, counters, runs, holds, events and workers."""

from alembic import op

from jobmonitor.records.migrations.beside import run_statements_beside

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "api_token", "worker", "job_event", "job_hold", "job_run", "job_children", "job_message",
    "job",
)  # fmt: skip


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    run_statements_beside(__file__)


def downgrade() -> None:
    """Drop everything."""
    for function in ("job_held", "job_count", "job_seconds_since"):
        op.execute(f"DROP FUNCTION {function}")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
