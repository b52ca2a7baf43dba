"""Which connection serves a request, when one is given up, and that none is left behind."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest

from hookline.net.http import HttpClient, Request
from hookline.net.pool import Pool
from hookline.net.targets import Address
from hookline.net.wire import Connection, first_to_connect
from support.rawserver import OK, Handler, Server, client, post, resolving, serving, silent


def answering(answer: Callable[[Server, bytes], bytes]) -> Callable[[Server], Handler]:
    """Says what ``answer`` makes of each request, and keeps the connection open."""

    def handler(server: Server) -> Handler:
        async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while request := await server.request(reader):
                writer.write(answer(server, request))
                await writer.drain()

        return answer_all

    return handler


def plain(_server: Server, _request: bytes) -> bytes:
    return OK


def echo(_server: Server, request: bytes) -> bytes:
    body = request.partition(b"\r\n\r\n")[2]
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Held:
    """A server that answers when it is told to, with the number of the connection."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[None] = asyncio.Queue()
        self.answer = asyncio.Semaphore(0)

    def __call__(self, server: Server) -> Handler:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = server.connections
            while await server.request(reader):
                self.arrived.put_nowait(None)
                await self.answer.acquire()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

        return hold


# --- connections are used again ------------------------------------------------------------------


async def test_the_connection_that_came_back_last_goes_out_first() -> None:
    held = Held()
    async with serving(held) as server, client() as http:
        both = [asyncio.create_task(http.send(post(server.url()))) for _ in range(2)]
        for _ in both:
            await held.arrived.get()
        for _ in both:
            held.answer.release()
        numbers = [(await task).body for task in both]
        assert sorted(numbers) == [b"1", b"2"]
        for _ in range(3):
            held.answer.release()
            last = (await http.send(post(server.url()))).body
            held.answer.release()
            assert (await http.send(post(server.url()))).body == last
    assert server.connections == 2


