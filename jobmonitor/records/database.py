"""Connections to Postgres: one pool per process, statements from `sql/`, migrations.

Runs in: every process. A pool never crosses a fork; connections are autocommit, so that one
statement is one round trip.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

from jobmonitor.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    JobMonitorError,
    MigratedFurther,
    NotMigrated,
    QueryRefused,
)
from jobmonitor.records import prepared, soft_limit
from jobmonitor.records.prepared import is_at_rest

#: what a broken or missing connection raises; a statement that met it may be tried again
CONNECTION_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError)

#: what Postgres ended to let another go on; the same statement may be tried again
TRANSIENT_ERRORS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_MISSING = (
    psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedColumn,
)  # fmt: skip
_FOR_EVERY_JOB = frozenset({"create", "claim_pending", "finish_running", "finish", "advance"})
_VERSION_TABLE = "jobmonitor_version"
_LONGEST_WAIT = 30.0
#: connections kept beside the pool: a process that runs one job needs one, its log another
_KEPT = 2
_databases: weakref.WeakSet[Database] = weakref.WeakSet()


@cache
def statement(name: str) -> bytes:
    """Read one verb of `sql/`; raises FileNotFoundError for a name that has no file."""
    return resources.files("jobmonitor.records").joinpath("sql", f"{name}.sql").read_bytes()


class Database:
    """The address of a database and this process's pool of connections to it.

    So many connections are lent at once, to whatever number of threads or greenlets; the others
    wait. Who has one and asks for another inside gets it without waiting.
    """

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = _readable(_with_driver(url))
        self._pool_size = pool_size
        self._engine: Engine | None = None
        self._idle: list[PoolProxiedConnection] = []
        self._of_parent: list[PoolProxiedConnection] = []
        self._pid = 0
        self._begin_anew()
        _databases.add(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._free = threading.Semaphore(self._pool_size)
        self._of_parent += self._idle  # after a fork: neither used nor closed here
        self._idle = []
        self._here = threading.local()

    @property
    def engine(self) -> Engine:
        """The engine of this process, made on first use and anew after a fork."""
        if self._engine is None or self._pid != os.getpid():
            with self._lock:
                if self._engine is None or self._pid != os.getpid():
                    self._renew()
        assert self._engine is not None
        return self._engine

    def _renew(self) -> None:
        if self._engine is not None:
            self._engine.dispose(close=False)
        self._engine = create_engine(
            self.url,
            isolation_level="AUTOCOMMIT",
            pool_size=self._pool_size,
            max_overflow=2 * self._pool_size,
            pool_reset_on_return=None,
            connect_args={"application_name": "jobmonitor", "connect_timeout": 5},
        )
        self._pid = os.getpid()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until this thread or greenlet may have a connection; not where it has one."""
        self._take_turn()
        try:
            yield
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        depth = getattr(self._here, "depth", 0)
        if not depth and not self._free.acquire(timeout=_LONGEST_WAIT):
            busy = TimeoutError(f"all {self._pool_size} connections of this process are in use")
            raise DatabaseUnavailable(self.address, busy)
        self._here.depth = depth + 1

    def _end_turn(self) -> None:
        self._here.depth -= 1
        if not self._here.depth:
            self._free.release()

    def connection(self) -> Loan:
        """Lend a connection in autocommit; a broken one is thrown away.

        Raises DatabaseUnavailable where no connection can be made or it breaks meanwhile,
        NotMigrated where the tables are missing.
        """
        return Loan(self)

    def _check_out(self) -> PoolProxiedConnection:
        """Take the connection that was used last: the pool would look at it for long."""
        engine = self.engine
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return engine.raw_connection()
        except Exception as error:
            cause = getattr(error, "orig", None) or error
            raise DatabaseUnavailable(self.address, cause) from error

    def _check_in(self, pooled: PoolProxiedConnection) -> None:
        """Keep a connection for the next, unless it broke or is inside a transaction."""
        connection: Any = pooled.driver_connection
        is_well = connection is not None and is_at_rest(connection)
        if is_well and len(self._idle) < _KEPT:
            self._idle.append(pooled)
            return
        if connection is not None and not is_well:
            pooled.invalidate()
        pooled.close()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection inside a transaction that commits at the end."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def reading(self, *, limit: float | None = None) -> Iterator[Connection]:
        """Lend a SQLAlchemy connection for a query; the same errors as `connection`.

        Raises QueryRefused where a statement takes longer than `limit` seconds.
        """
        with soft_limit.held_back(), self._turn():
            try:
                with self.engine.connect() as connection, _limited(connection, limit):
                    yield connection
            except SQLAlchemyError as error:
                cause = getattr(error, "orig", None) or error
                if isinstance(cause, psycopg.errors.QueryCanceled) and limit:
                    raise QueryRefused(
                        f"the answer was not there after {limit:g} s: narrow the filters"
                    ) from error
                if isinstance(cause, CONNECTION_ERRORS):
                    raise DatabaseUnavailable(self.address, cause) from error
                if isinstance(cause, _MISSING):
                    raise self._misfit() from error
                raise

    def rows(self, verb: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Run one verb and fetch all rows as named tuples."""
        with self.connection() as connection:
            return fetch(connection, verb, parameters)

    def row(self, verb: str, parameters: Mapping[str, Any]) -> Any:
        """Run one verb and return its first row, or None."""
        found = self.rows(verb, parameters)
        return found[0] if found else None

    def _misfit(self) -> JobMonitorError:
        """Say why a statement does not fit the tables: they are too old, or too new."""
        try:
            check_schema(self)
        except JobMonitorError as error:
            return error
        return NotMigrated(self.address)

    @property
    def address(self) -> str:
        """The address without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def close(self) -> None:
        """Close the pool of this process."""
        if self._engine is not None and self._pid == os.getpid():
            while self._idle:
                self._idle.pop().close()
            self._engine.dispose()
        self._engine = None


class Loan:
    """One connection of a `Database`, for the time of a with block."""

    __slots__ = ("_database", "_pooled")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> psycopg.Connection[Any]:
        soft_limit.hold_back()
        try:
            self._database._take_turn()
            try:
                self._pooled = self._database._check_out()
            except BaseException:
                self._database._end_turn()
                raise
        except BaseException:
            soft_limit.let_go()
            raise
        return self._pooled.driver_connection  # type: ignore[return-value]

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        database = self._database
        is_broken = isinstance(error, CONNECTION_ERRORS) and not isinstance(
            error, TRANSIENT_ERRORS
        )
        try:
            if is_broken:
                self._pooled.invalidate()
            database._check_in(self._pooled)
        finally:
            database._end_turn()
            soft_limit.let_go()
        if is_broken and error is not None:
            raise DatabaseUnavailable(database.address, error) from error
        if isinstance(error, _MISSING):
            raise database._misfit() from error


def fetch(
    connection: psycopg.Connection[Any], verb: str, parameters: Mapping[str, Any]
) -> list[Any]:
    """Run one prepared verb on a connection and fetch what it returns, if it does."""
    if verb in _FOR_EVERY_JOB and prepared.can_execute(connection):
        return prepared.execute(connection, verb, statement(verb), parameters)
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        cursor.execute(statement(verb), parameters, prepare=True)
        answer = cursor.pgresult
        return cursor.fetchall() if answer is not None and answer.nfields else []


def migrate(url: str) -> None:
    """Bring the database to the schema of this version; safe to run at any time, by many.

    Raises MigratedFurther where a newer version did it already.
    """
    have, want = migration_state(url)
    if have is not None and have > want:
        raise MigratedFurther(Database(url).address, have, want)
    with _connected(url) as connection:
        connection = connection.execution_options(isolation_level="READ COMMITTED")
        with connection.begin():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1245859, 0)")
            config = _alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def migration_state(url: str) -> tuple[str | None, str]:
    """Return (the schema's version, the version that this code wants)."""
    with _connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": _VERSION_TABLE})
        wanted = ScriptDirectory.from_config(_alembic()).get_current_head()
        return context.get_current_revision(), str(wanted)


