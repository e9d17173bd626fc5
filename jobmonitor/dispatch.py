"""The only door to the broker: publish a job's message, and publish it again.

Runs in: submitters, pool children, the worker's main process, whoever steers. A message is kept
as an envelope (JSON: name, headers, properties, options) and a body (serialized as the task
says), so that it can be published again by a process that knows nothing of the task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.app.amqp import task_message
from celery.signals import before_task_publish
from kombu.serialization import dumps as serialize
from kombu.serialization import loads as deserialize
from kombu.utils import json

from jobmonitor.queues import queue_of
from jobmonitor.waiting import Waiting

HEADER = "jobmonitor"
#: on Redis a lower number goes first, on RabbitMQ a higher one
_LOWEST_PRIORITY = {"redis": 9}
_STORED_OPTIONS = (
    "exchange", "routing_key", "queue", "serializer", "compression", "delivery_mode",
    "exchange_type", "priority", "expiration", "message_id", "user_id", "app_id", "type",
)  # fmt: skip
Sender = Callable[..., Any]


@dataclass(slots=True)
class Message:
    """A task message on its way: what Celery made of a submission."""

    name: str
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: Any
    options: dict[str, Any] = field(default_factory=dict)
    sent_event: Any = None

    @property
    def id(self) -> str:
        """The task id, which is the job's."""
        return str(self.headers["id"])

    @property
    def due_at(self) -> datetime | None:
        """When it may run, or None for at once."""
        return _moment(self.headers.get("eta"))


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is kept in Postgres."""

    envelope: str
    body: bytes


def header_of(headers: Any) -> Mapping[str, Any]:
    """Read our header of a message or request; others may have written anything there."""
    ours = headers.get(HEADER) if headers else None
    return ours if isinstance(ours, Mapping) else {}


def number_of(headers: Any) -> int | None:
    """Read our dispatch number of a delivery; None where its producer knew nothing of us."""
    number = header_of(headers).get("dispatch")
    return number if isinstance(number, int) else None


class Dispatch:
    """Publishes messages of one app through Celery's own sender."""

    def __init__(self, app: Celery, sender: Sender, waiting: Waiting) -> None:
        self._app = app
        self._waiting = waiting
        self._sender = sender

    def publish(
        self, producer: Any, message: Message, row: Any, *,
        keep: Callable[[Stored], Any] | None = None,
    ) -> Any:  # fmt: skip
        """Send a row's message (dispatch, root_id, weight, low_priority of it).

        Where the row is `unheld`, nothing of its root is held from then on. Raises what the
        broker raises.

        What receivers of before_task_publish made of it is given to `keep`, to be stored.
        """
        watched = keep is not None and before_task_publish.receivers
        before = self.pack(message) if watched else None
        message.headers[HEADER] = _header(message, row)
        options = dict(message.options)
        if row.low_priority:
            options["priority"] = self.lowest_priority
        sent = self.send(producer, message, options)
        if getattr(row, "unheld", False):
            queue = queue_of(self._app, message.options)
            self._waiting.let(producer.channel, row.root_id, queue)
        if keep is not None and before is not None:
            after = self.pack(message)
            if after != before:
                keep(after)
        return sent

    def send(self, producer: Any, message: Message, options: Mapping[str, Any]) -> Any:
        """Send a message as Celery would, routers, signals and retries included."""
        parts = task_message(
            message.headers, dict(message.properties), message.body, message.sent_event
        )
        return self._sender(producer, message.name, parts, **options)

    def publish_again(
        self, row: Any, *, change: Callable[[Message], None] | None = None
    ) -> None:
        """Publish the stored message of a row, which has due_at and attempt beside the rest.

        Its eta becomes the row's due time; once the job has started it carries no `expires`.
        """
        message = self.unpack(Stored(row.envelope, bytes(row.body)))
        message.headers["eta"] = row.due_at.isoformat() if row.due_at else None
        if row.attempt:
            message.headers["expires"] = None
            message.options.pop("expiration", None)
        if change is not None:
            change(message)
        with self._app.producer_or_acquire(None) as producer:
            self.publish(_Sealed(producer, message), message, row)

    @property
    def lowest_priority(self) -> int:
        """The number of the priority that goes last on this app's broker."""
        driver = self._app.connection_for_write().transport.driver_type
        return _LOWEST_PRIORITY.get(driver, 0)

    def pack(self, message: Message) -> Stored:
        """Serialize a message for Postgres; raises kombu's EncodeError as a publish would."""
        serializer = message.options.get("serializer") or self._app.conf.task_serializer
        content_type, encoding, body = serialize(message.body, serializer)
        envelope = {
            "name": message.name,
            "headers": {k: v for k, v in message.headers.items() if k != HEADER},
            "properties": message.properties,
            "options": {
                name: _plain(message.options[name])
                for name in _STORED_OPTIONS
                if message.options.get(name) is not None
            },
            "content_type": content_type,
            "content_encoding": encoding,
        }
        return Stored(json.dumps(envelope), body.encode() if isinstance(body, str) else body)

    def unpack(self, stored: Stored) -> Message:
        """Make a message of what `pack` stored."""
        parts = json.loads(stored.envelope)
        content_type = parts["content_type"]
        body = deserialize(
            stored.body, content_type, parts["content_encoding"], accept={content_type}
        )
        return Message(
            parts["name"], parts["headers"], parts["properties"], tuple(body), parts["options"]
        )


class _Sealed:
    """A producer that sends a message as it was first sent.

    A receiver of before_task_publish adds what it knows of the caller (a tenant, a user). Who
    publishes again is somebody else: the receivers are called, what they change is not sent.
    """

    def __init__(self, producer: Any, message: Message) -> None:
        self._producer = producer
        self._headers = deepcopy(message.headers)
        self._body = deepcopy(message.body)

    def publish(self, body: Any, *, headers: dict[str, Any], **options: Any) -> Any:
        own = self._headers | {HEADER: headers[HEADER]}
        return self._producer.publish(self._body, headers=own, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


def _header(message: Message, row: Any) -> dict[str, Any]:
    """Write our header: the number of this dispatch, and what the fair order is to know."""
    header: dict[str, Any] = {"dispatch": row.dispatch}
    if row.root_id != message.headers.get("root_id"):
        header["root"] = row.root_id
    if row.weight != 1:
        header["weight"] = row.weight
    return header


def _plain(option: Any) -> Any:
    """A queue or exchange may come as an object: its name says the same."""
    return getattr(option, "name", option)


def _moment(eta: Any) -> datetime | None:
    if not eta:
        return None
    moment = eta if isinstance(eta, datetime) else datetime.fromisoformat(eta)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # as Celery's worker
