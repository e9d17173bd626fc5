"""The command line, over real servers; no worker runs, so that what is submitted waits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from jobmonitor import JobMonitor
from jobmonitor.cli import jobs as command
from jobmonitor.records.database import migration_state

Run = Callable[..., Result]


@pytest.fixture
def run(shop: ModuleType) -> Run:
    """Run `jobs …` against the app of these tests."""
    obj = SimpleNamespace(app=shop.app)
    return lambda *words: CliRunner().invoke(command, words, obj=obj, catch_exceptions=False)


@pytest.fixture
def waiting(shop: ModuleType) -> Iterator[str]:
    job_id = shop.add.apply_async((1, 2), label="Add them", run_by="alice", countdown=60).id
    yield job_id
    shop.monitor.jobs.stop(job_id)
    shop.monitor.jobs.cancel(job_id)


def test_celery_finds_the_commands(environment: dict[str, str]) -> None:
    help_ = [sys.executable, "-m", "celery", "-A", "tests.acceptance.app", "jobs", "--help"]
    shown = subprocess.run(help_, capture_output=True, text=True, check=True).stdout
    for name in "list show tree stop resume force-stop cancel restart low-priority".split():  # noqa: SIM905
        assert f"  {name} " in shown


def test_list_shows_root_jobs_and_filters_them(run: Run, waiting: str) -> None:
    shown = run("list", "--run-by", "alice", "--q", "add")
    assert (shown.exit_code, waiting in shown.output) == (0, True)
    assert "Pending" in shown.output
    assert run("list", "--status", "running").output == "no jobs here with these filters\n"
    page = json.loads(run("list", "--json", "--limit", "1").output)
    assert [job["id"] for job in page["jobs"]] == [waiting]


def test_show_and_tree_read_one_job(run: Run, waiting: str) -> None:
    shown = run("show", waiting).output
    assert "label         Add them" in shown
    assert "status        Pending (due)" in shown
    facts = json.loads(run("show", waiting, "--json").output)
    assert (facts["id"], facts["run_by"], facts["runs"]) == (waiting, "alice", [])
    assert run("tree", waiting).output == f"Add them  [Pending]  {waiting}\n"


def test_operations_answer_in_words_and_leave_an_entry(run: Run, waiting: str) -> None:
    done = run("stop", waiting, "--reason", "lunch", "--as", "bob")
    assert (done.exit_code, done.output) == (0, f"stop {waiting}: Stopped\n")
    again = run("stop", waiting)
    assert again.exit_code == 1
    assert "this one is Stopped" in again.output
    [outcome] = json.loads(run("resume", waiting, "--json").output)
    assert (outcome["changed"], outcome["status"]) == (True, "pending")
    assert run("low-priority", "set", waiting).exit_code == 0
    assert run("low-priority", "remove", waiting).exit_code == 0
    events = json.loads(run("show", waiting, "--json").output)["events"]
    assert (events[0]["actor"], events[0]["reason"]) == ("bob", "lunch")


def test_what_does_not_exist_is_one_sentence(run: Run) -> None:
    for words in (("show", "nobody"), ("tree", "nobody")):
        answer = run(*words)
        assert answer.exit_code == 1
        assert answer.output == "jobs: there is no job with the id 'nobody'\n"
    assert "there is no job with this id" in run("stop", "nobody").output


def test_text_of_a_job_does_not_steer_the_terminal(run: Run, shop: ModuleType) -> None:
    job = shop.add.apply_async((1, 1), label="\x1b[31mred\x1b[0m\nnext", countdown=60)
    for words in (("list",), ("show", job.id), ("tree", job.id)):
        shown = run(*words).output
        assert "\x1b" not in shown
        assert "\\x1b[31mred" in shown


def test_a_token_is_printed_once(run: Run) -> None:
    secret = run("token", "create", "ci", "--role", "viewer").output.strip()
    assert secret.startswith("jm_")
    shown = run("token", "list").output
    assert ("ci" in shown, secret in shown) == (True, False)
    assert run("token", "create", "ci", "--role", "viewer").exit_code == 1
    assert run("token", "revoke", "ci").output == "token ci is revoked\n"
    assert run("token", "revoke", "ci").exit_code == 1


def test_migrate_may_be_run_again(run: Run, database_url: str) -> None:
    assert run("migrate").output == f"schema {migration_state(database_url)[1]} already\n"


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (None, "this app has no JobMonitor"),
        ("plain", "this app has no JobMonitor"),
        ("away", "cannot be reached"),
        ("empty", "run `celery -A your_app jobs migrate`"),
    ],
)
def test_what_is_missing_is_one_sentence(
    app: str | None, says: str, environment: dict[str, str], postgres: object
) -> None:
    from jobmonitor.embedded import create_database

    celery_app = None if app is None else Celery(app, broker="memory://", set_as_current=False)
    if app == "away":
        JobMonitor(celery_app, database_url="postgresql://nobody@127.0.0.1:1/none")
    if app == "empty":
        url = create_database(environment["JOBMONITOR_DATABASE_URL"], "not_migrated")
        JobMonitor(celery_app, database_url=url)
    answer = CliRunner().invoke(command, ("list",), obj=SimpleNamespace(app=celery_app))
    assert (answer.exit_code, says in answer.output) == (1, True)
    assert len(answer.output.splitlines()) == 1
