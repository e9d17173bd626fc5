"""Alembic's entry: migrates over the connection that `database.migrate` opened."""

from alembic import context

from jobmonitor.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="jobmonitor_version",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
