"""The transports that kombu finds behind `fair-redis://` and its kin.

Runs in: producers and consumers. To Celery they are Redis: remote control, events and the
setting `worker_disable_prefetch` ask for that driver.
"""

from __future__ import annotations

import ssl
from typing import Any

from kombu.transport import redis as stock

from jobmonitor.transport.channel import FairChannel
from jobmonitor.transport.options import NAMES


class Channel(FairChannel, stock.Channel):
    """A channel to one server."""

    from_transport_options = stock.Channel.from_transport_options + NAMES


class SentinelChannel(FairChannel, stock.SentinelChannel):
    """A channel to the master that Redis Sentinel names."""

    from_transport_options = stock.SentinelChannel.from_transport_options + NAMES

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        client = self.connection.client
        ours = client.alt  # kombu looks for addresses of its own scheme in it
        client.alt = [url.replace("fair-sentinel://", "sentinel://", 1) for url in ours]
        try:
            return super()._sentinel_managed_pool(asynchronous)
        finally:
            client.alt = ours


class InEventLoop:
    """Knows whether a worker's event loop drives it."""

    is_in_event_loop = False

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the loop poll our channels."""
        super().register_with_event_loop(connection, loop)  # type: ignore[misc]
        self.is_in_event_loop = True


class Transport(InEventLoop, stock.Transport):
    """fair-redis://"""

    Channel = Channel


class SecureTransport(Transport):
    """fair-rediss://: TLS, and the server's certificate is checked unless options say not."""

    def __init__(self, client: Any, **options: Any) -> None:
        """Ask for TLS where the app gave no options for it."""
        if not client.ssl:
            client.ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
        super().__init__(client, **options)


class SentinelTransport(InEventLoop, stock.SentinelTransport):
    """fair-sentinel://"""

    Channel = SentinelChannel
