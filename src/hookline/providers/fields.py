"""Reading what providers send: bodies, and the fields of a report, of which nothing is taken for granted.

What is not as expected is ``None``, so that a report is understood as far as it can be; a body that is no
JSON, or not of the right shape altogether, is a ValueError in words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from hookline.model import SECOND
from hookline.rules import cel, machines, payload
from hookline.rules.bounces import Reason, classify
from hookline.rules.ids import is_id
from hookline.rules.times import parse_time

LAST_SECOND = 253_402_300_799  # of the year 9999
LONGEST_ADDRESS = 320  # characters: 64, @, 255 (RFC 5321, 4.5.3.1)
LONGEST_TIME = 40  # characters
LONGEST_TEXT = 4000  # characters of what a server said
MOST_FIELDS = 1000  # of a form
MOST_EVENTS = 10_000  # of a call
MOST_COMMAS = 1_000_000  # of a body: each stands between values that take many times its memory
MAYBE_DEAD = ("user_unknown", "host_unknown", "mailbox_inactive", "other")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)
_CODE = re.compile(r"(?<![\d.])([245]\d\d)(?=[ -]|$)", re.ASCII)
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
_ADDRESS = re.compile(r"[^<>]*<([^<>]+)>\s*")


def split(body: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """The objects of a JSON array, or the one object, each as it came and as values with exact numbers.

    ValueError for anything else.
    """
    pieces: list[msgspec.Raw]
    if body.count(b",") > MOST_COMMAS:
        raise ValueError("there is too much in the body")
    try:
        if body.lstrip()[:1] == b"[":
            pieces = msgspec.json.decode(body, type=list[msgspec.Raw])
        else:
            pieces = [msgspec.json.decode(body, type=msgspec.Raw)]
        if len(pieces) <= MOST_EVENTS:
            values = [cel.from_json(bytes(piece)) for piece in pieces]
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if len(pieces) > MOST_EVENTS:
        raise ValueError(f"more than {MOST_EVENTS} events come at once")
    found: list[tuple[bytes, dict[str, Any]]] = []
    for place, (piece, value) in enumerate(zip(pieces, values, strict=True)):
        if not isinstance(value, dict):
            raise ValueError(f"event {place} is not a JSON object")
        try:
            payload.check_depth(bytes(piece), value)
        except ValueError as error:
            raise ValueError(f"event {place}: {error}") from None
        found.append((bytes(piece), value))
    return found


def member(body: bytes, name: str) -> bytes:
    """What stands under ``name`` in a JSON object that was read before, as it came."""
    return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[name])


def digest(value: object) -> str:
    """An id for an event that has none: the same for the same event, however its JSON is spelled."""
    return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:32]


def digest_raw(raw: bytes) -> str:
    """The same for JSON as it came; of what is no JSON, its bytes count."""
    try:
        return digest(cel.from_json(raw))
    except ValueError:
        return sha256(raw).hexdigest()[:32]


def form(body: bytes) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded); ValueError for what is none."""
    return dict(form_pairs(body))


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The same in their order, with names that come more than once."""
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MOST_FIELDS
        )
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"the body is no form: {error}") from None


def unknown(provider: str, name: object) -> str:
    """The type of an event whose name we do not know."""
    fits = isinstance(name, str) and _NAME.fullmatch(name)
    return f"{provider}.{name}" if fits else f"{provider}.unknown"


def text(value: object) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def address(value: object) -> str | None:
    """What may be an address, alone or behind a name."""
    found = text(value)
    if found and len(found) <= LONGEST_TEXT and (named := _ADDRESS.fullmatch(found)):
        found = named[1].strip()
    return found if found and len(found) <= LONGEST_ADDRESS and found.isprintable() else None


def message_id(*values: object) -> str | None:
    """The first of these that names a message of ours: its id, or the Message-ID ``<dlv_…@…>`` of its mail."""
    for value in values:
        if isinstance(value, str):
            name = value.strip().removeprefix("<").partition("@")[0]
            if is_id(name, "dlv"):
                return name
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """A JSON object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def integer(value: object) -> int | None:
    """A whole number, or the text of one."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(value: object) -> list[str] | None:
    """A text, or those of an array; ``None`` where there is none."""
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str) and one] or None


def plain(value: object, *without: str) -> dict[str, Any] | None:
    """The texts, numbers and truths of a JSON object, without some; ``None`` where there is none."""
    if not isinstance(value, dict):
        return None
    kept = {
        name: str(one) if isinstance(one, Decimal) else one
        for name, one in value.items()
        if name not in without and isinstance(one, str | int | Decimal)
    }
    return kept or None


def moment(value: object, unit: int = SECOND) -> int | None:
    """Microseconds of a time in ``unit`` since 1970: a number, with a fraction or not, or the text of one."""
    if isinstance(value, str):
        try:
            value = cel.from_json(value.encode()) if len(value) <= LONGEST_TIME else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if not 0 <= value <= LAST_SECOND * SECOND // unit:
        return None
    return int(value * unit)


def iso(value: object) -> int | None:
    """Microseconds of a time as ISO 8601 has it, more or less; one without a zone is UTC."""
    if not isinstance(value, str) or len(value) > LONGEST_TIME:
        return None
    found = re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", value.strip())  # Amazon's examples have a space there
    if re.search(r"[T ].*[+-]\d\d$", found):
        found += ":00"
    elif zone := re.search(r"[T ].*[+-]\d\d(\d\d)$", found):
        found = f"{found[: zone.start(1)]}:{zone[1]}"
    elif re.search(r":\d\d(\.\d+)?$", found) and not re.search(r"[T ].*[+-]", found):
        found += "Z"
    try:
        return parse_time(found)
    except ValueError:
        return None


def told(**facts: object) -> dict[str, Any]:
    """Those that are known."""
    return {name: value for name, value in facts.items() if value is not None}


def by_machine(kind: str, user_agent: str | None, reason: str | None = None) -> dict[str, Any]:
    """``machine`` and ``machine_reason`` of an ``email.opened`` or ``email.clicked``; nothing for other types.

    ``reason`` is given where the provider itself says that it was a machine, which then counts. No agent in
    a report says nothing about who it was.
    """
    if kind not in ("email.opened", "email.clicked"):
        return {}
    if user_agent:
        judge = machines.classify_open if kind == "email.opened" else machines.classify_click
        machine, why = judge(user_agent)
        if machine:
            return {"machine": True, "machine_reason": why}
    return {"machine": reason is not None, "machine_reason": reason}


def answer(words: object, code: object = None, enhanced: object = None) -> dict[str, Any]:
    """``smtp_code``, ``enhanced_code`` and ``detail`` of what a server said; codes that are not given apart are
    looked for in its words."""
    said = (text(words) or "")[:LONGEST_TEXT]
    number = integer(code)
    if number is None or not 200 <= number <= 599:
        found = _CODE.search(said[:80])
        number = int(found[1]) if found else None
    exact = _ENHANCED.search((text(enhanced) or "")[:80]) or _ENHANCED.search(said)
    return told(smtp_code=number, enhanced_code=exact[1] if exact else None, detail=said or None)


def verdict(facts: Mapping[str, Any]) -> tuple[Reason, bool]:
    """The reason, and whether it is hard, as our own rules see the answer of ``answer``."""
    return classify(
        facts.get("smtp_code"), facts.get("enhanced_code"), facts.get("detail") or "", stage="report"
    )


def bounce(facts: Mapping[str, Any], classified: str | None, hard: bool | None) -> dict[str, Any]:
    """``reason`` and ``hard`` of a mail that came back, from the answer and what the provider made of it.

    The words of the other server tell most; where they leave it open, the provider's ``classified`` does.
    ``hard`` is its word for whether the address is dead, ``None`` where it has none. It counts, unless the reason
    is one that living addresses have, too: a full mailbox, a policy, a sender of ill repute.
    """
    found, dead = verdict(facts)
    reason = classified or found if found == "other" else found
    return {"reason": reason, "hard": reason in MAYBE_DEAD and (dead if hard is None else hard)}
