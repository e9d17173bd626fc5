"""A broker URL is all that an app has to change, and the transport brings nothing with it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from jobmonitor.transport.alias import serializer
from tests.brokers import redis_of
from tests.workers import REPOSITORY

#: what the transport has no business with
STRANGERS = ("sqlalchemy", "psycopg", "flask", "celery.app", "alembic")


def python(program: str, *arguments: str) -> str:
    """Run a program in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_tells_kombu_of_its_urls() -> None:
    (entry,) = entry_points(group="kombu.serializers", name="fair-redis")
    assert entry.load() == serializer
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    named = declared["entry-points"]["kombu.serializers"]
    assert named == {"fair-redis": "jobmonitor.transport.alias:serializer"}


@pytest.mark.parametrize("library", ["kombu", "celery"])
def test_a_process_that_imports_only_celery_or_kombu_publishes_and_gets_by_a_broker_url(
    library: str, broker_url: str
) -> None:
    programs = {
        "kombu": """
import sys
from kombu import Connection, Producer  # kombu reads entry points when it loads Producer
with Connection(sys.argv[1]) as connection, connection.SimpleQueue("alias-kombu") as queue:
    queue.put("hello")
    message = queue.get(timeout=20)
    print(message.payload)
    message.ack()
""",
        "celery": """
import sys
from celery import Celery
app = Celery(broker=sys.argv[1])
app.send_task("t", ("hello",), queue="alias-celery", ignore_result=True)
with app.connection_for_read() as connection:
    message = connection.default_channel.basic_get("alias-celery")
    print(message.payload[0][0])
    message.ack()
""",
    }
    assert python(programs[library], broker_url) == "hello\n"


def test_kombu_itself_does_not_load_the_transport_before_it_is_asked_for(
    broker_url: str,
) -> None:
    program = """
import sys
from kombu import Connection, Producer
with Connection(sys.argv[1]) as connection:
    connection.default_channel.client.ping()
print([name for name in sys.modules if name.startswith("jobmonitor.")])
"""
    loaded = python(program, redis_of(broker_url))
    assert loaded == "['jobmonitor.transport', 'jobmonitor.transport.alias']\n"


@pytest.mark.parametrize("module", ["alias", "transports", "consumer", "fair_queue"])
def test_a_module_of_the_transport_brings_nothing_of_records_panel_or_apps(
    module: str,
) -> None:
    program = (
        f"import json, sys, jobmonitor.transport.{module}\nprint(json.dumps([*sys.modules]))"
    )
    loaded = json.loads(python(program))
    found = [name for name in loaded if name in STRANGERS or name.startswith(STRANGERS)]
    assert found == []


def test_the_lua_files_are_beside_the_modules_of_the_installed_package() -> None:
    program = """
from pathlib import Path
from jobmonitor.transport import scripts
print(scripts.__file__)
"""
    folder = Path(python(program).strip()).parent / "lua"
    verbs = {path.stem for path in folder.glob("*.lua")}
    assert {"publish", "take", "ack", "requeue", "refresh", "beat", "leave", "purge"} <= verbs


def test_the_serializer_behind_the_entry_point_is_never_chosen(broker_url: str) -> None:
    program = """
import sys
from kombu import Connection, Producer
from kombu.serialization import registry
with Connection(sys.argv[1]) as connection:
    Producer(connection).publish([1], routing_key="alias-json")
    print(connection.default_channel.basic_get("alias-json", no_ack=True).content_type)
"""
    assert python(program, broker_url) == "application/json\n"
