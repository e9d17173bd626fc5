"""Who this worker is, and whether an earlier one of the same name is gone.

Runs in: the worker's main process.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from pathlib import Path
from typing import Any

from celery.concurrency.prefork import TaskPool as Prefork

from jobmonitor.records.database import Database

_MACHINE = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_SPACE = Path("/proc/self/ns/pid")


def new_worker_id(node: str) -> str:
    """Name one start of a worker: its node name and a nonce."""
    return f"{node}/{uuid.uuid4().hex[:12]}"


def this_host() -> str:
    """Name the place in which process ids mean the same: host, boot, process namespace."""
    try:
        place = f"{_MACHINE.read_text('ascii').strip()} {os.readlink(_PROCESS_SPACE)}"
    except OSError:
        place = uuid.uuid4().hex
    return f"{socket.gethostname()} {place}"


def process_lives(pid: int) -> bool:
    """Say whether a process of this host exists and is not a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2]
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists() and _signals(pid)
    except OSError:
        return True
    return fields.split()[0] not in {"Z", "X"}


def _signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pool_kills(pool_cls: type) -> bool:
    """Say whether this kind of pool runs each job in a process of its own."""
    return issubclass(pool_cls, Prefork)


def register(database: Database, worker_id: str, worker: Any, version: str) -> None:
    """Write the row of this start."""
    database.rows(
        "register_worker",
        {
            "id": worker_id, "node": worker.hostname, "host": this_host(), "pid": os.getpid(),
            "pool": _pool_name(worker.pool_cls), "slots": worker.concurrency,
            "queues": sorted(worker.app.amqp.queues.consume_from), "version": version,
        },
    )  # fmt: skip


def kill_group(pid: int, within: float = 5.0) -> None:
    """Kill a process of our pool with what its job started, and wait until it is gone."""
    if pid == os.getpid():
        return
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + within
    while process_lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _pool_name(pool_cls: type) -> str:
    """The name that `celery worker --pool` takes, or the module of a pool of the app's own."""
    if pool_kills(pool_cls):
        return "prefork"
    name = pool_cls.__module__.rpartition(".")[2]
    return "threads" if name == "thread" else name


def dead_here(database: Database, own_id: str) -> list[str]:
    """List workers of this host whose process is gone: no need to wait for their silence."""
    rows = database.rows("workers_here", {"host": this_host()})
    others = [row for row in rows if row.id != own_id]
    return [row.id for row in others if row.pid == os.getpid() or not process_lives(row.pid)]
