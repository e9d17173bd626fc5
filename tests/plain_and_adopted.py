"""The same stories told by the same app twice: run plainly, and adopted by jobmonitor.

A story is a function of a module that takes the app's module and returns what it saw, as JSON.
`tell` runs all stories of a module in a process of their own, beside a real worker.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kombu.utils import json
from psycopg.rows import namedtuple_row

from jobmonitor.records.database import Database
from tests.brokers import redis_of
from tests.workers import REPOSITORY, Worker, die_with_parent, workers

APP = "tests.acceptance.styles_app"


@dataclass(frozen=True)
class Told:
    """What the stories of one module said in both worlds."""

    plain: dict[str, Any]
    adopted: dict[str, Any]
    environment: dict[str, str]

    def jobs(self, condition: str) -> list[Any]:
        """The rows of the adopted world that fulfil a condition of SQL, all columns."""
        database = Database(self.environment["JOBMONITOR_DATABASE_URL"])
        with database.connection() as connection:
            cursor = connection.cursor(row_factory=namedtuple_row)
            rows = cursor.execute(f"SELECT * FROM job WHERE {condition} ORDER BY id").fetchall()
        database.close()
        return rows


def stories_of(module: str) -> list[str]:
    """The names of a module's stories, in the order in which they are told."""
    return [name for name, item in vars(importlib.import_module(module)).items()
            if callable(item) and getattr(item, "__module__", "") == module
            and not name.startswith("_")]  # fmt: skip


def tell(module: str, request: pytest.FixtureRequest, directory: Path, *queues: str) -> Told:
    """Tell the stories in both worlds at once, each on a broker and results of its own.

    Each world has one worker with one process, or one for each list of queues.
    """
    worlds = [_environment(request.getfixturevalue("plain_broker_url")) | {"PLAIN": "1"}]
    worlds.append(_environment(request.getfixturevalue("broker_url")))
    worlds[1]["JOBMONITOR_DATABASE_URL"] = request.getfixturevalue("database_url")
    for name, world in zip(("plain", "adopted"), worlds, strict=True):
        world["STORIES"] = module
        world["TRACE_FILE"] = str(directory / f"{name}.trace")
        (directory / name).mkdir()
    started = [
        Worker(
            APP, world, directory / name, name=f"same{number}", concurrency=1, options=options
        )
        for name, world in zip(("plain", "adopted"), worlds, strict=True)
        for number, options in enumerate([("-Q", names) for names in queues] or [()])
    ]
    with workers(*started):
        processes = [_teller(module, world) for world in worlds]
        said = [process.communicate(timeout=100) for process in processes]
    for process, (_, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors.decode()
    first, second = (json.loads(output) for output, _ in said)
    return Told(first, second, worlds[1])


def _environment(broker: str) -> dict[str, str]:
    return {"BROKER_URL": broker, "RESULT_URL": redis_of(broker), "C_FORCE_ROOT": "1"}


def _teller(module: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.plain_and_adopted", module],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TELLER": "1", **environment},
        preexec_fn=die_with_parent,
    )  # fmt: skip


def _main() -> None:
    module = sys.argv[1]
    shop = importlib.import_module(APP)
    said = {}
    for name in stories_of(module):
        said[name] = getattr(importlib.import_module(module), name)(shop)
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    _main()
