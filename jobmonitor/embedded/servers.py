"""The two servers: how Postgres and Valkey or Redis are prepared, configured and asked.

Runs in: the process that starts the server.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psycopg
import redis
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.engine import make_url

from jobmonitor.embedded.binaries import find_postgres, find_redis
from jobmonitor.embedded.process import HOST, LOCALE, Server
from jobmonitor.errors import ServerError

NAME = "jobmonitor"  # of the Postgres user and of the first database
POSTGRES_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
}
# Without fsync what was committed survives the death of the server, but not of the machine.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(Server):
    """A Postgres with the user and the database `jobmonitor`."""

    title = "Postgres"
    farewell = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        postgres_bin: Path | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(directory, durable=durable, user=user)
        self._postgres_bin = postgres_bin

    @property
    def url(self) -> str:
        """The address of the database `jobmonitor`, for SQLAlchemy."""
        return f"postgresql+psycopg://{NAME}:{self._password}@{HOST}:{self.port}/{NAME}"

    def create_database(self, name: str) -> str:
        """Create a further, empty database and return its URL."""
        return create_database(self.url, name)

    def _find_program(self) -> Path:
        return find_postgres(self._postgres_bin)

    def _fill(self, folder: Path) -> None:
        if self._spawn(self._initdb, folder).wait() != 0:
            raise self._failure("could not make its data")

    def _initdb(self, data: str) -> tuple[list[str], str]:
        command = [
            str(self._program.with_name("initdb")),
            f"--pgdata={data}",
            f"--username={NAME}",
            "--pwfile=/dev/stdin",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            f"--locale={LOCALE}",
            *([] if self.durable else ["--no-sync"]),
        ]
        return command, self._password

    def _command(self, port: int, data: str) -> tuple[list[str], str]:
        settings = POSTGRES_SETTINGS | ({} if self.durable else FAST_SETTINGS)
        # The lock was free: whatever process now has the number in this file is not ours.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(self._program), "-D", data, "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return command, ""

    def _answers(self, port: int) -> bool:
        url = f"postgresql://{NAME}:{self._password}@{HOST}:{port}/postgres?connect_timeout=2"
        try:
            with connection(url) as server:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                missing = server.execute(query, [NAME]).fetchone() is None
            if missing:
                create_database(url, NAME)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ServerError(f"the password in {self._directory.path} is wrong") from error
            return False
        return True


class RedisServer(Server):
    """A Valkey, or a Redis, that keeps what it was told over a restart."""

    title = "Valkey"
    farewell = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 3.0))

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = True,
        redis_server: Path | None = None,
        user: str | None = None,
    ) -> None:
        super().__init__(directory, durable=durable, user=user)
        self._redis_server = redis_server

    @property
    def url(self) -> str:
        """The address of database 0, for Celery."""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def _find_program(self) -> Path:
        return find_redis(self._redis_server)

    def _fill(self, folder: Path) -> None:
        """Valkey makes all its files itself."""

    def _command(self, port: int, data: str) -> tuple[list[str], str]:
        settings = [
            f"dir {json.dumps(data, ensure_ascii=False)}",
            f"bind {HOST}",
            f"port {port}",
            f"requirepass {self._password}",
            "appendonly yes",
            f"appendfsync {'everysec' if self.durable else 'no'}",
            'save ""',
            "maxmemory-policy noeviction",
        ]
        return [str(self._program), "-"], "\n".join(settings)

    def _answers(self, port: int) -> bool:
        once = Retry(NoBackoff(), 0)
        try:
            with redis.Redis(
                HOST, port, password=self._password, socket_timeout=2, retry=once
            ) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def create_database(url: str, name: str) -> str:
    """Create an empty database beside the one of this SQLAlchemy URL and return its URL."""
    with connection(url) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return with_database(url, name)


def drop_database(url: str) -> None:
    """Drop the database of this SQLAlchemy URL, also while it is in use."""
    name = make_url(url).database or ""
    with connection(with_database(url, "postgres")) as server:
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def connection(url: str) -> psycopg.Connection[TupleRow]:
    """Connect by a SQLAlchemy URL, with every statement a transaction of its own."""
    parts = make_url(url)
    names = parts.translate_connect_args(username="user", database="dbname") | dict(parts.query)
    conninfo = make_conninfo(**{name: str(value) for name, value in names.items()})
    return psycopg.connect(conninfo, autocommit=True)


def with_database(url: str, name: str) -> str:
    """Return the URL with another database."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)
