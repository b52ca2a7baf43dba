"""Trying a connection: is the server there, and does it take the login?"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from hookline.actions import slack, sms
from hookline.actions.connected import header_of
from hookline.actions.work import USER_AGENT
from hookline.model import Connection
from hookline.net.http import Request, Response
from hookline.services import Services

TIMEOUT = 15.0
"""Seconds: in all of HTTP, for each step of SMTP."""


class ConnectionTrial(Struct, frozen=True, kw_only=True):
    """``stage`` is where it failed: ``connect``, ``tls``, ``auth``; or ``done``. ``status`` is the code of SMTP or HTTP
    where there was an answer, ``detail`` what the other side said, or what went wrong, in words."""

    ok: bool
    stage: Literal["connect", "tls", "auth", "done"]
    status: int | None
    detail: str


async def tried(services: Services, connection: Connection) -> ConnectionTrial:
    """Connect and log in; nothing is sent. Of an API that is nobody's in particular, its base URL is read: all but 401
    and 403 is then a welcome."""
    if connection.kind == "smtp":
        return await _smtp(services, connection)
    response = await services.http.send(_question(connection))
    status = response.status
    if status is None:
        stage: Literal["connect", "tls"] = "tls" if response.error == "tls" else "connect"
        return ConnectionTrial(ok=False, stage=stage, status=None, detail=response.detail)
    trouble = _trouble(connection, response)
    stage_reached: Literal["auth", "done"] = "done" if trouble is None else "auth"
    return ConnectionTrial(
        ok=trouble is None, stage=stage_reached, status=status, detail=trouble or f"it answered {status}"
    )


async def _smtp(services: Services, connection: Connection) -> ConnectionTrial:
    client = services.mailer.servers.client(connection, TIMEOUT)
    try:
        trouble = await client.check()
    finally:
        await client.close()
    if trouble is None:
        done = "logged in" if connection.credentials else "connected; there is no login to try"
        return ConnectionTrial(ok=True, stage="done", status=None, detail=done)
    known = trouble.stage if trouble.stage in ("connect", "tls", "auth") else "connect"
    return ConnectionTrial(ok=False, stage=known, status=trouble.code, detail=trouble.detail)


def _question(connection: Connection) -> Request:
    match connection.kind:
        case "slack":
            return slack.api_request(connection, "auth.test", {}, TIMEOUT)
        case "twilio":
            return sms.account_request(connection, "", TIMEOUT)
    headers = (("user-agent", USER_AGENT), header_of(connection))
    return Request(method="GET", url=connection.base_url or "", headers=headers, timeout=TIMEOUT)


def _trouble(connection: Connection, response: Response) -> str | None:
    """What the other side has against the login, if anything."""
    status = response.status or 0
    match connection.kind:
        case "slack":
            refusal = slack.refusal_of(response.body)
            return f"Slack: {refusal}" if refusal else None if status == 200 else f"Slack answered {status}"
        case "twilio":
            return None if status == 200 else sms.said_by(response)
    return f"it answered {status}" if status in (401, 403) else None
