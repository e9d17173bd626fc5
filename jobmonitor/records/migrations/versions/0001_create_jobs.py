"""Create the tables of jobs, their messages, counters, runs, holds, events and workers."""

from pathlib import Path

from alembic import op

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
    statements = Path(__file__).with_suffix(".sql").read_text("utf-8")
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(statements)


def downgrade() -> None:
    """Drop everything."""
    for function in ("job_held", "job_count", "job_seconds_since"):
        op.execute(f"DROP FUNCTION {function}")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
