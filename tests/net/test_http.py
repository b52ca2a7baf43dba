"""The HTTP client against real servers on loopback, well-behaved and not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from hookline.net.http import KEEP_BODY, KEEP_HEADERS, READ_BODY, Request
from hookline.net.targets import TargetRefused, Targets
from support.rawserver import OK, Handler, Server, client, post, resolving, send_to, serving, silent

# --- the plain way -------------------------------------------------------------------------------


async def test_the_request_arrives_as_given_and_nothing_is_added() -> None:
    async with serving(OK) as server, client() as http:
        response = await http.send(
            Request(
                method="POST",
                url=server.url(path="/a%2Fb/../c?x=1&x=%20"),
                headers=(("User-Agent", "Hookline/1"), ("X-Name", "Ada"), ("X-Name", "Bede")),
                body=b'{"a": 1}',
            )
        )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST /a%2Fb/../c?x=1&x=%20 HTTP/1.1"
    assert sorted(lines) == [
        b"Content-Length: 8",
        b"Host: 127.0.0.1:%d" % server.port,
        b"User-Agent: Hookline/1",
        b"X-Name: Ada",
        b"X-Name: Bede",
    ]
    assert body == b'{"a": 1}'
    assert (response.status, response.body, response.error) == (200, b"ok", None)
    assert response.headers == (("Content-Length", "2"),)
    assert response.address == "127.0.0.1"
    assert not response.truncated
    assert 0 < response.connect_ms <= response.total_ms


async def test_an_empty_post_says_that_it_is_empty() -> None:
    async with serving(OK) as server, client() as http:
        assert (await http.send(post(server.url(), body=b""))).status == 200
    assert b"Content-Length: 0\r\n" in server.requests[0]


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 8192
    async with serving(OK) as server, client() as http:
        assert (await http.send(post(server.url(), body=body))).status == 200
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 2097152\r\n\r\n" % server.port
    assert server.requests[0] == head + body


async def test_host_names_keep_their_name_in_the_host_header() -> None:
    resolve, asked = resolving(["127.0.0.1"])
    async with serving(OK) as server, client(resolver=resolve) as http:
        response = await http.send(post(server.url("shop.example.")))
    assert response.status == 200
    assert b"Host: shop.example:%d\r\n" % server.port in server.requests[0]
    assert asked == ["shop.example"]


async def test_a_connection_is_used_again() -> None:
    def handler(server: Server) -> Handler:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await server.request(reader):
                writer.write(OK)

        return answer

    async with serving(handler) as server, client() as http:
        responses = [await http.send(post(server.url())) for _ in range(5)]
    assert [response.status for response in responses] == [200] * 5
    assert server.connections == 1
    assert [response.connect_ms == 0 for response in responses] == [False, True, True, True, True]
    assert {response.address for response in responses} == {"127.0.0.1"}


async def test_a_connection_that_was_closed_while_idle_is_not_used_again() -> None:
    async with serving(OK) as server, client() as http:
        for count in (1, 2, 3):
            assert (await http.send(post(server.url()))).status == 200
            await server.over.get()
            assert server.connections == count


async def test_localhost_is_resolved_by_the_system_where_it_is_allowed() -> None:
    async with serving(OK) as server, client() as http:
        assert (await http.send(post(server.url("localhost")))).status == 200


async def test_an_ipv6_target_is_reached() -> None:
    async with serving(OK, host="::1") as server, client() as http:
        response = await http.send(post(server.url("[0:0::1]")))
    assert (response.status, response.address) == (200, "::1")
    assert b"Host: [::1]:%d\r\n" % server.port in server.requests[0]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 410, 429, 500, 503, 999])
async def test_every_status_is_an_answer_and_redirects_are_not_followed(status: int) -> None:
    resolve, asked = resolving(["127.0.0.1"])
    answer = b"HTTP/1.1 %d X\r\nLocation: http://elsewhere.example/\r\nContent-Length: 0\r\n\r\n" % status
    async with serving(answer) as server, client(resolver=resolve) as http:
        response = await http.send(post(server.url("shop.example")))
    assert (response.status, response.error) == (status, None)
    assert dict(response.headers)["Location"] == "http://elsewhere.example/"
    assert (len(server.requests), asked) == (1, ["shop.example"])


async def test_interim_answers_are_not_the_answer() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    assert (await send_to(interim + OK)).status == 200


async def test_cookies_are_not_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(answer) as server, client(resolver=resolve) as http:
        for _ in range(2):
            await http.send(post(server.url("shop.example")))
            await server.over.get()
    assert len(server.requests) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, _ = resolving(["127.0.0.1"])
    async with (
        serving(OK) as server,
        serving(b"HTTP/1.1 502 Proxy\r\n\r\n") as proxy,
        client(resolver=resolve) as http,
    ):
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.url())
        assert (await http.send(post(server.url("shop.example")))).status == 200
        assert proxy.connections == 0


# --- where it may go -----------------------------------------------------------------------------


async def test_a_refused_url_never_reaches_the_resolver() -> None:
    resolve, asked = resolving(["127.0.0.1"])
    async with serving(OK) as server, client(Targets(), resolver=resolve) as http:
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost"):
            response = await http.send(post(server.url(host)))
            assert (response.status, response.error) == (None, "blocked_address")
            assert response.detail
            with pytest.raises(TargetRefused):
                http.check(server.url(host))
        http.check("https://shop.example/hooks")
    assert (server.connections, asked) == (0, [])


async def test_a_name_that_leads_inside_is_blocked_without_telling_where() -> None:
    resolve, asked = resolving(["10.11.12.13", "::ffff:127.0.0.1"])
    async with serving(OK) as server, client(Targets(), resolver=resolve) as http:
        response = await http.send(post(server.url("evil.example")))
    assert (response.error, server.connections, asked) == ("blocked_address", 0, ["evil.example"])
    assert "evil.example" in response.detail
    assert "10.11.12.13" not in response.detail


async def test_refused_addresses_of_a_mixed_answer_are_left_out() -> None:
    resolve, _ = resolving(["127.0.0.1", "10.0.0.1", "::1", "127.0.0.2"])
    async with (
        serving(OK) as decoy,
        serving(OK, host="127.0.0.2", port=decoy.port) as server,
        client(Targets.parse("127.0.0.2"), resolver=resolve) as http,
    ):
        response = await http.send(post(server.url("mixed.example")))
    assert (response.status, response.address) == (200, "127.0.0.2")
    assert (server.connections, decoy.connections) == (1, 0)


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    resolve, asked = resolving(["127.0.0.2"], ["127.0.0.1"])
    async with (
        serving(OK) as decoy,
        serving(OK, host="127.0.0.2", port=decoy.port) as server,
        client(Targets.parse("127.0.0.2"), resolver=resolve) as http,
    ):
        for _ in range(3):
            response = await http.send(post(server.url("rebind.example")))
            assert (response.status, response.address) == (200, "127.0.0.2")
            await server.over.get()
    assert (server.connections, decoy.connections, asked) == (3, 0, ["rebind.example"])


async def test_a_refused_port_is_refused_at_the_address_that_a_name_leads_to() -> None:
    resolve, _ = resolving(["8.8.8.8"])
    async with client(resolver=resolve) as http:
        response = await http.send(post("http://shop.example:6379/"))
    assert response.error == "blocked_address"
    assert "port 6379" in response.detail


async def test_the_last_step_is_guarded_too() -> None:
    async with serving(OK) as server, client(Targets()) as http:
        key = (("http", "shop.example", server.port), None)
        with pytest.raises(TargetRefused, match="loopback"):
            await http._dial(key, ip_address("127.0.0.1"), set())
        assert server.connections == 0


async def test_a_name_that_does_not_resolve_is_a_dns_error() -> None:
    async def fail(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with client(resolver=fail) as http:
        response = await http.send(post("http://nowhere.example/"))
    assert (response.status, response.error) == (None, "dns")
    assert "Name or service not known" in response.detail


async def test_a_name_without_addresses_is_a_dns_error() -> None:
    resolve, _ = resolving([])
    async with client(resolver=resolve) as http:
        assert (await http.send(post("http://empty.example/"))).error == "dns"


@pytest.mark.parametrize(("total", "connecting"), [(0.05, 5.0), (5.0, 0.05)])
async def test_a_resolver_that_hangs_is_bounded(total: float, connecting: float) -> None:
    async def hang(_host: str, _port: int) -> list[str]:
        await asyncio.get_running_loop().create_future()
        return []

    async with client(resolver=hang) as http:
        response = await http.send(post("http://slow.example/", timeout=total, connect_timeout=connecting))
    assert response.error == "timeout_connect"


# --- what goes wrong -----------------------------------------------------------------------------


async def test_nobody_listening_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client() as http:
            response = await http.send(post(f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert (response.status, response.error) == (None, "refused")
    assert "refused" in response.detail


async def test_a_server_that_never_answers_is_left() -> None:
    response = await send_to(silent, timeout=0.2)
    assert (response.status, response.error, response.address) == (None, "timeout_total", "127.0.0.1")
    response = await send_to(silent, first_byte_timeout=0.1)
    assert (response.status, response.error) == (None, "timeout_read")


async def test_a_server_that_never_reads_is_left() -> None:
    def handler(_server: Server) -> Handler:
        async def stall(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await asyncio.get_running_loop().create_future()

        return stall

    async with serving(handler) as server, client() as http:
        response = await http.send(post(server.url(), body=b"x" * 16_000_000, timeout=0.2))
    assert response.error == "timeout_total"


async def test_a_head_that_drips_is_left_when_the_time_is_up() -> None:
    def handler(server: Server) -> Handler:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not reader.at_eof():
                writer.write(b"X-Drip: y\r\n")
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.02)

        return drip

    assert (await send_to(handler, timeout=0.3, first_byte_timeout=0.2)).error == "timeout_total"


def _reset(read_first: bool) -> Callable[[Server], Handler]:
    def handler(server: Server) -> Handler:
        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if read_first:
                await server.request(reader)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

        return reset

    return handler


@pytest.mark.parametrize(
    "answer",
    [_reset(read_first=True), _reset(read_first=False), b"", b"HTTP/1.1 200 OK\r\nX-Half: "],
    ids=["reset after the request", "reset at once", "closed without a word", "closed inside the head"],
)
async def test_a_connection_that_breaks_before_the_status_is_a_reset(
    answer: bytes | Callable[[Server], Handler],
) -> None:
    response = await send_to(answer)
    assert (response.status, response.error) == (None, "reset")


async def test_a_post_is_never_sent_twice_when_a_used_connection_breaks() -> None:
    def handler(server: Server) -> Handler:
        async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(OK)
            await server.request(reader)

        return answer_once

    async with serving(handler) as server, client() as http:
        responses = [await http.send(post(server.url(), body=b"%d" % n)) for n in range(2)]
    assert [(response.status, response.error) for response in responses] == [(200, None), (None, "reset")]
    assert [request[-1:] for request in server.requests] == [b"0", b"1"]


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\x01\x02\x03" * 100,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + b"nonsense\r\n\r\n",
        b"\r\n" * 20_000 + b"nonsense\r\n\r\n",
    ],
    ids=range(10),
)
async def test_what_is_no_http_is_a_protocol_error(answer: bytes) -> None:
    response = await send_to(answer)
    assert (response.status, response.error) == (None, "protocol")
    assert 0 < len(response.detail) < 300


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "a\r\nX-B: b"),
        ("X-A", "a\nb"),
        ("X-A", "a\0b"),
        ("X-A\r\nX-B", "b"),
        ("X A", "b"),
        ("", "b"),
        ("Häder", "b"),
        ("Host", "elsewhere.example"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Expect", "100-continue"),
        ("X-A", "\ud800"),
    ],
)
async def test_headers_that_would_break_the_request_are_not_sent(name: str, value: str) -> None:
    async with serving(OK) as server, client() as http:
        response = await http.send(Request(method="POST", url=server.url(), headers=((name, value),)))
        assert (response.status, response.error) == (None, "protocol")
        response = await http.send(Request(method="PO ST", url=server.url()))
        assert (response.status, response.error) == (None, "protocol")
    assert server.requests == []


async def test_cancelling_is_passed_on_and_closes_the_connection() -> None:
    arrived = asyncio.Event()

    def handler(server: Server) -> Handler:
        async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            arrived.set()
            await reader.read()

        return wait

    async with serving(handler) as server, client() as http:
        task = asyncio.create_task(http.send(post(server.url())))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.over.get()


# --- the status decides --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", b"short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nZZ\r\nbroken", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", b"hel"),
    ],
    ids=["short", "broken chunk", "no chunk", "unfinished chunk"],
)
async def test_a_broken_body_changes_nothing(answer: bytes, kept: bytes | None) -> None:
    response = await send_to(answer)
    assert (response.status, response.error) == (200, None)
    assert response.truncated
    assert kept in (None, response.body)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"trailing nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok and more",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
    ids=["trailing", "trailing after close", "until the end"],
)
async def test_what_follows_the_answer_is_not_looked_at(answer: bytes) -> None:
    response = await send_to(answer)
    assert (response.status, response.body, response.error) == (200, b"ok", None)


async def test_a_body_where_none_belongs_is_not_looked_at() -> None:
    response = await send_to(b"HTTP/1.1 204 No Content\r\n\r\nsurprise")
    assert (response.status, response.body, response.error) == (204, b"", None)


async def test_a_switch_of_protocols_is_an_answer_and_the_end() -> None:
    def handler(server: Server) -> Handler:
        async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            await reader.read()

        return switch

    async with serving(handler) as server, client() as http:
        assert (await http.send(post(server.url()))).status == 101
        await server.over.get()


def _endless(chunk: bytes, pause: float) -> Callable[[Server], Handler]:
    def handler(server: Server) -> Handler:
        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while not reader.at_eof():
                writer.write(chunk)
                await writer.drain()
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), pause)

        return pour

    return handler


async def test_an_endless_body_is_cut_off_and_its_connection_closed() -> None:
    async with serving(_endless(b"x" * 65536, 0)) as server, client() as http:
        response = await http.send(post(server.url()))
        assert (response.status, response.error, response.truncated) == (200, None, True)
        assert response.body == b"x" * KEEP_BODY
        await server.over.get()


async def test_a_dripping_body_is_cut_off_when_the_time_is_up() -> None:
    async with serving(_endless(b"x", 0.01)) as server, client() as http:
        response = await http.send(post(server.url(), timeout=0.3))
        assert (response.status, response.error, response.truncated) == (200, None, True)
        assert set(response.body) == {ord("x")}
        await server.over.get()


async def test_a_body_has_less_time_than_the_status() -> None:
    def handler(server: Server) -> Handler:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")
            for _ in range(60):
                writer.write(b"x")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.1)
                if reader.at_eof():
                    break

        return drip

    response = await send_to(handler)
    assert (response.status, response.truncated) == (200, True)


async def test_a_body_without_a_length_is_over_when_its_connection_is() -> None:
    response = await send_to(b"HTTP/1.1 200 OK\r\n\r\nthat was all")
    assert (response.status, response.body, response.truncated) == (200, b"that was all", False)


async def test_a_body_that_never_comes_is_not_waited_for() -> None:
    response = await send_to(_endless(b"", 60), first_byte_timeout=0.1)
    assert (response.status, response.body, response.truncated) == (200, b"", True)


async def test_a_long_body_within_bounds_keeps_the_connection_but_not_the_rest() -> None:
    def handler(server: Server) -> Handler:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await server.request(reader):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % READ_BODY + b"x" * READ_BODY)
                await writer.drain()

        return answer

    async with serving(handler) as server, client() as http:
        responses = [await http.send(post(server.url())) for _ in range(2)]
    assert [(len(response.body), response.truncated) for response in responses] == [(KEEP_BODY, True)] * 2
    assert server.connections == 1


async def test_a_body_is_kept_as_received() -> None:
    response = await send_to(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip"
    )
    assert (response.status, response.body, response.truncated) == (200, b"not gzip", False)


async def test_many_headers_are_kept_up_to_a_bound() -> None:
    lines = b"".join(b"X-%02d: %s\r\n" % (n, b"y" * 1000) for n in range(60))
    response = await send_to(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    assert (response.status, response.error) == (200, None)
    assert response.headers[0] == ("X-00", "y" * 1000)
    assert sum(len(name) + len(value) for name, value in response.headers) <= KEEP_HEADERS


# --- TLS -----------------------------------------------------------------------------------------


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_error(server_tls: ssl.SSLContext) -> None:
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(OK, tls=server_tls) as server, client(resolver=resolve) as http:
        response = await http.send(post(f"https://shop.example:{server.port}/"))
    assert (response.status, response.error, server.requests) == (None, "tls", [])
    assert "self-signed" in response.detail.replace("self signed", "self-signed")


async def test_the_name_is_what_tls_asks_for_and_verifies(
    certificate: Path, server_tls: ssl.SSLContext
) -> None:
    asked: list[str | None] = []
    server_tls.sni_callback = lambda _sock, name, _context: asked.append(name)
    trust = ssl.create_default_context(cafile=str(certificate))
    resolve, _ = resolving(["127.0.0.1"])
    async with serving(OK, tls=server_tls) as server, client(resolver=resolve, tls=trust) as http:
        right = await http.send(post(f"https://shop.example:{server.port}/"))
        wrong = await http.send(post(f"https://other.example:{server.port}/"))
    assert (right.status, right.address) == (200, "127.0.0.1")
    assert (wrong.status, wrong.error) == (None, "tls")
    assert asked == ["shop.example", "other.example"]
    assert len(server.requests) == 1


async def test_a_server_without_tls_is_a_tls_error() -> None:
    def handler(_server: Server) -> Handler:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        return plain

    async with serving(handler) as server, client() as http:
        response = await http.send(post(f"https://127.0.0.1:{server.port}/"))
    assert (response.status, response.error) == (None, "tls")


async def test_a_handshake_that_hangs_is_a_connect_timeout() -> None:
    async with serving(silent) as server, client() as http:
        response = await http.send(post(f"https://127.0.0.1:{server.port}/", connect_timeout=0.1))
    assert (response.status, response.error) == (None, "timeout_connect")
