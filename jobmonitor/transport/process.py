"""The leases of this process: one `Leases` for each server that it consumes from.

Runs in: consumers. They outlive connections and channels, and end with the process: what is
then held and does not run goes back at once.
"""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobmonitor.transport.adoption import stock_lists
from jobmonitor.transport.beat import Beat
from jobmonitor.transport.leases import Leases, Pace
from jobmonitor.transport.running import is_running

#: seconds; a beat that takes longer is none
_TIMEOUT = 5.0
_ADDRESS = ("host", "port", "path", "db", "username")
#: what a process is called as a consumer, by its id; others make up a name
_names: dict[int, str] = {}
#: how many messages a process runs at once, by its id; of others their prefetch tells
_slots: dict[int, Callable[[], int]] = {}
_by_server: dict[tuple[Any, ...], Leases] = {}


def leases_of(channel: Any) -> Leases:
    """Return what this process holds on the server of a channel; made at the first call."""
    parameters = channel._connparams()
    prefix = channel.global_keyprefix
    key = (os.getpid(), prefix, *(parameters.get(name) for name in _ADDRESS))
    if key not in _by_server:
        client = redis.Redis(connection_pool=channel._get_pool())
        pool = channel._get_pool()
        pool.connection_kwargs |= {
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }
        _by_server[key] = Leases(
            client, _name(), prefix=prefix, floor=channel.fair_floor, gate=channel.low_gate,
            stock_lists=partial(stock_lists, prefix, channel.sep, channel.priority_steps),
            pace=Pace(channel.beat_every, channel.lost_after), slots=_slots.get(os.getpid()),
            beat=lambda leases: Beat(leases, lambda: redis.Redis(connection_pool=pool)).start(),
        )  # fmt: skip
    return _by_server[key]


def name_process(name: str) -> None:
    """Say how this process is called as a consumer, before it consumes; unique in time."""
    _names[os.getpid()] = name


def offer_slots(count: Callable[[], int]) -> None:
    """Say how many messages this process runs at once, before it consumes; asked each beat."""
    _slots[os.getpid()] = count


def _name() -> str:
    given = _names.get(os.getpid())
    return given or f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _leave() -> None:
    for (pid, *_), leases in _by_server.items():
        if pid == os.getpid():
            held = leases.held()
            for lease in held:
                if lease.owed is not None:
                    leases.pay(lease)
            leases.give_back(lease for lease in held if not is_running(lease))
            with suppress(redis.RedisError, OSError):  # the others find out later
                leases.leave()


atexit.register(_leave)
