"""Upstreams over TLS: certificates are checked, on both event loops."""

import asyncio
import datetime
import socket
import ssl

import pytest
import trustme
import uvloop

from tierwise.errors import UpstreamBroke, UpstreamRefused
from tierwise.http1 import UNSENT, Call, Origin, Pool

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request, caplog, capfd):
    """Runs a script on an event loop; afterwards the client may not have printed anything."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(script):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(script, 90))

    yield run
    assert [record for record in caplog.records if record.name.startswith("tierwise")] == []
    assert "Traceback" not in capfd.readouterr().err


LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def contexts(
    name: str, trusted: bool = True, until: datetime.datetime | None = None
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for `name`; a client's that trusts its authority or not."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=until).configure_cert(server)
    client = ssl.create_default_context()
    if trusted:
        authority.configure_trust(client)
    return server, client


class Upstream:
    """Answers every request with `reply`, and closes after it where `closes`."""

    def __init__(self, tls: ssl.SSLContext | None, reply: bytes = PLAIN, closes: bool = False):
        self.tls = tls
        self.reply = reply
        self.closes = closes
        self.connections = self.requests = 0

    async def __aenter__(self) -> "Upstream":
        # The scripted server's own complaints about refused handshakes do not count.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        self.listener = await asyncio.start_server(self._play, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.listener.close()

    async def _play(self, reader, writer):
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                writer.write(self.reply)
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    def call(self, host: str, path: str = "/") -> Call:
        return Call(Origin("https", host, self.port), "GET", path, [], connect_timeout_s=60)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate(play, host: str):
    server, client = contexts(host)

    async def script():
        async with Upstream(server) as upstream:
            pool = Pool(client)
            for _ in range(3):
                response = await pool.send(upstream.call(host))
                assert await response.read(10) == b"hello"
            assert upstream.connections == 1
            await pool.close()

    play(script())


@pytest.mark.parametrize(
    ("name", "trusted", "until", "host", "why"),
    [
        ("localhost", False, None, "localhost", "no authority trusted here signed it"),
        ("other.example", True, None, "localhost", "it is for another host"),
        ("localhost", True, None, "127.0.0.1", "it is for another host"),
        ("127.0.0.1", False, None, "127.0.0.1", "no authority trusted here signed it"),
        ("localhost", True, LONG_AGO, "localhost", "it has expired"),
    ],
)
def test_a_bad_certificate_is_refused_before_anything_is_sent(play, name, trusted, until, host, why):
    server, client = contexts(name, trusted, until)

    async def script():
        async with Upstream(server) as upstream:
            pool = Pool(client)
            with pytest.raises(UpstreamRefused) as caught:
                await pool.send(upstream.call(host))
            assert caught.value.message == f"The provider's TLS certificate is not valid: {why}."
            assert upstream.requests == 0
            await pool.close()

    play(script())


def test_without_a_context_of_its_own_a_pool_trusts_no_stranger(play):
    server, _ = contexts("localhost")

    async def script():
        async with Upstream(server) as upstream:
            pool = Pool()
            with pytest.raises(UpstreamRefused):
                await pool.send(upstream.call("localhost"))
            assert upstream.requests == 0
            await pool.close()

    play(script())


def test_a_plain_upstream_behind_an_https_address_is_refused(play):
    async def script():
        async with Upstream(None, closes=True) as upstream:
            upstream.listener.close()
            listener = await asyncio.start_server(lambda _, w: w.write(PLAIN), "127.0.0.1", 0)
            upstream.port = listener.sockets[0].getsockname()[1]
            pool = Pool()
            with pytest.raises(UpstreamRefused):
                await pool.send(upstream.call("127.0.0.1"))
            await pool.close()
            listener.close()

    play(script())


def test_a_large_body_and_a_cut_one(play):
    server, client = contexts("localhost")
    body = bytes(3_000_000)

    async def script():
        pool = Pool(client)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
        async with Upstream(server, head + body) as upstream:
            response = await pool.send(upstream.call("localhost"))
            assert await response.read(2**22) == body
        async with Upstream(server, head + body[1:], closes=True) as upstream:
            response = await pool.send(upstream.call("localhost"))
            with pytest.raises(UpstreamBroke):
                await response.read(2**22)
        await pool.close()

    play(script())


def test_closing_an_unfinished_reply_stops_the_upstream(play):
    server, client = contexts("localhost")

    async def script():
        ended = asyncio.Event()

        async def act(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            try:
                await reader.read()
            finally:
                ended.set()
                writer.close()

        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        listener = await asyncio.start_server(act, "127.0.0.1", 0, ssl=server)
        pool = Pool(client)
        call = Call(Origin("https", "localhost", listener.sockets[0].getsockname()[1]), "GET", "/", [])
        response = await pool.send(call)
        assert await response.chunk() == b"abc"
        response.close()
        async with asyncio.timeout(30):
            await ended.wait()
        listener.close()

    play(script())


def test_a_call_that_is_cancelled_while_it_connects_says_so(play):
    async def script():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            pool = Pool()
            origin = Origin("https", "127.0.0.1", silent.getsockname()[1])
            task = asyncio.ensure_future(pool.send(Call(origin, "GET", "/", [])))
            silent.setblocking(False)
            loop = asyncio.get_running_loop()
            held, _ = await loop.sock_accept(silent)
            with held:
                assert await loop.sock_recv(held, 65536)  # it begins the handshake
                task.cancel()
                with pytest.raises(asyncio.CancelledError, match=UNSENT):
                    await task
                await pool.close()

    play(script())
