"""Verbs that run for every job, through libpq itself: half the processor time of a cursor.

Runs in: submitters and the process that runs the task. A verb is prepared once a connection;
then it is one call, which waits in C. Where greenlets must go on meanwhile, a cursor it is.
"""

from __future__ import annotations

import json
import re
from collections import namedtuple
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import Connection, waiting
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

_PARAMETER = re.compile(rb"%\((\w+)\)s")
_OK = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
#: psycopg deallocates every statement of a connection after a rollback
_FORGOTTEN = b"26000"
_BOOL, _JSON = 16, 114
_LOADERS: dict[int, Callable[[bytes], Any]] = {
    _BOOL: lambda value: value == b"t",
    20: int, 21: int, 23: int, 700: float, 701: float, _JSON: json.loads,
}  # fmt: skip
#: the verbs that each connection has prepared, and how their rows are read
_prepared: WeakKeyDictionary[Connection[Any], dict[str, Callable[[Any], list[Any]]]] = (
    WeakKeyDictionary()
)


def can_execute(connection: Connection[Any]) -> bool:
    """Say whether a wait may stop this thread, and a second try breaks no transaction."""
    return is_at_rest(connection) and waits_in_c()


def is_at_rest(connection: Connection[Any]) -> bool:
    """Say whether it is open and outside a transaction."""
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def waits_in_c() -> bool:
    """Say whether psycopg waits in C, which stops the thread and all of its greenlets.

    psycopg decides that when it is imported; where gevent had patched Python, it does not.
    """
    return waiting.wait is getattr(waiting, "wait_c", None)


def execute(
    connection: Connection[Any], verb: str, sql: bytes, parameters: Mapping[str, Any]
) -> list[Any]:
    """Run a verb and return its rows as named tuples; raises what psycopg raises.

    Takes text, numbers, truth, moments and bytes; a result has text, numbers, truth and JSON.
    """
    names, query = _positional(sql)
    values: list[Any] = [_dumped(parameters[name]) for name in names]
    pgconn, name = connection.pgconn, verb.encode()
    verbs = _prepared.setdefault(connection, {})
    result = pgconn.exec_prepared(name, values) if verb in verbs else None
    if result is None or result.error_field(DiagnosticField.SQLSTATE) == _FORGOTTEN:
        _check(connection, pgconn.prepare(name, query))
        result = pgconn.exec_prepared(name, values)
    _check(connection, result)
    read = verbs.get(verb)
    if read is None:
        read = verbs[verb] = _reader(result)
    return read(result)


@cache
def _positional(sql: bytes) -> tuple[tuple[str, ...], bytes]:
    """Number the parameters, as libpq wants them."""
    names = tuple(dict.fromkeys(name.decode() for name in _PARAMETER.findall(sql)))
    numbers = {name: b"$%d" % number for number, name in enumerate(names, start=1)}
    query = _PARAMETER.sub(lambda found: numbers[found[1].decode()], sql)
    return names, query.replace(b"%%", b"%")


def _dumped(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    return repr(value).encode()


def _reader(result: Any) -> Callable[[Any], list[Any]]:
    """Make what reads the rows of a verb, by their types."""
    columns = range(result.nfields)
    row = namedtuple("row", [result.fname(n).decode() for n in columns])  # type: ignore[misc]
    loaders = [_LOADERS.get(result.ftype(n), bytes.decode) for n in columns]

    def read(found: Any) -> list[Any]:
        return [
            row(*(_loaded(found.get_value(line, n), loaders[n]) for n in columns))
            for line in range(found.ntuples)
        ]

    return read


def _loaded(value: bytes | None, load: Callable[[bytes], Any]) -> Any:
    return None if value is None else load(value)


def _check(connection: Connection[Any], result: Any) -> Any:
    if result.status in _OK:
        return result
    if connection.pgconn.status != ConnStatus.OK:
        message = connection.pgconn.error_message.decode("utf-8", "replace")
        raise psycopg.OperationalError(message or "the connection was lost")
    raise error_from_result(result, connection.info.encoding)
