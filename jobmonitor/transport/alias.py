"""Lets kombu know `fair-redis://`, `fair-rediss://` and `fair-sentinel://`.

Runs in: every process that uses Celery. kombu has no entry point for transports, but loads
those of its serializers with what sends and receives (`from kombu import Connection` alone is
not enough, with `Producer` it is): ours stands there, and names a serializer that neither
encodes nor decodes. So a broker URL is all that an app has to change.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

_MODULE = "jobmonitor.transport.transports"


def register() -> None:
    """Name our transports to kombu; calling it again changes nothing."""
    TRANSPORT_ALIASES.update(
        {
            "fair-redis": f"{_MODULE}:Transport",
            "fair-rediss": f"{_MODULE}:SecureTransport",
            "fair-sentinel": f"{_MODULE}:SentinelTransport",
        }
    )


register()
#: encoder, decoder, content type and encoding, as kombu's entry point wants them
serializer = (None, None, "application/x-fair-redis", "utf-8")
