"""What the general sources share: a body becomes an event whose ``data`` are its bytes as they came.

A form becomes a JSON object, names that come more than once with an array. Types are the sender's names: behind
the kind where the sender is known (``github.push``), else alone; but never one of Hookline's own, so that nobody
forges an open: those get the kind in front (``standard.email.opened``).
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from hookline.providers import fields
from hookline.providers.parsed import Incoming, ParsedEvent
from hookline.rules import cel, payload
from hookline.rules.matching import is_reserved

FORM = "application/x-www-form-urlencoded"
LONGEST_NAME = 150  # characters of a type: with the kind in front, a type has at most 200
LONGEST_SUBJECT = 512
LONGEST_ID = 200


class Body(Struct, frozen=True):
    """A body as JSON: its bytes, and what they mean, with exact numbers.

    ``envelope`` are the CloudEvents attributes of one that came as something else.
    """

    raw: bytes
    value: Any
    envelope: bytes | None = None

    @property
    def mark(self) -> bytes:
        """What tells it from another."""
        return self.raw or self.envelope or b""


def media_type(call: Incoming) -> str:
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def looks_json(raw: bytes) -> bool:
    """Whether a body is meant as an object or an array of JSON, well-formed or not."""
    return raw.lstrip()[:1] in (b"{", b"[")


def is_form(call: Incoming) -> bool:
    """Whether the body is a form; JSON is none, though programs such as curl say so of any body."""
    return media_type(call) == FORM and not looks_json(call.body)


def read(call: Incoming) -> Body:
    """The body of a call: JSON, a form, or anything else, of which a text is a JSON string.

    ValueError, in words, for JSON that is broken, and for a form in parts.
    """
    if media_type(call).startswith("multipart/"):
        raise ValueError(f"send JSON, or a form as {FORM}")
    try:
        return _read_form(call.body) if is_form(call) else read_json(call.body)
    except ValueError:
        if looks_json(call.body):
            raise
        return _as_it_is(call)


def read_as_sent(call: Incoming) -> Body:
    """The same for a sender of JSON and of forms alone, whatever the call says that it is."""
    if not looks_json(call.body):
        call = msgspec.structs.replace(call, headers={**call.headers, "content-type": FORM})
    return read(call)


def _read_form(raw: bytes) -> Body:
    found: dict[str, Any] = {}
    for name, text in fields.form_pairs(raw):
        if name in found:
            before = found[name]
            found[name] = [*before, text] if isinstance(before, list) else [before, text]
        else:
            found[name] = text
    return Body(msgspec.json.encode(found), found)


def _as_it_is(call: Incoming) -> Body:
    """What is neither JSON nor a form: a text as a JSON string, other bytes as CloudEvents has them."""
    about = {"datacontenttype": call.headers.get("content-type", "").strip()[:200] or "text/plain"}
    try:
        text = call.body.decode()
        if "\0" not in text:
            return Body(msgspec.json.encode(text), text, msgspec.json.encode(about))
    except UnicodeDecodeError:
        pass
    about["data_base64"] = b64encode(call.body).decode()
    return Body(b"", None, msgspec.json.encode(about))


def read_json(raw: bytes) -> Body:
    """The same for what is JSON in any case."""
    if raw.count(b",") > fields.MOST_COMMAS:
        raise ValueError("there is too much in the body")
    try:
        value = cel.from_json(raw)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    payload.check_depth(raw, value)
    return Body(raw, value)


def under(kind: str, name: object) -> str:
    """The type of an event of a sender whose names are its own: ``github.push``."""
    return f"{kind}.{_clean(name) or 'event'}"


def free(kind: str, name: object) -> str:
    """The type of an event of a sender that may name it as he likes, but for what Hookline alone may say."""
    found = _clean(name)
    return under(kind, name) if not found or is_reserved(found) else found


def _clean(name: object) -> str:
    if not isinstance(name, str):
        return ""
    fit = (sign if sign.isprintable() and sign not in " *" else "_" for sign in name.strip()[:LONGEST_NAME])
    return "".join(fit).strip(".")


def at(value: Any, path: str) -> Any:
    """What is at a dotted path of names and indexes; ``None`` where there is nothing."""
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdecimal() and int(step[:9]) < len(value):
            value = value[int(step[:9])]
        else:
            return None
    return value


def first(value: Any, *paths: str) -> str | None:
    """The first of these paths where there is a text or a whole number, as a text."""
    for path in paths:
        found = at(value, path)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if isinstance(found, str) and found.strip():
            return found.strip()
    return None


def identity(given: str | None, *parts: str | bytes) -> str:
    """The sender's own id where it can be kept as it is; else a digest of it and of ``parts``."""
    if given and len(given) <= LONGEST_ID and given.isascii() and given.isprintable():
        return given
    whole = sha256()
    for part in (given or "", *parts):
        raw = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        whole.update(b"%d:" % len(raw) + raw)
    return whole.hexdigest()[:32]


def event(type: str, body: Body, id: str, subject: str | None = None, time: int | None = None) -> ParsedEvent:
    """The event of a call; a subject that no database or header could hold is none."""
    fits = subject is not None and 0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()
    return ParsedEvent(
        type=type,
        raw=body.raw,
        id=id,
        time=time,
        known=True,
        subject=subject if fits else None,
        envelope=body.envelope,
    )
