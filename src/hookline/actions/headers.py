"""Headers that users may add to what is sent for them, and those that they may not."""

from __future__ import annotations

from hookline.actions.work import Invalid

OURS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "hookline-delivery", "user-agent"})
# Connection-level headers (RFC 9110, section 7.6.1) and those that say how the body is to be read.
REFUSED = OURS | {
    "host", "content-length", "content-type", "connection", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect",
    "http2-settings",
}  # fmt: skip
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def check_header(pointer: str, name: str, value: str) -> None:
    """Raises Invalid for a header that could not be sent, or would replace one of ours."""
    if not name or not set(name.lower()) <= TOKEN:
        raise Invalid(pointer, f"{name!r} is not a header name")
    if name.lower() in REFUSED:
        raise Invalid(pointer, f"the header {name!r} is set by Hookline and cannot be replaced")
    if len(value) > 8192 or any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value):
        raise Invalid(pointer, f"the value of {name!r} has control characters or is too long")
    if not value.isascii():
        raise Invalid(pointer, f"the value of {name!r} has characters outside ASCII")
