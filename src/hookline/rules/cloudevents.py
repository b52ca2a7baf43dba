"""CloudEvents 1.0 as they come in: structured, batched and binary, by its JSON format and HTTP binding.

Attributes that an Event has no field for (``datacontenttype``, ``dataschema``, extensions) and
``data_base64`` are kept in ``envelope``, as a JSON object; ``actions.formats.cloudevent`` gives them out again.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from hookline.model import EventDraft
from hookline.rules.times import parse_time

OWN_FIELDS = frozenset({"specversion", "id", "source", "type", "subject", "time", "data"})
_NAME = re.compile(r"[a-z0-9]+", re.ASCII)
_JSON = re.compile(r"(?:application|text)/(?:[!#$&^_.a-z0-9-]+\+)?json", re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)")
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class Malformed(Exception):
    """An event that is none: the attribute (or header) at fault, and why."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name, self.detail = name, detail


def structured(raw: bytes) -> EventDraft:
    """One event in the JSON format. Raises Malformed, or msgspec.DecodeError for what is no JSON object."""
    fields = _object.decode(raw)
    data = bytes(fields.pop("data", b""))
    return _draft({name: _scalar(name, bytes(value)) for name, value in fields.items()}, data)


def split(raw: bytes) -> list[bytes]:
    """The events of a batch. Raises msgspec.DecodeError for what is no JSON array."""
    return [bytes(one) for one in _array.decode(raw)]


def binary(headers: Iterable[tuple[str, str]], content_type: str, body: bytes) -> EventDraft:
    """An event whose attributes are ``ce-`` headers (names in lower case) and whose data is the body."""
    fields: dict[str, Any] = {}
    for name, value in headers:
        if not name.startswith("ce-"):
            continue
        attribute = name[3:]
        if attribute in fields:
            raise Malformed(attribute, f"the header {name} comes twice")
        if attribute in ("data", "data_base64", "datacontenttype"):
            raise Malformed(attribute, "in binary mode the data is the body, and its type is Content-Type")
        fields[attribute] = _header(attribute, value)
    if content_type:
        fields["datacontenttype"] = content_type
    if body and not is_json(content_type):
        fields["data_base64"] = b64encode(body).decode()
        body = b""
    return _draft(fields, body)


def is_json(content_type: str) -> bool:
    """Whether data of this type is JSON; without a type it is."""
    media = content_type.partition(";")[0].strip().lower()
    return not media or _JSON.fullmatch(media) is not None


def _header(name: str, value: str) -> str:
    """A header's text: quotes first, then one round of percent-decoding (HTTP binding, section 3.1.3.2)."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise Malformed(name, "its percent-encoding is not UTF-8") from None


def _scalar(name: str, raw: bytes) -> str | int | bool | None:
    """An attribute's value in JSON; numbers are 32-bit integers."""
    value: object = msgspec.json.decode(raw)
    if isinstance(value, str | bool) or value is None:
        return value
    if isinstance(value, int) and -(2**31) <= value < 2**31:
        return value
    raise Malformed(name, "an attribute is a text, a boolean or an integer of 32 bits")


def _draft(fields: Mapping[str, str | int | bool | None], data: bytes) -> EventDraft:
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in fields:
        if name != "data_base64" and _NAME.fullmatch(name) is None:
            raise Malformed(name, "an attribute's name is lower-case letters and digits")
    if fields.get("specversion") != "1.0":
        raise Malformed("specversion", 'this has to be "1.0"')
    encoded = _text(fields, "data_base64")
    if encoded is not None:
        if data not in (b"", b"null"):
            raise Malformed("data_base64", "an event has data or data_base64, not both")
        data = b""
        _check_base64(encoded)
    for name in ("datacontenttype", "dataschema"):
        _text(fields, name)
    time = _text(fields, "time")
    envelope = {name: value for name, value in fields.items() if name not in OWN_FIELDS}
    return EventDraft(
        type=_required(fields, "type"),
        source=_required(fields, "source"),
        source_id=_required(fields, "id"),
        subject=_text(fields, "subject"),
        time=None if time is None else _time(time),
        data=data,
        envelope=msgspec.json.encode(envelope) if envelope else None,
    )


def _text(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is None or (isinstance(value, str) and (value or name == "data_base64")):
        return value
    raise Malformed(name, "this has to be a text that is not empty")


def _required(fields: Mapping[str, object], name: str) -> str:
    value = _text(fields, name)
    if value is None:
        raise Malformed(name, "this attribute is required")
    return value


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise Malformed("time", str(error)) from None


def _check_base64(text: str) -> None:
    try:
        b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        raise Malformed("data_base64", "this is not base64") from None
