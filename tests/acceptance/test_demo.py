"""`jobs demo` as a person runs it: started, stopped, started again, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import psutil
import pytest

from tests.waiting import eventually
from tests.workers import REPOSITORY

NOT_FOR_IT = {"JOBMONITOR_DATABASE_URL", "BROKER_URL", "APP", "JOBMONITOR_APP"}
STARTED = "the first job finished after"
WELCOMED = "In a second terminal"


class Demo:
    """A `jobs demo` process and everything that it started."""

    def __init__(self, directory: Path, *options: str, **more: str) -> None:
        self.directory = directory
        self._output = directory.with_suffix(".out")
        environment = {k: v for k, v in os.environ.items() if k not in NOT_FOR_IT} | more
        command = [sys.executable, "-m", "celery", "-A", "celery_app", "jobs", "demo"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--directory", str(directory), *options],
                stdout=output, stderr=output, env=environment, cwd=REPOSITORY,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def port(self) -> int:
        return int(re.findall(r"http://127\.0\.0\.1:(\d+)/", self.said)[0])

    def says(self, text: str, within: float = 45) -> None:
        """Wait until it has printed a text."""

        def there() -> bool:
            assert text in self.said or self.process.poll() is None, self.said
            return text in self.said

        eventually(there, within=within, every=0.1, says=f"{text!r} is printed: {self.said}")

    def family(self) -> list[psutil.Process]:
        """Every process below it: servers, workers and their pools, beat, web server."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def children(self) -> list[psutil.Process]:
        """The processes that it started itself."""
        return psutil.Process(self.process.pid).children()

    def has_jobs(self) -> list[dict[str, Any]]:
        """Ask its API for the jobs, as a program with its token."""
        token = (self.directory / "token").read_text()
        url = f"http://127.0.0.1:{self.port}/api/v1/jobs"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"})) as answer:
            jobs: list[dict[str, Any]] = json.load(answer)["jobs"]
            return jobs

    def page_of_jobs(self) -> str:
        """Log in as it says that one can, and read the page that follows."""
        [(name, password)] = re.findall(r"log in +(\S+), password (\S+)", self.said)
        browser = build_opener(HTTPCookieProcessor(CookieJar()))
        address = f"http://127.0.0.1:{self.port}/login"
        with browser.open(address) as form:
            [token] = re.findall(r'name="csrf_token" value="([^"]+)"', form.read().decode())
        filled = {"name": name, "password": password, "csrf_token": token}
        with browser.open(address, urlencode(filled).encode()) as page:
            return str(page.read().decode())


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Demos that are killed at the end if a test failed in the middle."""
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def are_gone(family: list[psutil.Process]) -> bool:
    """Tell whether none of these processes is alive."""
    return not any(one.is_running() and one.status() != "zombie" for one in family)


def names(family: list[psutil.Process]) -> str:
    return "\n".join(" ".join(one.cmdline()) for one in family)


def test_a_demo_runs_jobs_and_leaves_nothing_but_its_data(
    demos: list[Demo], tmp_path: Path
) -> None:
    demos.append(first := Demo(tmp_path / "data"))
    first.says(STARTED)
    first.says(WELCOMED)
    first.says("jobs tree --follow")
    who = {"alice", "bob", None}
    eventually(lambda: {job["run_by"] for job in first.has_jobs()} == who, within=30)
    earlier = first.has_jobs()
    assert {job["label"] for job in earlier} >= {"Import airports.csv", "Close the books"}
    assert "Import airports.csv" in first.page_of_jobs()
    eventually(lambda: "beat" in names(first.family()), says="all of it runs")
    family, port = first.family(), first.port
    for part in ("postgres", "valkey", "one@demo", "two@demo", "gunicorn", "beat"):
        assert part in names(family)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(20) == 0
    assert are_gone(family)
    assert "nothing is left running" in first.said
    assert "Warning" not in first.said
    socket.create_server(("127.0.0.1", port)).close()

    demos.append(second := Demo(tmp_path / "data", "--port", str(port)))
    second.says(STARTED)
    second.says(WELCOMED)  # a job may be done before the web server answers
    assert {job["id"] for job in earlier} <= {job["id"] for job in second.has_jobs()}
    assert "Import airports.csv" in second.page_of_jobs()
    family = second.family()
    (worker,) = [one for one in second.children() if "one@demo" in names([one])]
    worker.kill()
    second.says("worker-one ended (killed by SIGKILL); it is started again", within=5)
    family += second.family()
    second.process.kill()
    eventually(lambda: are_gone(family), within=15, says="a killed demo leaves no process")


@pytest.mark.parametrize(
    ("options", "environment", "sentence"),
    [
        ((), {"BROKER_URL": "redis://localhost:1/0"}, "set both JOBMONITOR_DATABASE_URL and"),
        (("--port", "70000"), {}, "port 70000 cannot be used"),
        (("--fresh",), {"file": "mine"}, "holds other files"),
    ],
)
def test_what_cannot_be_started_is_refused_in_a_sentence(
    demos: list[Demo],
    tmp_path: Path,
    options: tuple[str, ...],
    environment: dict[str, str],
    sentence: str,
) -> None:
    directory = tmp_path / "data"
    if "file" in environment:
        directory.mkdir()
        (directory / environment["file"]).touch()
    demos.append(demo := Demo(directory, *options, **environment))
    assert demo.process.wait(20) == 1
    assert sentence in demo.said
    assert "Traceback" not in demo.said
    assert not directory.exists() or len(list(directory.iterdir())) == 1