@pytest.mark.parametrize("extra", [b"H", b"junk", OK, b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_a_server_that_says_more_than_its_answer_is_not_asked_again(extra: bytes) -> None:
    async with serving(answering(lambda _server, _request: OK + extra)) as server, client() as http:
        for count in (1, 2, 3):
            response = await http.send(post(server.url()))
            assert (response.status, response.body) == (200, b"ok")
            await server.over.get()
            assert server.connections == count


async def test_other_hosts_schemes_and_authorities_are_other_connections(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(answering(plain), tls=server_tls) as server, client(resolver=resolve) as http:
        secure = post(f"https://shop.example:{server.port}/")
        trusting = msgspec.structs.replace(secure, ca=certificate.read_text())
        assert [(await http.send(trusting)).status for _ in range(2)] == [200, 200]
        # The connection that is open was vouched for by somebody whom this request does not trust.
        assert (await http.send(secure)).error == "tls"
        local = msgspec.structs.replace(trusting, url=f"https://localhost:{server.port}/")
        assert (await http.send(local)).status == 200
        wrong = msgspec.structs.replace(trusting, url=f"https://other.example:{server.port}/")
        assert (await http.send(wrong)).error == "tls"
        assert (await http.send(msgspec.structs.replace(secure, ca="no certificate"))).error == "tls"
    assert len(server.requests) == 3


async def opened(pool: Pool, server: Server) -> Connection:
    """A connection that has served a request and waits to be given back."""

    async def dial(address: object, among: set[Connection]) -> Connection:
        made = asyncio.get_running_loop().create_connection(
            lambda: Connection("key", ip_address("127.0.0.1"), among), str(address), server.port
        )
        return (await made)[1]

    await pool.turn()
    connection = await pool.open("key", [ip_address("127.0.0.1")], dial)
    until = asyncio.get_running_loop().time() + 15
    assert await connection.ask([b"POST / HTTP/1.1\r\n\r\n"], until, None) is None
    return connection


async def test_a_connection_serves_its_own_key_while_its_address_is_right() -> None:
    async with serving(answering(plain)) as server:
        pool = Pool(1)
        connection = await opened(pool, server)
        pool.give_back(connection)
        assert pool.take("other key", [connection.address]) is None
        assert pool.take("key", [connection.address]) is connection
        pool.give_back(connection)
        assert pool.take("key", [ip_address("127.0.0.2")]) is None
        await server.over.get()
        await pool.close()


async def test_a_server_that_speaks_while_nobody_asked_is_left() -> None:
    def handler(server: Server) -> Handler:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(OK)
            await resting.wait()
            writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            await reader.read()

        return speak

    resting = asyncio.Event()
    async with serving(handler) as server:
        pool = Pool(1, keep_alive=3600)
        pool.give_back(await opened(pool, server))
        resting.set()
        await server.over.get()
        await pool.close()


async def test_a_connection_that_has_rested_long_enough_is_closed() -> None:
    async with serving(answering(plain)) as server:
        pool = Pool(1, keep_alive=0.05)
        pool.give_back(await opened(pool, server))
        await server.over.get()
        assert pool.take("key", [ip_address("127.0.0.1")]) is None
        await pool.close()


async def test_a_connection_that_has_rested_too_long_is_not_used() -> None:
    async with serving(answering(plain)) as server:
        pool = Pool(1, keep_alive=-1)
        pool.give_back(await opened(pool, server))
        assert pool.take("key", [ip_address("127.0.0.1")]) is None
        await server.over.get()
        await pool.close()


# --- and there are no more than so many ----------------------------------------------------------


async def test_two_hundred_at_once_each_get_their_own_answer() -> None:
    async with serving(answering(echo)) as server, client() as http:
        for turn in range(3):
            bodies = [b"%d of turn %d" % (n, turn) * 50 for n in range(200)]
            responses = await asyncio.gather(*(http.send(post(server.url(), body=body)) for body in bodies))
            assert [response.body for response in responses] == bodies
    assert server.connections <= 200


async def test_those_above_the_limit_wait_for_their_turn() -> None:
    async with serving(answering(echo)) as server, client(max_connections=3) as http:
        bodies = [b"%d" % n for n in range(50)]
        responses = await asyncio.gather(*(http.send(post(server.url(), body=body)) for body in bodies))
    assert [response.body for response in responses] == bodies
    assert server.connections == 3


async def test_to_wait_for_a_turn_takes_nothing_of_the_time_and_may_be_cancelled() -> None:
    held = Held()
    async with serving(held) as server, client(max_connections=1) as http:
        first = asyncio.create_task(http.send(post(server.url(), timeout=3600)))
        await held.arrived.get()
        late = asyncio.create_task(http.send(post(server.url(), timeout=30, connect_timeout=0.01)))
        await asyncio.wait((late,), timeout=0.05)
        assert not late.done()
        cancelled = asyncio.create_task(http.send(post(server.url())))
        third = asyncio.create_task(http.send(post(server.url())))
        await asyncio.sleep(0)
        cancelled.cancel()
        for _ in range(3):
            held.answer.release()
        assert [(await one).status for one in (first, late, third)] == [200] * 3
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_turn_that_comes_as_its_owner_is_cancelled_goes_to_the_next() -> None:
    async with serving(answering(plain)) as server:
        pool = Pool(1)
        connection = await opened(pool, server)
        waiting = [asyncio.create_task(opened(pool, server)) for _ in range(2)]
        await asyncio.sleep(0)  # they queue up
        pool.give_back(connection)
        waiting[0].cancel()
        assert await waiting[1] is connection
        pool.give_back(connection)
        assert pool.take("key", [connection.address]) is connection
        await pool.close()


async def test_connections_at_rest_make_room_for_others() -> None:
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(answering(plain)) as server, client(resolver=resolve, max_connections=2) as http:
        for host in ("a.example", "b.example", "c.example"):
            assert (await http.send(post(server.url(host)))).status == 200
        await server.over.get()
        assert server.over.empty()
        assert (await http.send(post(server.url("c.example")))).connect_ms == 0
    assert server.connections == 3


# --- nothing is left behind ----------------------------------------------------------------------


async def cancelled(http: HttpClient, request: Request, when: Callable[[], object]) -> None:
    """Sends the request, waits for ``when``, and cancels it."""
    task = asyncio.create_task(http.send(request))
    await when()  # type: ignore[misc]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nX:", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_cancelling_frees_the_place_and_closes(scheme: str, answer: bytes) -> None:
    arrived: asyncio.Queue[None] = asyncio.Queue()

    def handler(_server: Server) -> Handler:
        async def stop_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(5)
            writer.write(answer if scheme == "http" else b"")
            await writer.drain()
            arrived.put_nowait(None)
            await reader.read()

        return stop_there

    async with serving(handler) as server, serving(OK) as good, client(max_connections=1) as http:
        for _ in range(3):
            await cancelled(http, post(f"{scheme}://127.0.0.1:{server.port}/"), arrived.get)
            await server.over.get()
        assert (await http.send(post(good.url()))).status == 200


async def test_cancelling_while_the_name_is_looked_up_frees_the_place() -> None:
    asked = asyncio.Event()

    async def resolve(host: str, _port: int) -> list[str]:
        if host == "slow.example":
            asked.set()
            await asyncio.get_running_loop().create_future()
        return ["127.0.0.1"]

    async with serving(OK) as server, client(resolver=resolve, max_connections=1) as http:
        await cancelled(http, post(server.url("slow.example")), asked.wait)
        assert (await http.send(post(server.url("quick.example")))).status == 200


async def test_closing_closes_what_rests_and_what_works() -> None:
    async with serving(answering(plain)) as resting, serving(held := Held()) as working:
        async with client() as http:
            assert (await http.send(post(resting.url()))).status == 200
            task = asyncio.create_task(http.send(post(working.url())))
            await held.arrived.get()
        assert (await task).error == "reset"
        assert not http._pool._open
        held.answer.release()
        await resting.over.get()
        await working.over.get()
    gc.collect()


# --- sending -------------------------------------------------------------------------------------


async def test_an_answer_that_comes_before_the_request_was_taken_is_an_answer() -> None:
    def handler(_server: Server) -> Handler:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await asyncio.get_running_loop().create_future()

        return refuse

    async with serving(handler) as server, client() as http:
        for _ in range(2):
            assert (await http.send(post(server.url(), body=b"x" * 32_000_000))).status == 413
    assert server.connections == 2


async def test_a_receiver_that_is_still_reading_is_not_silent() -> None:
    def handler(server: Server) -> Handler:
        async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asyncio.get_running_loop().call_later(0.4, begin.set)
            await begin.wait()
            await server.request(reader)
            writer.write(OK)

        return read_late

    begin = asyncio.Event()
    async with serving(handler) as server, client() as http:
        body = b"x" * 32_000_000
        response = await http.send(post(server.url(), body=body, first_byte_timeout=0.2))
    assert (response.status, len(server.requests[0]) > len(body)) == (200, True)


async def test_a_get_tells_no_length() -> None:
    async with serving(OK) as server, client() as http:
        request = Request(method="GET", url=server.url(path="/%d%s?100%"), headers=(("X-100%", "5%d"),))
        assert (await http.send(request)).status == 200
    head = b"GET /%%d%%s?100%% HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-100%%: 5%%d\r\n\r\n"
    assert server.requests == [head % server.port]


async def test_header_values_are_sent_in_utf_8() -> None:
    async with serving(OK) as server, client() as http:
        headers = (("X-Name", "Zoë\t☃\xa0"), ("X-Empty", ""))
        request = Request(method="POST", url=server.url(), headers=headers)
        assert (await http.send(request)).status == 200
    assert "\r\nX-Name: Zoë\t☃\xa0\r\nX-Empty: \r\n".encode() in server.requests[0]


# --- several addresses ---------------------------------------------------------------------------


async def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    resolve, _ = resolving(["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    async with serving(OK) as server, client(resolver=resolve) as http:
        response = await http.send(post(server.url("shop.example")))
    assert (response.status, response.address) == (200, "127.0.0.1")


async def test_where_all_addresses_refuse_that_is_said() -> None:
    resolve, _ = resolving(["127.0.0.2", "127.0.0.3"])
    async with serving(OK) as server, client(resolver=resolve) as http:
        assert (await http.send(post(server.url("shop.example")))).error == "refused"
    assert server.connections == 0


async def test_an_address_that_hangs_is_not_waited_for(certificate: Path, server_tls: ssl.SSLContext) -> None:
    resolve, _ = resolving(["127.0.0.2", "127.0.0.1"])
    async with (
        serving(answering(plain), tls=server_tls) as server,
        serving(silent, host="127.0.0.2", port=server.port) as hanging,
        client(resolver=resolve, tls=ssl.create_default_context(cafile=str(certificate))) as http,
    ):
        for _ in range(2):
            response = await http.send(post(f"https://shop.example:{server.port}/"))
            assert (response.status, response.address) == (200, "127.0.0.1")
        await hanging.over.get()
    assert (server.connections, hanging.connections) == (1, 1)


async def test_of_two_connections_that_are_there_at_once_one_is_closed() -> None:
    async with serving(silent) as server:
        among: set[Connection] = set()
        both = asyncio.Event()

        async def dial(address: Address) -> Connection:
            made = asyncio.get_running_loop().create_connection(
                lambda: Connection("key", address, among), "127.0.0.1", server.port
            )
            connection = (await made)[1]
            if len(among) == 2:
                both.set()
            await both.wait()
            return connection

        addresses = [ip_address("127.0.0.1"), ip_address("127.0.0.2")]
        won = await first_to_connect(addresses, dial)
        await server.over.get()
        assert among == {won}
        won.abort()
        await won.closed


async def test_who_gives_up_waiting_for_a_name_does_not_spoil_it_for_others() -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()
    answer = asyncio.Event()

    async def resolve(host: str, _port: int) -> list[str]:
        asked.put_nowait(host)
        await answer.wait()
        return ["127.0.0.1"]

    async with serving(OK) as server, client(resolver=resolve) as http:
        patient = asyncio.create_task(http.send(post(server.url("shop.example"))))
        await asked.get()
        hasty = await http.send(post(server.url("shop.example"), connect_timeout=0.01))
        answer.set()
        assert (hasty.error, (await patient).status) == ("timeout_connect", 200)
        assert asked.empty()


async def test_many_who_ask_for_a_name_at_once_ask_once() -> None:
    resolve, asked = resolving(["127.0.0.1"])
    async with serving(answering(plain)) as server, client(resolver=resolve) as http:
        responses = await asyncio.gather(*(http.send(post(server.url("shop.example"))) for _ in range(20)))
    assert ({response.status for response in responses}, asked) == ({200}, ["shop.example"])


async def test_a_look_up_that_failed_is_tried_again() -> None:
    resolve, asked = resolving([], ["127.0.0.1"])
    async with serving(OK) as server, client(resolver=resolve) as http:
        results = [await http.send(post(server.url("shop.example"))) for _ in range(2)]
    assert [(result.error, result.status) for result in results] == [("dns", None), (None, 200)]
    assert len(asked) == 2


# --- TLS that ends early -------------------------------------------------------------------------


async def test_a_connection_that_is_closed_in_the_handshake_is_no_answer() -> None:
    def handler(_server: Server) -> Handler:
        async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)

        return hang_up

    async with serving(handler) as server, client() as http:
        response = await http.send(post(f"https://127.0.0.1:{server.port}/"))
    assert (response.status, response.error) == (None, "reset")
