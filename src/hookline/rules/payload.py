"""What may stand in an event's ``data``, so that nothing fails later on what was accepted: pure."""

from __future__ import annotations

from hookline.rules import cel

MAX_DEPTH = 64  # of arrays and objects; templates and conditions, which wrap it, can take some more


def check(raw: bytes) -> None:
    """ValueError, in words for the publisher, unless ``raw`` is JSON that conditions and templates can read."""
    try:
        value = cel.from_json(raw)
    except UnicodeDecodeError:
        raise ValueError("this is not UTF-8") from None
    check_depth(raw, value)


def check_depth(raw: bytes, value: object) -> None:
    """ValueError where the JSON text ``raw``, which means ``value``, is nested too deeply."""
    # Each level costs a bracket, so that few brackets spare the walk.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise ValueError(f"this is nested deeper than {MAX_DEPTH} arrays and objects")


def depth(value: object) -> int:
    """How many arrays and objects are around the innermost value."""
    level, found = [value], 0
    while inner := [one for one in level if isinstance(one, list | dict)]:
        found += 1
        level = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
    return found
