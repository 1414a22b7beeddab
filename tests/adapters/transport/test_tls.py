"""TLS: who is trusted, and who we say we are."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from relay.api.tls import tls_context
from relay.api.transport import NOT_SENT

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_server_is_verified(carrier: Any, serve: Any, always: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """With the right authority requests go out, over one connection."""

    async def test() -> None:
        async with serve(always(NO_CONTENT), tls=server_tls) as server, carrier.transport(tls=client_tls) as transport:
            for _ in range(3):
                assert (await carrier.post(transport, server.url)).status_code == 204
            assert server.opened == 1

    carrier.run(test())


def test_an_unknown_authority_is_not_trusted(carrier: Any, serve: Any, always: Any, server_tls: ssl.SSLContext) -> None:
    """Nothing is sent to a server that only says who it is."""

    async def test() -> None:
        async with serve(always(NO_CONTENT), tls=server_tls) as server, carrier.transport(tls=tls_context()) as transport:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED") as caught:
                await carrier.post(transport, server.url)
            assert isinstance(caught.value, NOT_SENT)
            assert not server.received

    carrier.run(test())


def test_another_name_is_not_trusted(carrier: Any, serve: Any, always: Any, authority: trustme.CA, client_tls: ssl.SSLContext) -> None:
    """A certificate of the right authority for another host is of no use."""
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("other.example").configure_cert(other)

    async def test() -> None:
        async with serve(always(NO_CONTENT), tls=other) as server, carrier.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await carrier.post(transport, server.url)
            assert not server.received

    carrier.run(test())


def test_the_name_is_asked_for(carrier: Any, serve: Any, always: Any, authority: trustme.CA, client_tls: ssl.SSLContext) -> None:
    """The server learns by SNI which host is meant."""
    asked: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def test() -> None:
        async with serve(always(NO_CONTENT), tls=context) as server, carrier.transport(tls=client_tls) as transport:
            await carrier.post(transport, f"https://localhost:{server.port}/")
            assert asked == ["localhost"]

    carrier.run(test())


def test_a_server_without_tls_is_no_server(carrier: Any, serve: Any, client_tls: ssl.SSLContext) -> None:
    """A request by https to a plain port fails while connecting."""

    async def script(peer: Any) -> None:
        await peer.reader.read(1)
        await peer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def test() -> None:
        async with serve(script) as server, carrier.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.ConnectError):
                await carrier.post(transport, f"https://127.0.0.1:{server.port}/")

    carrier.run(test())


def test_the_file_of_the_environment_is_honoured(  # noqa: PLR0913, PLR0917
    carrier: Any, serve: Any, always: Any, server_tls: ssl.SSLContext, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE says whom to trust, if nothing else does."""
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)

    async def test() -> None:
        async with serve(always(NO_CONTENT), tls=server_tls) as server, carrier.transport() as transport:
            assert (await carrier.post(transport, server.url)).status_code == 204

    carrier.run(test())


@pytest.fixture(scope="module")
def demanding_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server that talks to holders of a certificate only."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize("files", ["two", "one"])
def test_we_can_show_a_certificate(  # noqa: PLR0913, PLR0917
    carrier: Any, serve: Any, always: Any, authority: trustme.CA, demanding_tls: ssl.SSLContext, ca_file: str, tmp_path: Path, files: str
) -> None:
    """Certificate and key may lie in two files or in one."""
    identity = authority.issue_cert("relay@api.example")
    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    if files == "one":
        identity.private_key_and_cert_chain_pem.write_to_path(certificate)
    else:
        identity.cert_chain_pems[0].write_to_path(certificate)
        identity.private_key_pem.write_to_path(key)

    async def test() -> None:
        context = tls_context(ca_file, str(certificate), str(key) if files == "two" else None)
        async with serve(always(NO_CONTENT), tls=demanding_tls) as server, carrier.transport(tls=context) as transport:
            assert (await carrier.post(transport, server.url)).status_code == 204

    carrier.run(test())


@contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """Run a server on a thread: unlike asyncio's, its alert goes out before it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                # The twin outlives the refusal and reads what the client had sent: unread, it would turn the farewell into a reset.
                with connection.dup() as twin, connection:
                    with contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True)
                    with contextlib.suppress(OSError):
                        twin.shutdown(socket.SHUT_WR)
                        while twin.recv(65536):
                            pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_shows_no_certificate_has_sent_nothing(
    carrier: Any, demanding_tls: ssl.SSLContext, ca_file: str, version: ssl.TLSVersion
) -> None:
    """The server refuses the handshake; with TLS 1.3 that comes to light after the request was written, yet the server never read it."""
    context = tls_context(ca_file)
    context.maximum_version = version

    async def test() -> None:
        with refusing(demanding_tls) as port:
            async with carrier.transport(tls=context) as transport:
                # The stock transport cannot tell, and reports what it saw.
                expected = httpx.NetworkError if carrier.is_stock and version is ssl.TLSVersion.TLSv1_3 else httpx.ConnectError
                with pytest.raises(expected):
                    await carrier.post(transport, f"https://127.0.0.1:{port}/")

    carrier.run(test())


def test_a_key_with_a_password_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    """Nobody sits at a service's terminal to type it."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - for this test only

    identity = authority.issue_cert("relay@api.example")
    key = serialization.load_pem_private_key(identity.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    certificate, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    identity.cert_chain_pems[0].write_to_path(certificate)
    key_file.write_bytes(locked)
    with pytest.raises(ssl.SSLError):
        tls_context(None, str(certificate), str(key_file))
