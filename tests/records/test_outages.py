"""Postgres is away, without tables, or newer than the code: a sentence wherever it is met."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from celery import Celery
from click.testing import CliRunner
from flask.testing import FlaskClient

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.cli import jobs as command
from jobmonitor.embedded import create_database, drop_database
from jobmonitor.errors import (
    DatabaseUnavailable,
    JobMonitorError,
    MigratedFurther,
    NotMigrated,
)
from jobmonitor.records.database import migrate
from jobmonitor.records.tokens import Tokens

AWAY = "postgresql+psycopg://nobody:hidden@127.0.0.1:1/none"
COMMANDS = (
    ("list",), ("show", "x"), ("tree", "x"), ("logs", "x"), ("logs", "x", "--follow"),
    ("stats",), ("stop", "x"), ("resume", "x"),
    ("force-stop", "x"), ("cancel", "x"), ("restart", "x"),
    ("low-priority", "set", "x"), ("low-priority", "remove", "x"), ("migrate",),
    ("token", "create", "t", "--role", "viewer"), ("token", "list"), ("token", "revoke", "t"),
    ("user", "create", "u", "--role", "viewer", "--password-stdin"), ("user", "list"),
    ("user", "password", "u", "--password-stdin"), ("user", "role", "u", "--role", "viewer"),
    ("user", "remove", "u"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A database that is not as it should be, and what is said of it."""

    url: str
    error: type[JobMonitorError]
    says: str
    panel_says: str


@pytest.fixture(scope="module", params=["away", "without tables", "newer, and unlike ours"])
def case(request: pytest.FixtureRequest, database_url: str) -> Iterator[Case]:
    if request.param == "away":
        says = "postgresql+psycopg://nobody:***@127.0.0.1:1/none cannot be reached: connection "
        yield Case(AWAY, DatabaseUnavailable, says, "the database cannot be reached")
        return
    url = create_database(database_url, f"{database_url.rpartition('/')[2]}_case")
    if request.param == "without tables":
        says = "run `celery -A your_app jobs migrate`"
        yield Case(
            url, NotMigrated, says, "the database needs `celery -A your_app jobs migrate`"
        )
    else:
        migrate(url)
        pretend_newer(url, "ALTER TABLE job RENAME TO job_of_tomorrow", *_RENAMED)
        says = "was migrated to 9999 by a newer jobmonitor; this one knows 0"
        yield Case(
            url, MigratedFurther, says,
            "the database was migrated by a newer jobmonitor: upgrade this one",
        )  # fmt: skip
    drop_database(url)


_RENAMED = (
    "ALTER TABLE api_token RENAME TO token_of_tomorrow",
    "ALTER TABLE panel_user RENAME TO user_of_tomorrow",
    "ALTER TABLE panel_key RENAME TO key_of_tomorrow",
)