def check_schema(database: Database) -> None:
    """Raise NotMigrated where the tables are too old, MigratedFurther where too new."""
    have, want = migration_state(database.url)
    if have is None or have < want:
        raise NotMigrated(database.address)
    if have > want:
        raise MigratedFurther(database.address, have, want)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """Connect once, apart from any pool."""
    database = Database(url, pool_size=1)
    try:
        with database.reading() as connection:
            yield connection
    finally:
        database.close()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "jobmonitor:records/migrations")
    config.set_main_option("path_separator", "os")
    return config


def _with_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme == "postgresql" else url


def _readable(url: str) -> str:
    """Return the address, or refuse it without showing what may be its password."""
    try:
        make_url(url)
        url.encode()
        readable = url.isprintable()
    except (ArgumentError, ValueError):
        readable = False
    if not readable:
        raise ConfigurationError(
            "database_url cannot be read: it is postgresql://user:password@host:port/name, "
            "with special characters in a name or password written like %40"
        )
    return url


@contextmanager
def _limited(connection: Connection, limit: float | None) -> Iterator[None]:
    """Let Postgres end what takes longer than so many seconds."""
    if limit is None:
        yield
        return
    connection.exec_driver_sql(f"SET statement_timeout = {round(limit * 1_000)}")
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql("RESET statement_timeout")


def _after_fork() -> None:
    """Forget locks and turns that threads of the parent hold; they are not here."""
    for database in list(_databases):
        database._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
