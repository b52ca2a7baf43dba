"""Reading files of records: what Python's csv reads, and what it would choke on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.rules import records
from hookline.rules.records import MAX_RECORD, OtherFile, Reader, Record


def pieces(raw: bytes, size: int) -> Iterable[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


def read(raw: bytes, *, size: int = 1 << 16, reader: Reader | None = None) -> list[Record]:
    reader = reader or Reader("csv")
    found = [record for piece in pieces(raw, size) for record in reader.feed(piece)]
    found += reader.finish()
    assert reader.position == len(raw)
    return found


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r") | st.sampled_from('",;\n \t'), max_size=8
)


@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8),
    delimiter=st.sampled_from(",;\t"),
    ends=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    block=st.integers(1, 40),
    last_end=st.booleans(),
)
def test_what_csv_writes_is_read_as_csv_reads_it(
    *, rows: list[list[str]], delimiter: str, ends: str, quoting: Any, block: int, last_end: bool
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=ends, quoting=quoting).writerows(rows)
    text = file.getvalue()
    if not last_end and text:
        text = text.removesuffix(ends)
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)]
    found = read(text.encode(), reader=Small("csv", delimiter.encode()), size=block)
    assert [record.fault for record in found] == [None] * len(found)
    assert [[cell.decode() for cell in record.fields] for record in found] == expected


class Small(Reader):
    """Looks at every piece, however small."""

    def feed(self, data: bytes) -> Iterable[Record]:  # type: ignore[override]
        self._pending.append(data)
        yield from self._read(last=False)


@given(
    raw=st.binary(max_size=200) | st.text('a,";\n\r ', max_size=60).map(str.encode), block=st.integers(1, 50)
)
def test_any_bytes_are_read_the_same_however_they_arrive(raw: bytes, block: int) -> None:
    whole = read(raw, reader=Small("csv", b","), size=max(len(raw), 1))
    if b"\r" not in raw:  # which line ends a file has is seen from its beginning
        assert read(raw, reader=Small("csv", b","), size=block) == whole
    lines = [record.line for record in whole]
    assert lines == sorted(set(lines))


def faults(found: Sequence[Record]) -> list[tuple[int, str]]:
    return [(record.line, record.fault) for record in found if record.fault is not None]


def test_a_broken_quote_costs_its_line_and_not_the_rest() -> None:
    rows = [b"%d,name %d,x" % (n, n) for n in range(20_000)]
    rows[10] = b'10,"name 10,x'
    rows[500] = b'500,"Bob, Jr",x'
    rows[600] = b'600,"two\nlines",x'
    rows[700] = b'700,"stray" text,x'
    rows[900] = b'900,x,"'
    reader = Reader("csv")
    reader.width = 3
    found = read(b"\n".join(rows), reader=reader)
    assert [line for line, _ in faults(found)] == [11, 702, 902]
    assert len(found) == 20_000
    assert [record.fields for record in found if record.fields][-1] == [b"19999", b"name 19999", b"x"]
    assert found[-1].line == 20_001


def test_a_quote_that_nothing_closes_ends_within_bounds() -> None:
    raw = b'a,b\nx,"y\n' + b"1,2\n" * MAX_RECORD
    found = read(raw)
    assert faults(found) == [(2, "a quote is opened and not closed")]
    assert len(found) == 2 + MAX_RECORD


def test_a_line_that_is_too_long_is_passed_over_in_little_memory() -> None:
    reader = Reader("csv")
    most = 0
    found: list[Record] = []
    raw = b"a,b\n1,2\n" + b"x" * 10_000_000 + b'"\n3,4\n'
    for piece in pieces(raw, 65_536):
        found += reader.feed(piece)
        most = max(most, len(reader._buffer))
    found += reader.finish()
    assert faults(found) == [(3, f"the line is longer than {MAX_RECORD} bytes")]
    assert (found[-1].line, found[-1].fields) == (4, [b"3", b"4"])
    assert most < MAX_RECORD + 3 * 65_536
    assert reader.position == len(raw)
    assert [line for line, _ in faults(read(b"a\n" + b"x" * 1_000_000))] == [2]


def test_line_ends_and_empty_lines() -> None:
    assert [(r.line, r.fields) for r in read(b"\n\r\na;b\n" + b"\r\n\n" * 5000 + b"c;d")] == [
        (3, [b"a", b"b"]),
        (10_004, [b"c", b"d"]),
    ]
    assert [(r.line, r.fields) for r in read(b"a\r\n\r\nb\n\n\nc")] == [(1, [b"a"]), (3, [b"b"]), (6, [b"c"])]
    assert [r.fields for r in read(b'a,b\r1,"x\ry"\r3,4')] == [[b"a", b"b"], [b"1", b"x\ry"], [b"3", b"4"]]
    assert [r.fields for r in read(b'a , "b ""c""" ,d')] == [[b"a ", b'b "c"', b"d"]]


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [(b"email", b","), (b"a;b,c;d", b";"), (b"a\tb", b"\t"), (b'"a,b,c";d', b";"), (b"a,b", b",")],
)
def test_the_delimiter_is_found_out(line: bytes, delimiter: bytes) -> None:
    assert records.sniff(line) == delimiter


def test_reading_goes_on_where_it_was_and_only_in_the_same_file() -> None:
    raw = b"a,b\n" + b"".join(b'%d,"x\ny"\n' % n for n in range(30_000))
    first = Reader("csv")
    seen = []
    for record in first.feed(raw):
        seen.append(record)
        if len(seen) == 12_345:
            break
    again = Reader("csv")
    again.resume(first.position, first.line, first.digest)
    rest = read(raw, reader=again)
    assert seen + rest == read(raw)
    for other in (b"A" + raw[1:], raw[: first.position - 5]):
        again = Reader("csv")
        again.resume(first.position, first.line, first.digest)
        with pytest.raises(OtherFile):
            read(other, reader=again)


def test_lines_of_json_have_no_quotes_of_their_own() -> None:
    found = read(b'{"a":\n\n{"b": "x,y"}\r\n', reader=Reader("ndjson"))
    assert [(r.line, r.fields) for r in found] == [(1, [b'{"a":']), (3, [b'{"b": "x,y"}'])]
