"""Small pages that load nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from hookline.cli.asgi import Send, respond

STYLE = """
:root { color-scheme: light dark; --line: #8884; --quiet: #8889; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table.headers td:first-child { white-space: nowrap; }
nav a { margin-right: 1rem; } h1 { margin: .5rem 0; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .25rem; }
small { color: var(--quiet); font-weight: normal; } .good { color: #1a7f37; } .bad { color: #cf222e; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--quiet); font-weight: 500; }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
pre { padding: .75rem; border: 1px solid var(--line); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85rem; }
iframe { width: 100%; height: 32rem; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
"""
# Images of our own alone, so that a mail's pixel counts and nobody else is told.
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


def page(title: str, body: str, *, back: str | None = None, refresh: bool = False) -> bytes:
    """A whole page; ``body`` is HTML."""
    again = '<meta http-equiv="refresh" content="5">' if refresh else ""
    links = (
        f'<a href="{back}">← back</a>'
        if back
        else '<a href="/dev/mail">Mail</a><a href="/dev/inbox">Inbox</a>'
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)} · Hookline</title><style>{STYLE}</style></head>"
        f"<body><nav>{links}</nav><h1>{escape(title)}</h1>{body}</body></html>"
    ).encode("utf-8", "replace")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], none: str, kind: str = "") -> str:
    """A table of cells that are HTML; ``kind`` is its class."""
    if not rows:
        return f"<p>{escape(none)}</p>"
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    lines = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{head}</tr>{"".join(lines)}</table>'


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


async def answer(send: Send, status: int, body: bytes = b"") -> None:
    await respond(send, status, HEADERS, body)
