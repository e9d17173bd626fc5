"""What may stand between a client and its Redis: it loses replies, or it speaks TLS."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

_CHUNK = 1 << 16


class Between:
    """Passes bytes on, until the reply to what it is to look for; then it cuts or is silent."""

    def __init__(self, url: str, certificate: Path | None = None) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._victim: bytes | None = None
        self._silent = False
        self._sockets: list[socket.socket] = []
        self.lost = 0
        here = f"127.0.0.1:{self._listener.getsockname()[1]}"
        user = target.netloc.rpartition("@")[0]
        self.url = target._replace(netloc=f"{user}@{here}").geturl()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_reply_of(self, command: bytes, *, silently: bool = False) -> None:
        """Let the server run the next such command; cut then, or leave out its reply."""
        self._victim, self._silent = command, silently

    def close(self) -> None:
        """End it and every connection through it."""
        for opened in [self._listener, *self._sockets]:
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:  # closed under it, or no server
            server = socket.create_connection(self._target)
            self._sockets.append(server)
            with server:
                if self._context is not None:
                    client = self._context.wrap_socket(client, server_side=True)
                with client:
                    self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            pending = isinstance(client, ssl.SSLSocket) and client.pending()
            readable = [client] if pending else select.select([client, server], [], [])[0]
            if client in readable:
                said = client.recv(_CHUNK)
                server.sendall(said)
                if not said:
                    return
                if self._victim and self._victim in said:
                    self._victim = None
                    server.recv(_CHUNK)  # so it has run
                    self.lost += 1
                    if not self._silent:
                        return
            elif not (replied := server.recv(_CHUNK)):
                return
            else:
                client.sendall(replied)


@contextlib.contextmanager
def between(url: str, certificate: Path | None = None) -> Iterator[Between]:
    """Stand between for the time of a test."""
    standing = Between(url, certificate)
    try:
        yield standing
    finally:
        standing.close()


def self_signed(directory: Path) -> Path:
    """Make a certificate for 127.0.0.1 and its key, in one file."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both = directory / "both.pem"
    both.write_text(certificate.read_text() + key.read_text())
    return both
