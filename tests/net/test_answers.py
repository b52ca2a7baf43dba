"""Reading answers: what counts as one, where it ends, and that it does not matter how its bytes were cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, pairwise, repeat
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.net.answers import FRAMING, HEAD, KEEP_BODY, READ_BODY, AnswerReader, Headers, NotHttp
from support.rawserver import OK

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Read(NamedTuple):
    """All that there is to know of an answer."""

    status: int
    headers: Headers
    body: bytes
    truncated: bool
    keep_alive: bool


class Sample(NamedTuple):
    raw: bytes
    read: Read
    ends: bool
    """Without its server closing the connection."""


def read(reader: AnswerReader, pieces: Iterable[bytes]) -> Read:
    reader.begin()
    if not any(reader.feed(piece) for piece in pieces):
        reader.end()
    return Read(reader.status, reader.headers, reader.body, reader.truncated, reader.keep_alive)


# --- valid answers -------------------------------------------------------------------------------

INTERIM = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"]
names = st.from_regex(r"X-[A-Za-z0-9!#%~^-]{1,20}", fullmatch=True)
values = st.from_regex(r"([!-~\x80-\xff]([ -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?", fullmatch=True)
bodies = st.binary(max_size=100) | st.binary(min_size=1, max_size=20).map(lambda some: some * 1500)


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    cuts = draw(st.lists(st.integers(1, max(1, len(body))), max_size=4))
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
    chunks = [body[start:end] for start, end in pairwise(edges)]
    trailers = draw(st.sampled_from([b"", b"X-Trailer: late\r\n"]))
    return (
        b"".join(b"%x%s\r\n%s\r\n" % (len(c), extension, c) for c in chunks) + b"0\r\n" + trailers + b"\r\n"
    )


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    status = draw(st.integers(200, 599) | st.sampled_from([204, 304, 999]))
    headers = draw(st.lists(st.tuples(names, values), max_size=5))
    body = b"" if status in (204, 304) else draw(bodies)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    sent, ends = body, True
    if status in (204, 304):
        pass
    elif framing == "length":
        headers.append(("Content-Length", str(len(body))))
    elif framing == "chunked":
        headers.insert(0, ("Transfer-Encoding", "chunked"))
        sent = draw(chunked(body))
    else:
        ends = False
    line = draw(st.sampled_from(["\r\n", "\n"]))
    head = line.join([f"HTTP/1.1 {status} Reason", *(f"{name}: {value}" for name, value in headers), "", ""])
    interim = b"".join(draw(st.lists(st.sampled_from(INTERIM), max_size=3)))
    raw = interim + head.encode("latin-1") + sent
    return Sample(raw, Read(status, tuple(headers), body[:KEEP_BODY], len(body) > KEEP_BODY, ends), ends)


@given(samples(), st.data())
def test_how_an_answer_is_cut_into_packets_does_not_matter(sample: Sample, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(sample.raw)), max_size=12))
    edges = sorted({0, len(sample.raw), *cuts})
    pieces = [sample.raw[start:end] for start, end in pairwise(edges)]
    assert read(AnswerReader(), pieces) == sample.read


@given(st.lists(samples(), max_size=4))
def test_one_reader_reads_one_answer_after_the_other(sequence: list[Sample]) -> None:
    reader = AnswerReader()
    for sample in sequence:
        assert read(reader, [bytes([byte]) for byte in sample.raw[:300]] + [sample.raw[300:]]) == sample.read
        if not sample.ends:
            break


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["1.0", "close", "no length"],
)
def test_a_connection_that_will_be_closed_is_not_kept(head: bytes) -> None:
    assert read(AnswerReader(), [head + b"ok"])[2:] == (b"ok", False, False)


@pytest.mark.parametrize("extra", [b"H", b"x", OK, b"\0", OK[:-1]])
def test_what_follows_an_answer_spoils_its_connection(extra: bytes) -> None:
    assert read(AnswerReader(), [OK + extra]) == (200, (("Content-Length", "2"),), b"ok", False, False)


def test_a_body_that_is_read_to_its_end_keeps_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    _, _, body, truncated, keep_alive = read(AnswerReader(), [head % READ_BODY + b"x" * READ_BODY])
    assert (body, truncated, keep_alive) == (b"x" * KEEP_BODY, True, True)
    _, _, body, truncated, keep_alive = read(
        AnswerReader(), [head % (READ_BODY + 1) + b"x" * (READ_BODY + 1)]
    )
    assert (body, truncated, keep_alive) == (b"x" * KEEP_BODY, True, False)


# --- others --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>HTTP/0.9</html>",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"ICE/1.0 200 OK\r\n\r\n",
        b"\x15\3\3\0\2\2\x28",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 000 Zero\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/1.1 -20 Low\r\n\r\n",
        b"HTTP/1.1 200 OK\nX : y\n\n",
        b"HTTP/1.1 200 OK\rX: y\r\r",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\n folded\n\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 abc\r\n\r\n",
    ],
)
def test_what_is_no_http_1_is_refused_however_it_is_cut(raw: bytes) -> None:
    for pieces in ([raw], [raw[:3], raw[3:]], [bytes([byte]) for byte in raw]):
        with pytest.raises(NotHttp) as refused:
            read(AnswerReader(), pieces)
        assert str(refused.value)


@given(st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", CHUNKED, LONG, OK]), st.lists(st.binary()))
def test_any_bytes_are_an_answer_or_none(start: bytes, pieces: list[bytes]) -> None:
    reader = AnswerReader()
    try:
        any(reader.feed(piece) for piece in (start, *pieces))
    except NotHttp:
        assert reader.status == 0
    assert reader.status == 0 or 100 <= reader.status <= 999
    assert len(reader.body) <= KEEP_BODY


@pytest.mark.parametrize(
    ("start", "more", "bound"),
    [
        (b"HTTP/1.1 200 ", b"x" * 1000, HEAD),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000, HEAD),
        (b"HTTP/1.1 200 OK\r\nX", b"y" * 1000, HEAD),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", HEAD),
        (b"", INTERIM[0], HEAD),
        (b"", INTERIM[1], HEAD),
        (b"HTTP/1.1 150 Odd\r\nContent-Length: 1000000000\r\n\r\n", b"x" * 1000, HEAD),
        (LONG, b"x" * 1000, len(LONG) + READ_BODY),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", 19 + READ_BODY),
        (CHUNKED, b"1\r\nx\r\n", FRAMING),
        (CHUNKED + b"1;x=", b"y" * 1000, FRAMING),
        (CHUNKED + b"0\r\nX: ", b"y" * 1000, FRAMING),
        (CHUNKED + b"0\r\n", b"X: y\r\n", FRAMING),
    ],
)
def test_nothing_endless_is_read_for_long(start: bytes, more: bytes, bound: int) -> None:
    reader, taken = AnswerReader(), 0
    for piece in chain([start], repeat(more)):
        taken += len(piece)
        try:
            if reader.feed(piece):
                break
        except NotHttp:
            break
        assert taken <= bound
    assert not reader.keep_alive


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", b"short"),
        (CHUNKED + b"2\r\nok\r\nZZ\r\nbroken", b"ok"),
        (CHUNKED + b"nonsense", b""),
        (CHUNKED + b"5\r\nhel", b"hel"),
        (CHUNKED + b"2\r\nokay\r\n", b"ok"),
        (CHUNKED + b"ffffffffffffffffff\r\n", b""),
    ],
)
def test_a_body_that_breaks_or_stops_is_cut_there(raw: bytes, body: bytes) -> None:
    for pieces in ([raw], [raw[:60], raw[60:]], [bytes([byte]) for byte in raw]):
        answer = read(AnswerReader(), pieces)
        assert (answer.status, answer.body, answer.truncated, answer.keep_alive) == (200, body, True, False)