def pretend_newer(url: str, *changes: str) -> None:
    """Let a database be as a version that does not exist yet would have made it."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("UPDATE jobmonitor_version SET version_num = '9999'")
        for change in changes:
            connection.execute(change)


@pytest.fixture(scope="module")
def monitor(case: Case, broker_url: str) -> Iterator[JobMonitor]:
    app = Celery("outage", broker=broker_url, set_as_current=False)
    monitor = JobMonitor(app, database_url=case.url, claim_patience=0.2)
    yield monitor
    app.close()
    monitor.database.close()


def test_a_submission_is_refused_and_nothing_is_published(
    case: Case, monitor: JobMonitor
) -> None:
    with pytest.raises(case.error) as refused:
        monitor.app.send_task("shop.export", queue="outage")
    assert case.says in str(refused.value)
    with monitor.app.connection_for_read() as connection:
        assert connection.default_channel.client.llen("outage") == 0


def _waits_for_migrate(words: tuple[str, ...], case: Case) -> bool:
    return words == ("migrate",) and case.error is NotMigrated


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_ends_with_one_sentence(
    case: Case, monitor: JobMonitor, words: tuple[str, ...]
) -> None:
    if _waits_for_migrate(words, case):
        pytest.skip("this is what it is for")
    answer = CliRunner().invoke(
        command, words, obj=SimpleNamespace(app=monitor.app), catch_exceptions=False,
        input="a long enough password\n",
    )  # fmt: skip
    assert answer.exit_code == 1
    assert answer.output.startswith("jobs: the database ")
    assert case.says in answer.output
    assert len(answer.output.splitlines()) == 1
    assert "hidden" not in answer.output


@pytest.mark.parametrize("words", [("worker", "-P", "solo"), ("jobs", "panel", "--port", "0")])
def test_a_worker_and_a_panel_refuse_to_start(
    case: Case, broker_url: str, words: tuple[str, ...]
) -> None:
    environment = {"BROKER_URL": broker_url, "JOBMONITOR_DATABASE_URL": case.url}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "tests.acceptance.app", *words],
        capture_output=True, text=True, env=os.environ | environment, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert case.says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "hidden" not in ended.stdout + ended.stderr


@pytest.fixture
def client(monitor: JobMonitor) -> FlaskClient:
    return create_app(monitor, RATELIMIT_ENABLED=False, TESTING=False).test_client()


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/api/v1/jobs", {}),
        ("GET", "/api/v1/jobs/x", {}),
        ("GET", "/api/v1/jobs/x/logs", {}),
        ("GET", "/api/v1/jobs/x/tree", {}),
        ("GET", "/api/v1/statistics", {}),
        ("POST", "/api/v1/jobs/stop", {"json": {"ids": ["x"]}}),
    ],
)
def test_the_api_answers_503_with_a_sentence(
    case: Case, client: FlaskClient, method: str, path: str, options: dict[str, Any]
) -> None:
    answer = client.open(path, method=method, headers={"Authorization": "Bearer x"}, **options)
    assert (answer.status_code, answer.json["message"]) == (503, case.panel_says)


def test_the_panel_shows_a_page_with_the_sentence(case: Case, client: FlaskClient) -> None:
    for path in ("/jobs", "/login", "/job/x"):
        answer = client.get(path, follow_redirects=True)
        assert answer.status_code == 503
        assert case.panel_says.partition("`")[0][1:] in answer.text
        assert "Traceback" not in answer.text


def test_it_is_not_ready_and_says_why(case: Case, client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["problems"]) == (503, [case.panel_says])


def test_a_newer_schema_that_still_fits_serves_what_is_older_but_no_worker(
    database_url: str, broker_url: str
) -> None:
    """An upgrade begins with the database and the workers; producers and panels follow."""
    url = create_database(database_url, f"{database_url.rpartition('/')[2]}_fits")
    migrate(url)
    pretend_newer(url)
    app = Celery("older", broker=broker_url, set_as_current=False)
    monitor = JobMonitor(app, database_url=url)
    sent = app.send_task("shop.export", queue="older")
    assert monitor.jobs.get(sent.id).status == "pending"
    token = Tokens(monitor.database).create("program", "viewer")
    client = create_app(monitor).test_client()
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/api/v1/jobs/{sent.id}", headers=headers).status_code == 200
    assert client.get("/readyz").status_code == 503
    with pytest.raises(MigratedFurther):
        monitor.migrate()
    app.close()
    monitor.database.close()
    drop_database(url)


@pytest.fixture(scope="module")
def without_broker(database_url: str) -> Iterator[JobMonitor]:
    app = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)
    yield monitor
    app.close()
    monitor.database.close()


@pytest.fixture
def owed(without_broker: JobMonitor, broker_url: str, database_url: str) -> Iterator[str]:
    """A stopped job whose message was taken meanwhile: a resume has to publish it."""
    app = Celery("elsewhere", broker=broker_url, set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)
    job_id = str(app.send_task("shop.export").id)
    monitor.jobs.stop(job_id)
    with monitor.database.connection() as connection:
        connection.execute("UPDATE job SET taken_dispatch = 1 WHERE id = %s", (job_id,))
    yield job_id
    app.close()
    monitor.database.close()


def test_a_command_that_publishes_says_that_the_broker_is_away_and_changes_nothing(
    without_broker: JobMonitor, owed: str
) -> None:
    obj = SimpleNamespace(app=without_broker.app)
    answer = CliRunner().invoke(command, ("resume", owed), obj=obj, catch_exceptions=False)
    assert answer.exit_code == 1
    assert answer.output.startswith("jobs: the broker cannot be reached: Error 111 connecting")
    assert len(answer.output.splitlines()) == 1
    shown = CliRunner().invoke(command, ("show", owed), obj=obj, catch_exceptions=False)
    assert (shown.exit_code, "Stopped" in shown.output) == (0, True)


def test_an_operation_over_http_that_publishes_answers_503_without_a_broker(
    without_broker: JobMonitor, owed: str
) -> None:
    token = Tokens(without_broker.database).create("operator", "operator")
    client = create_app(without_broker, RATELIMIT_ENABLED=False).test_client()
    headers = {"Authorization": f"Bearer {token}"}
    body = {"ids": [owed]}
    answer = client.post("/api/v1/jobs/resume", json=body, headers=headers)
    assert (answer.status_code, answer.json["message"]) == (503, "the broker cannot be reached")
    assert without_broker.jobs.get(owed).status == "stopped"


def test_a_worker_refuses_a_task_whose_option_makes_no_sense(
    database_url: str, broker_url: str, tmp_path: Path
) -> None:
    (tmp_path / "heavy_app.py").write_text(
        "from celery import Celery\n"
        "from jobmonitor import JobMonitor\n"
        f"app = Celery('heavy', broker={broker_url!r})\n"
        f"monitor = JobMonitor(app, database_url={database_url!r})\n"
        "@app.task(name='shop.heavy', on_worker_lost='maybe')\n"
        "def heavy(): ...\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    worker = ("-W", "ignore", "-m", "celery", "-A", "heavy_app", "worker", "-P", "solo")
    ended = subprocess.run(
        [sys.executable, *worker], capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "jobmonitor: task shop.heavy: on_worker_lost must be 'rerun' or 'fail', not 'maybe'"
    )
