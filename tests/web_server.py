"""The panel of an app, served by a real web server: started, stopped, started again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.waiting import eventually
from tests.workers import REPOSITORY, die_with_parent


class WebServer:
    """A gunicorn on a free port of this machine; it dies with the test process."""

    def __init__(self, app: str, environment: dict[str, str], directory: Path) -> None:
        self._environment = {"JOBMONITOR_APP": app, **environment}
        self._log = directory / "panel.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> WebServer:
        """Start, and wait until it answers."""
        command = [
            sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self._port}",
            "--threads", "8", "--no-control-socket", "flask_panel:create_app()",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **self._environment}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        eventually(self._answers, within=30, every=0.1, says="the panel answers")
        return self

    def stop(self) -> None:
        """Stop, and wait for its end; from then on the port refuses."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the panel ended:\n{self._log.read_text()[-4000:]}")
        try:
            with urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
