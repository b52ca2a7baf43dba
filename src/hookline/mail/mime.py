"""MIME by hand: header values and text parts as bytes that any server takes.

RFC 5322 (headers, folding), RFC 2045 and 2046 (parts), RFC 2047 (words that are not ASCII). Lines stay
within 998 characters, and nothing in a value can begin a header of its own.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode, encodebytes

MAX_LINE = 998
_FOLD = "\r\n "
BOUNDARY = "=_hookline"  # cannot stand in quoted-printable or base64, nor in what _is_7bit lets through

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN_HEADER = re.compile(r"[ -~]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ADDRESS = re.compile(r"[!-;=?-~]{1,250}@[!-;=?-~]{1,255}")
_WORD_BYTES = 39  # of UTF-8 in an encoded word: with "Subject: " a line of 73 characters
_ASCII = bytes(range(128))
_PRINTABLE = b"\t\r\n" + bytes(range(32, 127))


def clean(text: str) -> str:
    """A header's value in one line: line breaks and control characters become spaces."""
    return _CONTROL.sub(" ", text).strip(" ").encode(errors="replace").decode()


def header(name: str, text: str) -> str:
    """A header of free text with its line ending; folded, and encoded where it is not plain ASCII."""
    text = clean(text)
    if _PLAIN_HEADER.fullmatch(text) and "=?" not in text:
        pieces = re.findall(r" *[^ ]+", text)
        if all(len(piece) < 900 for piece in pieces):
            return f"{name}: {_fold(pieces, len(name) + 2)}\r\n"
    return f"{name}: {_encoded(text)}\r\n"


def raw_header(name: str, value: str) -> str:
    """A header whose value has a syntax of its own, as it is; ``ValueError`` if it does not fit in a line."""
    if not _PLAIN_HEADER.fullmatch(value) or len(name) + 2 + len(value) > MAX_LINE:
        raise ValueError(f"the header {name} is not plain ASCII, or too long")
    return f"{name}: {value}\r\n"


def mailbox_header(name: str, display: str, address: str) -> str:
    """A header with one mailbox; ``address`` as ``rules.addresses.parse_address`` gives it."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"not an address for the header {name}")
    display = clean(display)
    if not display:
        return f"{name}: {address}\r\n"
    if "=?" in display or not _PLAIN_HEADER.fullmatch(display) or len(display) > 60:
        display = _encoded(display)
    elif not _ATOMS.fullmatch(display):
        display = '"' + re.sub(r'(["\\])', r"\\\1", display) + '"'
    short = len(name) + len(display) + len(address) < 72
    return f"{name}: {display}{' ' if short else _FOLD}<{address}>\r\n"


def text_part(subtype: str, text: str) -> bytes:
    """A part's headers and content, without the line break at its end."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    data = unix.replace("\n", "\r\n").encode(errors="replace")
    if _is_7bit(data):
        encoding, content = "7bit", data
    elif 4 * len(data.translate(None, _ASCII)) < len(data):  # readable, and not much longer than base64
        # With a line break behind it, for that is where binascii sees which kind of break is meant.
        encoding, content = "quoted-printable", binascii.b2a_qp(data + b"\r\n")[:-2]
    else:
        encoding, content = "base64", encodebytes(data).rstrip(b"\n").replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + content


def _is_7bit(data: bytes) -> bool:
    if data.translate(None, _PRINTABLE) or b"--=_" in data:
        return False
    return max(map(len, data.split(b"\r\n"))) <= MAX_LINE


def alternative(parts: list[bytes]) -> bytes:
    """A ``multipart/alternative`` of these parts, the plainest first: headers and content."""
    head = f'Content-Type: multipart/alternative; boundary="{BOUNDARY}"\r\n\r\n'.encode()
    delimiter = f"--{BOUNDARY}".encode()
    return head + b"".join(b"%b\r\n%b\r\n" % (delimiter, part) for part in parts) + delimiter + b"--"


def _fold(pieces: list[str], used: int) -> str:
    """Lines of at most 76 characters where the spaces allow it (RFC 5322, 2.2.3)."""
    folded = ""
    for piece in pieces:
        if used + len(piece) > 76 and folded:
            folded, used = folded + "\r\n", 0
        folded, used = folded + piece, used + len(piece)
    return folded


def _encoded(text: str) -> str:
    """RFC 2047 words in base64, each of whole characters, on lines of their own."""
    words, chunk = [], b""
    for character in text:
        encoded = character.encode()
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    return _FOLD.join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in [*words, chunk])
