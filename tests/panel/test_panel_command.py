"""`jobs panel`: what it says before it serves, and that it serves."""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from jobmonitor import JobMonitor
from jobmonitor.cli import jobs as command
from jobmonitor.embedded import create_database, drop_database
from jobmonitor.records.database import Database, migrate
from jobmonitor.records.users import Users
from tests.waiting import eventually

PASSWORD = "a long pass phrase"
APP = "tests.acceptance.app"


@pytest.fixture
def new_url(database_url: str) -> Iterator[str]:
    """A database without tables."""
    url = create_database(database_url, f"test_{uuid.uuid4().hex}")
    yield url
    drop_database(url)


def run(app: Celery) -> Result:
    """Type `jobs panel`, where it ends before it serves."""
    root = SimpleNamespace(app=app)
    return CliRunner().invoke(command, ["panel"], obj=root)


def test_an_app_without_a_jobmonitor_is_told_what_to_add() -> None:
    answer = run(Celery("plain", set_as_current=False))
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "JobMonitor(app)" in answer.stderr


def test_an_app_that_is_no_name_in_a_module_is_a_sentence(database_url: str) -> None:
    app = Celery("nameless", set_as_current=False)
    JobMonitor(app, database_url=database_url)
    answer = run(app)
    assert (answer.exit_code, "is no name in a module" in answer.stderr) == (1, True)


@pytest.mark.parametrize("option", ["--port=70000", "--threads=0", "--processes=0"])
def test_a_number_that_makes_no_sense_is_wrong_usage(option: str) -> None:
    assert CliRunner().invoke(command, ["panel", option]).exit_code == 2


def test_a_database_without_tables_is_not_served(new_url: str, broker_url: str) -> None:
    ended = subprocess.run(**words(new_url, broker_url), capture_output=True, timeout=60)
    assert ended.returncode == 1
    [sentence] = ended.stderr.decode().splitlines()
    assert "jobs migrate" in sentence


def test_the_panel_serves_says_that_nobody_can_log_in_and_lets_a_new_user_in(
    new_url: str, broker_url: str, tmp_path: Path
) -> None:
    migrate(new_url)
    with serving(new_url, broker_url, tmp_path / "said") as (address, said):
        assert f"celery -A {APP} jobs user create NAME --role operator" in said
        browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        assert browser.open(f"{address}/healthz").status == 200
        page = browser.open(f"{address}/jobs")
        assert page.url == f"{address}/login?next=/jobs"
        create_user(new_url)
        token = re.search(r'csrf_token" value="([^"]+)"', page.read().decode())
        assert token is not None
        form = {"csrf_token": token[1], "name": "ann", "password": PASSWORD}
        inside = browser.open(page.url, urlencode(form).encode())
        assert (inside.url, inside.status) == (f"{address}/jobs", 200)
        assert "ann" in inside.read().decode()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/healthz")


def words(database_url: str, broker_url: str) -> dict[str, object]:
    """How `jobs panel` is started, on a free port."""
    given = [sys.executable, "-m", "celery", "-A", APP, "jobs", "panel", "--port", "0"]
    variables = {"JOBMONITOR_DATABASE_URL": database_url, "BROKER_URL": broker_url}
    root = Path(__file__).parent.parent.parent
    return {"args": given, "env": os.environ | variables, "cwd": root}


@contextmanager
def serving(database_url: str, broker_url: str, log: Path) -> Iterator[tuple[str, str]]:
    """A panel that serves until the block ends; its address, and what it said before."""
    with log.open("wb") as out:
        process = subprocess.Popen(**words(database_url, broker_url), stderr=out, stdout=out)
    try:
        found = eventually(
            lambda: re.search(r"Listening at: (http://\S+)", log.read_text()), within=60
        )
        assert found is not None
        yield found[1], log.read_text()
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0


def create_user(database_url: str) -> None:
    database = Database(database_url)
    Users(database).create("ann", "viewer", PASSWORD)
    database.close()
