"""The servers of the tests: one Postgres and one Valkey per pytest process.

They are started on free ports when first asked for. JOBMONITOR_TEST_DATABASE_URL and
JOBMONITOR_TEST_BROKER_URL name existing servers to use instead: databases are created beside
the named one and dropped again; the Redis databases from the named one upwards, one for each
worker of pytest-xdist, are emptied.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from psycopg import sql
from sqlalchemy.engine import make_url

from jobmonitor.embedded import PostgresServer, RedisServer, create_database, drop_database
from jobmonitor.embedded.servers import connection, with_database
from tests.brokers import fair
from tests.browser import browser, complaints, open_page, panel_app, session_of, web_server

# here, not where they are used: a process can drive only one browser
__all__ = ["browser", "complaints", "open_page", "panel_app", "session_of", "web_server"]

DATABASE_URL = os.environ.get("JOBMONITOR_TEST_DATABASE_URL")
BROKER_URL = os.environ.get("JOBMONITOR_TEST_BROKER_URL")
TESTS = Path(__file__).resolve().parent
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

# Hundreds of processes are started. Where Python may leave no bytecode beside the sources, each
# would compile what it imports: without any a worker needs 3.3 s of processor instead of 0.9.
if sys.dont_write_bytecode:
    bytecode = TESTS.parent / ".pytest_cache" / "bytecode"
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(bytecode)
    os.environ["PYTHONDONTWRITEBYTECODE"] = ""
    sys.dont_write_bytecode = False


#: The files that take longest, longest first: with one of them at the end, one process of
#: pytest-xdist would work alone. Measured with --durations.
LONGEST = (
    "records/test_life.py", "transport/test_order.py", "faults/test_import.py",
    "faults/test_shutdown.py", "faults/test_lost_worker.py", "transport/test_outages.py",
    "acceptance/test_origin_operations.py", "acceptance/test_real_jobs.py",
    "acceptance/test_canvas_steering.py", "acceptance/test_origin.py", "panel/test_browser.py",
    "acceptance/test_pools.py", "acceptance/test_verbs.py", "transport/test_workers.py",
    "acceptance/test_waiting.py", "panel/test_browser_access.py", "acceptance/test_canvas.py",
    "transport/test_lag.py", "transport/test_sentinel.py", "acceptance/test_watching.py",
    "acceptance/test_bulk.py", "transport/test_clocks.py", "acceptance/test_origin_triggers.py",
    "acceptance/test_revoking.py", "faults/test_database.py", "acceptance/test_demo.py",
    "faults/test_gevent.py", "transport/test_emptied.py", "transport/test_acl.py",
    "faults/test_lost_process.py", "panel/test_browser_planted.py",
    "panel/test_browser_pages.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; each process of pytest-xdist finds the same order."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A directory that is removed at the end, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="jobmonitor-tests-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """A Postgres that a test may kill, if it restarts it."""
    if DATABASE_URL:
        pytest.skip("needs a Postgres of its own, JOBMONITOR_TEST_DATABASE_URL names another")
    server = PostgresServer(server_directory / "postgres", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(server_directory: Path) -> Iterator[RedisServer]:
    """A Valkey that a test may kill, if it restarts it."""
    if BROKER_URL:
        pytest.skip("needs a Redis of its own, JOBMONITOR_TEST_BROKER_URL names another")
    server = RedisServer(server_directory / "redis", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with all tables that nobody uses: the others are copied from it."""
    from jobmonitor.records.database import migrate

    server_url = DATABASE_URL or request.getfixturevalue("postgres").url
    url = create_database(server_url, f"test_{uuid.uuid4().hex}")
    migrate(url)
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def database_url(migrated: str) -> Iterator[str]:
    """A new database with all tables, for the tests of one module."""
    name, template = f"test_{uuid.uuid4().hex}", make_url(migrated).database or ""
    with connection(with_database(migrated, "postgres")) as server:
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        server.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
    url = with_database(migrated, name)
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def broker_url(request: pytest.FixtureRequest) -> str:
    """A Redis database, in fair order, that is empty when the tests of one module begin."""
    return fair(_empty_redis(request, 0))


@pytest.fixture(scope="module")
def plain_broker_url(request: pytest.FixtureRequest) -> str:
    """Another one, for the same app without jobmonitor."""
    return _empty_redis(request, 8)


def _empty_redis(request: pytest.FixtureRequest, further: int) -> str:
    url = make_url(BROKER_URL or request.getfixturevalue("redis_server").url)
    number = int(url.database or 0) + (WORKER if BROKER_URL else 0) + further
    own = url.set(database=str(number)).render_as_string(hide_password=False)
    with redis.Redis.from_url(own) as client:
        client.flushdb()
    return own
