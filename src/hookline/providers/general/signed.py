"""Any sender that signs its calls with an HMAC: which header, which algorithm and what is signed are settings.

``template`` is what is signed: ``{body}``, with ``{timestamp}``, ``{id}`` and ``{url}`` where they belong to it. The
header may hold more than the signature (``t=1700000000,v1=5257…``): with a ``prefix`` its parts, which ``,``, ``;`` or
spaces separate, are looked through for those that begin so. Where a time is signed, what is older than ``tolerance``
is refused; where none is, the call itself, coming again, is a duplicate.
"""

from __future__ import annotations

import re

from hookline.model import SECOND
from hookline.providers import fields, proofs
from hookline.providers.general import naming
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.providers.provider import Credentials, NotSigned, Provider

NAME = "hmac"
ALGORITHMS = ("sha256", "sha1", "sha512")
ENCODINGS = ("hex", "base64")
PLACES = ("body", "timestamp", "id", "url")
MILLISECONDS = 100_000_000_000  # a time in seconds is smaller until the year 5138
SETTINGS = frozenset(
    {"algorithm", "encoding", "prefix", "timestamp_header", "timestamp_prefix", "template", "tolerance"}
    | naming.SETTINGS.keys()
)
_PLACE = re.compile(r"\{(\w*)\}")
_APART = re.compile(r"[,;\s]+")


def check(credentials: Credentials) -> None:
    for name, words in (("algorithm", ALGORITHMS), ("encoding", ENCODINGS)):
        if credentials.get(name, words[0]) not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}")
    places = _PLACE.findall(_template(credentials))
    unknown = [place for place in places if place not in PLACES]
    if unknown or "body" not in places:
        raise ValueError("template is made of {body}, {timestamp}, {id} and {url}, and has {body}")
    if ("timestamp" in places) != ("timestamp_header" in credentials):
        raise ValueError(
            "a timestamp_header and {timestamp} in the template go together: an unsigned time proves nothing"
        )
    if "id" in places and "id_header" not in credentials:
        raise ValueError("for {id} in the template, name the id_header")
    for name in ("timestamp_prefix", "tolerance"):
        if name in credentials and "timestamp_header" not in credentials:
            raise ValueError(f"{name} needs a timestamp_header")
    proofs.check_window(credentials)
    naming.check(credentials)


def _template(credentials: Credentials) -> str:
    return credentials.get("template") or (
        "{timestamp}.{body}" if "timestamp_header" in credentials else "{body}"
    )


def verify(call: Incoming, credentials: Credentials) -> None:
    stamp = _stamp(call, credentials)
    known = {
        "body": call.body,
        "timestamp": stamp.encode(),
        "id": call.headers.get(credentials.get("id_header", "").lower(), "").encode(),
        "url": call.url.encode(),
    }
    pieces = _PLACE.split(_template(credentials))  # texts and names of places, in turn
    signed = b"".join(known[piece] if odd % 2 else piece.encode() for odd, piece in enumerate(pieces))
    given = _parts(proofs.header(call, credentials["header"]), credentials.get("prefix", ""))
    encoding = credentials.get("encoding", "hex")
    if encoding == "base64":  # its other alphabet, and without the signs at its end
        given = [one.replace("-", "+").replace("_", "/").rstrip("=") for one in given]
        given = [one + "=" * (-len(one) % 4) for one in given]
    algorithm = credentials.get("algorithm", "sha256")
    proofs.verify_hmac(credentials["secret"], signed, given, algorithm=algorithm, encoding=encoding)
    if "timestamp_header" in credentials:
        proofs.check_age(call, _seconds(stamp), proofs.window(credentials))


def _parts(text: str, prefix: str) -> list[str]:
    """What stands behind the prefix, wherever it stands in the header."""
    if not prefix:
        return [text.strip()]
    found = [part.removeprefix(prefix) for part in _APART.split(text) if part.startswith(prefix)]
    if text.startswith(prefix):  # one that has such signs in it
        found.append(text.removeprefix(prefix))
    return found


def _stamp(call: Incoming, credentials: Credentials) -> str:
    """The time as it stands in its header, "" where none is asked for."""
    name = credentials.get("timestamp_header")
    if name is None:
        return ""
    found = _parts(proofs.header(call, name), credentials.get("timestamp_prefix", ""))
    if not found:
        raise NotSigned(f"the header {name} has no {credentials['timestamp_prefix']}")
    return found[0]


def _seconds(stamp: str) -> float:
    """Seconds since 1970, of seconds, of milliseconds, or of a time in ISO 8601."""
    if stamp.isascii() and stamp.isdigit() and len(stamp) <= 15:
        number = int(stamp)
        return number / 1000 if number >= MILLISECONDS else number
    time = fields.iso(stamp)
    if time is None:
        raise NotSigned("the time of the call is neither seconds, nor milliseconds, nor as ISO 8601 has it")
    return time / SECOND


def parse(call: Incoming, credentials: Credentials) -> list[ParsedEvent]:
    # Two calls of one body at two signed times are two; one that comes again is one.
    return [naming.event(NAME, call, credentials, _stamp(call, credentials))]


PROVIDER = Provider(
    name=NAME,
    credentials={
        "secret": "the secret that both sides know",
        "header": "the header that has the signature",
        "algorithm": "sha256 (without), sha1 or sha512",
        "encoding": "hex (without) or base64",
        "prefix": "what stands before the signature in its header, such as sha256=",
        "timestamp_header": "the header that has the time of the call, where that is signed as well",
        "timestamp_prefix": "what stands before the time in its header, such as t=",
        "template": "what is signed: {body} (without), with {timestamp}, {id}, {url}; with a time {timestamp}.{body}",
        "tolerance": "how old a call may be: 5m (without), or off: any age",
        **naming.SETTINGS,
    },
    optional=SETTINGS,
    shown=SETTINGS | {"header"},
    check=check,
    verify=verify,
    parse=parse,
)
