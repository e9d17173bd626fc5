"""The directory of a server: whose it is, who uses it now, and the password kept in it.

Runs in: the process that starts the server.

A marker file says that the directory was made for servers, and is its lock. The server and all
its processes inherit the locked file: a lock that can be taken proves that none of them is
left, also after a crash.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import time
from pathlib import Path

from jobmonitor.errors import ServerError

MARKER = "jobmonitor-servers"
NOBODY = 0  # stands for "no process" in a marker
LOCK_WITHIN_S = 10.0  # for servers that are still stopping after their parent was killed


class ServerDirectory:
    """A directory that one process at a time may use, and that may be emptied."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        self._marker = self.path / MARKER
        self._fd: int | None = None

    def lock(self) -> int:
        """Take it, made and marked if need be; return the locked file, for servers to keep."""
        fd = self._open_marker()
        try:
            self._wait_for_lock(fd)
            self._write_holder(fd, os.getpid())
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return fd

    def unlock(self) -> None:
        """Let it go; it stays locked until the last process of its servers has ended."""
        if self._fd is not None:
            self._write_holder(self._fd, NOBODY)
            os.close(self._fd)
            self._fd = None

    def empty(self) -> None:
        """Remove all that is in it but the marker; only while it is locked."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != self._marker:
                entry.unlink()

    def password(self) -> str:
        """Return its password, made up at the first call and kept in a file with mode 0600."""
        file = self.path / "password"
        if not file.exists() or not file.read_text():
            with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as new:
                new.write(secrets.token_hex(24))
        return file.read_text()

    def _open_marker(self) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._marker.exists() and any(self.path.iterdir()):
                raise ServerError(
                    f"{self.path} holds other files and has no marker {MARKER}: "
                    "choose an empty directory for the servers"
                )
            return os.open(self._marker, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ServerError(f"{self.path} cannot hold servers: {error.strerror}") from error

    def _wait_for_lock(self, fd: int) -> None:
        deadline = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = int(os.pread(fd, 32, 0) or NOBODY)
            if is_alive(holder) or time.monotonic() > deadline:
                by = f"process {holder}" if is_alive(holder) else "servers that do not stop"
                raise ServerError(
                    f"{self.path} is in use by {by}: stop it first, or choose another directory"
                )
            time.sleep(0.02)

    def _write_holder(self, fd: int, pid: int) -> None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(pid).encode(), 0)


def is_alive(pid: int) -> bool:
    """Tell whether this process exists and is more than a zombie; NOBODY never is."""
    if pid == NOBODY:
        return False
    try:
        if sys.platform == "linux":
            return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
