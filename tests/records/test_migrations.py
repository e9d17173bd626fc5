"""The schema: what the migrations make is what the tables say."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from jobmonitor.embedded import create_database, drop_database
from jobmonitor.records import database as database_module
from jobmonitor.records.database import migrate, migration_state
from jobmonitor.records.tables import metadata

VERSION_TABLE = "jobmonitor_version"


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    """A database without tables, beside that of the module."""
    url = create_database(database_url, f"test_{uuid.uuid4().hex}")
    yield url
    drop_database(url)


def relations(url: str) -> list[str]:
    """Tables, indexes and functions of our schema."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "UNION ALL SELECT proname FROM pg_proc "
                "WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
            )
        )
        names = [row[0] for row in found]
    engine.dispose()
    return names


def test_the_newest_schema_is_what_the_tables_say(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        days = set(
            connection.execute(
                text("SELECT relname FROM pg_class WHERE relispartition")
            ).scalars()
        )

        def is_ours(name: str | None, kind: str, parents: Any) -> bool:
            return not (kind == "table" and name in days)

        options = {
            "version_table": VERSION_TABLE, "compare_type": True, "include_name": is_ours,
        }  # fmt: skip
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    before = relations(database_url)
    migrate(database_url)
    assert relations(database_url) == before


def test_two_processes_may_migrate_at_once(empty_url: str) -> None:
    code = "import sys; from jobmonitor.records.database import migrate; migrate(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", code, empty_url]) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    found, wanted = migration_state(empty_url)
    assert found == wanted


def test_a_downgrade_leaves_nothing_but_alembics_own_table(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        config = database_module._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    engine.dispose()
    assert relations(empty_url) == [VERSION_TABLE, "jobmonitor_version_pkc"]


def test_a_database_without_tables_is_recognized(empty_url: str) -> None:
    found, wanted = migration_state(empty_url)
    assert found is None
    assert wanted


def test_a_newer_schema_is_recognized(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    engine.dispose()
    assert migration_state(empty_url)[0] == "9999"
