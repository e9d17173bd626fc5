"""Create the tables of people who log in, their sessions, and the key of their cookies."""

from alembic import op

from jobmonitor.records.migrations.beside import run_statements_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the statements of the file beside this one."""
    run_statements_beside(__file__)


def downgrade() -> None:
    """Drop them."""
    for table in ("panel_key", "panel_session", "panel_user"):
        op.execute(f"DROP TABLE {table}")
