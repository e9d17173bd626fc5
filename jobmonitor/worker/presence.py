"""Who this worker is, and whether an earlier one of the same name is gone.

Runs in: the worker's main process.
"""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from typing import Any

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


def register(database: Database, worker_id: str, worker: Any, version: str) -> None:
    """Write the row of this start."""
    database.rows(
        "register_worker",
        {
            "id": worker_id, "node": worker.hostname, "host": this_host(), "pid": os.getpid(),
            "pool": worker.pool_cls.__module__.rpartition(".")[2], "slots": worker.concurrency,
            "queues": sorted(worker.app.amqp.queues.consume_from), "version": version,
        },
    )  # fmt: skip


def dead_here(database: Database, own_id: str) -> list[str]:
    """List workers of this host whose process is gone: no need to wait for their silence."""
    rows = database.rows("workers_here", {"host": this_host()})
    others = [row for row in rows if row.id != own_id]
    return [row.id for row in others if row.pid == os.getpid() or not process_lives(row.pid)]
