"""TLS between a socket and a connection, by OpenSSL in memory: what the event loop's own layer does, at half its cost per request.

In: what the socket brings, and what the connection wants written. Out: the same in clear, and encrypted. The loop's own layer asks OpenSSL
once more after each answer, for nothing but an exception, and has 256 KiB ready each time; this one asks only while something is there.

A connection learns that its socket is connected once the server is verified. Until then, whatever goes wrong is told to those who wait for
`verified`. A server that asks for another handshake is refused (`OP_NO_RENEGOTIATION`), so writing never waits for reading.
"""

import asyncio
import contextlib
import ssl
from typing import Final, cast

from relay.api.connection import Connection

RECORD_BYTES_MAX: Final = 16_384  # what one record of TLS may hold


def tls_context(ca_file: str | None = None, client_cert_file: str | None = None, client_key_file: str | None = None) -> ssl.SSLContext:
    """How servers are verified, and how we prove who we are.

    Trusted are the authorities in `ca_file` alone; without it those of SSL_CERT_FILE and SSL_CERT_DIR, else the system's.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    if client_cert_file is not None:
        context.load_cert_chain(client_cert_file, client_key_file, password="")  # better refused than asked for
    return context


class TlsLayer(asyncio.Protocol):
    """To the socket a protocol, to the connection its socket."""

    __slots__ = ("_connection", "_error", "_incoming", "_is_over", "_is_verified", "_outgoing", "_socket", "_tls", "verified")

    def __init__(self, connection: Connection, context: ssl.SSLContext, server_name: str, loop: asyncio.AbstractEventLoop) -> None:
        """Begin without a socket."""
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._socket: asyncio.Transport | None = None
        self._error: Exception | None = None
        self._is_verified = False
        self._is_over = False
        self.verified: asyncio.Future[None] = loop.create_future()

    # What the socket tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        self._socket = cast("asyncio.Transport", transport)
        self._shake_hands()

    def data_received(self, data: bytes) -> None:
        """Some of the handshake came, or of an answer."""
        self._incoming.write(data)
        if self._is_verified or self._shake_hands():
            self._deliver()

    def eof_received(self) -> None:
        """The server has hung up, with or without a farewell: the loop closes the socket next."""
        if self._is_verified:
            self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, whoever closed it."""
        self._is_over = True
        if self._is_verified:
            self._connection.connection_lost(self._error or exc)
        elif not self.verified.done():
            self.verified.set_exception(exc or ConnectionResetError("the server hung up in the TLS handshake"))

    # What the connection asks for.

    def write(self, message: bytes) -> None:
        """Encrypt, and hand it to the socket in one piece."""
        assert self._socket is not None
        try:
            self._tls.write(message)  # whole, in as many records as it takes: memory is never full
        except ssl.SSLError as error:
            self._break(error)
            return
        self._socket.write(self._outgoing.read())

    def close(self) -> None:
        """Say farewell, and close the socket without waiting for the server's."""
        assert self._socket is not None
        if not self._is_over:
            self._is_over = True
            with contextlib.suppress(ssl.SSLError):  # our half of the farewell is written; it is the server's that is still to come
                self._tls.unwrap()
            self._flush()
        self._socket.close()

    def abort(self) -> None:
        """Close the socket at once."""
        assert self._socket is not None
        self._is_over = True
        self._socket.abort()

    def is_closing(self) -> bool:
        """Whether the socket is being closed."""
        assert self._socket is not None
        return self._socket.is_closing()

    def get_write_buffer_size(self) -> int:
        """How many bytes the socket has not taken yet."""
        assert self._socket is not None
        return self._socket.get_write_buffer_size()

    def get_extra_info(self, name: str) -> object:
        """What is known of the socket."""
        assert self._socket is not None
        return self._socket.get_extra_info(name)

    # In between.

    def _shake_hands(self) -> bool:
        """Go on with the handshake as far as what has come allows; whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            if not self.verified.done():
                self.verified.set_exception(error.with_traceback(None))  # it would hold us, as we hold it
            self.close()  # the alert goes out before: who operates the server learns why
            return False
        self._flush()
        self._is_verified = True
        self._connection.connection_made(cast("asyncio.BaseTransport", self))
        if not self.verified.done():
            self.verified.set_result(None)
        return True

    def _deliver(self) -> None:
        while not self._is_over:
            try:
                data = self._tls.read(RECORD_BYTES_MAX)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._break(error)
                return
            if not data:  # the server's farewell
                self._connection.eof_received()
                self._connection.close()
                return
            self._connection.data_received(data)
            if not self._incoming.pending and not self._tls.pending():
                break
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            assert self._socket is not None
            self._socket.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        self._error = error
        self.abort()
