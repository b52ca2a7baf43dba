"""Ways in which providers prove that a call is theirs, shared by their modules.

All raise NotSigned with words that help to set a source up and never repeat a secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

from hookline.model import SECOND
from hookline.providers.parsed import Incoming
from hookline.providers.provider import Credentials, NotSigned
from hookline.rules.times import parse_duration

TOLERANCE = 300
"""Seconds that a clock may be off, and that a call may be old where each try is signed anew: what Stripe, Slack and
Standard Webhooks advise. Where a retry is signed as the first try was, hours or days before (SendGrid, Mailgun,
Amazon SNS), a call may have any age, as in these providers' own libraries."""
WINDOW = {"tolerance": "how old a call may be, such as 5m or 14d, or off: any age"}
"""The setting of the providers that sign a time."""

BASIC = 'Basic realm="Hookline", charset="UTF-8"'
PLAIN = {
    "username": "a name of your choice, in the URL that you give the provider: https://username:password@…",
    "password": "the password in that URL",
    "token": "instead, a text of your choice that calls bring as `Authorization: Bearer …` or `X-Hookline-Token`",
}
"""The credentials of providers that do not sign."""


def need(credentials: Credentials, name: str) -> str:
    """A credential of a source that may have been made without; NotSigned while it is missing."""
    found = credentials.get(name)
    if not found:
        raise NotSigned(f"this source has no {name} yet: set it in its credentials")
    return found


def header(call: Incoming, name: str) -> str:
    """A header that a signed call has; ``name`` as the provider's documentation spells it."""
    found = call.headers.get(name.lower())
    if not found:
        raise NotSigned(f"the header {name} is missing: is signing switched on?")
    return found


def same(given: str | bytes, right: str | bytes) -> bool:
    """Whether two texts are the same, in constant time."""
    one, other = (text.encode() if isinstance(text, str) else text for text in (given, right))
    return hmac.compare_digest(one, other)


def require_basic(call: Incoming, username: str, password: str) -> None:
    """Basic auth (RFC 7617), in UTF-8."""
    scheme, _, encoded = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise NotSigned("there is no basic auth: put username:password@ into the URL that the provider has")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise NotSigned("the header Authorization is malformed") from None
    if not same(given, f"{username}:{password}"):
        raise NotSigned("the username or the password is wrong")


def check_basic(credentials: Credentials) -> None:
    """ValueError for a name that basic auth cannot carry."""
    if ":" in credentials.get("username", ""):
        raise ValueError("a name for basic auth has no colon")


def check_plain(credentials: Credentials) -> None:
    """ValueError unless there is a way to tell the calls of a provider that does not sign: see PLAIN."""
    check_basic(credentials)
    if ("username" in credentials) != ("password" in credentials):
        raise ValueError("a username and a password go together")
    if not credentials.keys() & {"username", "token"}:
        raise ValueError("give a username and a password, or a token")


def verify_plain(call: Incoming, credentials: Credentials) -> None:
    """Basic auth or the token, whichever the source has; either will do where it has both."""
    token = credentials.get("token")
    if token:
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        given = call.headers.get("x-hookline-token", "")
        if same(given, token) or (scheme.lower() == "bearer" and same(bearer.strip(), token)):
            return
    if not credentials.get("username"):
        raise NotSigned("the token is missing or wrong")
    require_basic(call, credentials["username"], credentials["password"])


def window(credentials: Credentials, usual: float | None = TOLERANCE) -> float | None:
    """How many seconds a call may be old, by the source's setting; ``None`` for any age. ValueError for no duration."""
    given = credentials.get("tolerance")
    if given is None:
        return usual
    if given in ("off", "0", "0s"):
        return None
    try:
        return parse_duration(given) / SECOND
    except ValueError as error:
        raise ValueError(f"tolerance: {error}; or off, for any age") from None


def check_window(credentials: Credentials) -> None:
    """ValueError for a ``tolerance`` that is none."""
    window(credentials)


def check_age(call: Incoming, seconds: float, oldest: float | None) -> None:
    """NotSigned for a call that was signed more than ``oldest`` seconds ago, or well after now; ``None``: any age."""
    age = call.now - seconds
    if oldest is not None and age > oldest:
        raise NotSigned(f"signed {age:.0f} s ago, more than {oldest:.0f} s are not accepted (tolerance)")
    if age < -TOLERANCE:
        raise NotSigned(f"signed {-age:.0f} s in the future: one of the clocks is wrong")


def unix(text: str, name: str) -> int:
    """Whole seconds since 1970, as the header or field ``name`` has them."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise NotSigned(f"{name} is not a whole number of seconds")
    return int(text)


def verify_hmac(
    secret: str | bytes,
    signed: bytes,
    given: str | Sequence[str],
    *,
    algorithm: str = "sha256",
    encoding: str = "hex",
) -> None:
    """NotSigned unless ``given``, or one of them, is the HMAC of ``signed``; ``encoding`` is ``hex`` or ``base64``."""
    key = secret.encode() if isinstance(secret, str) else secret
    mac = hmac.digest(key, signed, algorithm)
    right = mac.hex() if encoding == "hex" else base64.b64encode(mac).decode()
    found = [one.strip() for one in ([given] if isinstance(given, str) else given)]
    if not any([same(one.lower() if encoding == "hex" else one, right) for one in found]):  # noqa: C419 - always all
        raise NotSigned("the signature does not match: another secret, or an altered body")
