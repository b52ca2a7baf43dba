"""In words: what a delivery that is due waits for."""

from __future__ import annotations

from hookline.dispatch.standing import Wait
from hookline.rules.times import format_time


def in_words(wait: Wait) -> str:
    at = "" if wait.until is None else format_time(wait.until)
    match wait.reason:
        case "asked":
            return f"the receiver asked for patience until {at}"
        case "ill":
            return f"the receiver is failing; it is tried again at {at}"
        case "probing":
            return "the receiver was failing; one delivery at a time tries whether it still is"
        case "rate":
            return f"the hook's rate allows the next at {at}"
        case "concurrency":
            return "as many of the hook are under way as its concurrency allows"
