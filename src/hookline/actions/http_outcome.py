"""What an HTTP answer means for a delivery, and how an exchange is written down. Shared by the HTTP kinds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from hookline.model import SECOND, AttemptError, Outcome
from hookline.net.http import Request, Response
from hookline.rules.times import from_datetime

KEPT_BODY = 16 * 1024
_encode = msgspec.json.Encoder().encode
_SECONDS = re.compile(r"\d+", re.ASCII)
LONGEST = 10**9  # seconds; what is longer is as long


class Asked(msgspec.Struct, frozen=True):
    """A request as it is written down."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it is written down; times are in milliseconds."""

    status: int | None
    headers: dict[str, str]
    body: str
    truncated: bool
    address: str | None
    connect_ms: float
    total_ms: float


def header(response: Response, name: str) -> str | None:
    """The first header of this name, which is in lower case."""
    return next((value for key, value in response.headers if key.lower() == name), None)


def retry_after(response: Response, now: int) -> int | None:
    """Microseconds that the receiver asks us to wait (RFC 9110, section 10.2.3: seconds or a date).

    A date is in any of HTTP's three formats, of which one does not say that it is in UTC (5.6.7). What is neither
    seconds nor a date asks for nothing.
    """
    text = (header(response, "retry-after") or "").strip()
    if _SECONDS.fullmatch(text):
        return (LONGEST if len(text.lstrip("0")) > 9 else int(text[-9:])) * SECOND
    try:
        moment = parsedate_to_datetime(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max(0, from_datetime(moment) - now)
    except (ValueError, OverflowError):
        return None


def judge(response: Response, now: int) -> Outcome:
    """Success is a 2xx and only that; everything else is tried again, except 410."""
    status = response.status
    if status is None:
        return Outcome(result="retry", error=response.error or "protocol", detail=response.detail)
    if 200 <= status < 300:
        return Outcome(result="ok", status=status)
    error: AttemptError = "http_status"
    detail = f"the receiver answered {status}"
    if status == 410:
        detail = "the receiver answered 410 Gone"
        return Outcome(result="permanent", error="gone", status=status, detail=detail, disable_hook=detail)
    if 300 <= status < 400:
        error, detail = "redirect", f"the receiver answered {status}; redirects are never followed"
    elif status == 429:
        error = "rate_limited"
    return Outcome(
        result="retry", error=error, status=status, detail=detail, retry_after=retry_after(response, now)
    )


def record(
    outcome: Outcome,
    request: Request,
    response: Response,
    *,
    hide: Collection[str] = (),
    url: str | None = None,
) -> Outcome:
    """The outcome with the exchange written down; headers named in ``hide`` and a masked ``url`` stay secret."""
    headers = (
        {k: "…" if k.lower() in hide else v for k, v in request.headers} if hide else dict(request.headers)
    )
    asked = Asked(request.method, url or request.url, headers, _readable(request.body))
    answered = Answered(
        status=response.status,
        headers=_joined(response.headers),
        body=_readable(response.body[:KEPT_BODY]),
        truncated=response.truncated,
        address=response.address,
        connect_ms=round(response.connect_ms, 3),
        total_ms=round(response.total_ms, 3),
    )
    return msgspec.structs.replace(outcome, request=_encode(asked), response=_encode(answered))


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; repeated ones are one list (RFC 9110, section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _readable(body: bytes) -> str:
    text = body.decode("utf-8", "replace") if body else ""
    return text.replace("\0", "\ufffd") if "\0" in text else text
