"""``hookline verify``: check a signature by hand."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hookline.cli.common import Mistake, mistakes
from hookline.rules import signing
from hookline.rules.times import parse_time


def verify(
    body: Annotated[
        Path | None,
        typer.Argument(metavar="[BODY]", help="File with the body, byte for byte; - for standard input."),
    ] = None,
    key: Annotated[str, typer.Option(metavar="KEY", help="whsec_… or whpk_…, or @file.")] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(metavar='"NAME: VALUE"', help="A header that came; repeat it for others."),
    ] = None,
    headers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the headers, as lines or as a JSON object.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it came, in RFC 3339; without it, its age is not judged."),
    ] = None,
) -> int:
    """Check the signature of a webhook that came, and say what is wrong with it. Exit code 1 when it is not good."""
    if not key:
        raise Mistake("give the secret (whsec_…) or the public key (whpk_…) with --key")
    with mistakes():
        text = Path(key[1:]).read_text().strip() if key.startswith("@") else key
        found = _lines(headers.read_text(), str(headers)) if headers is not None else {}
        for line in header or ():
            found |= _lines(line, "--header")
        raw = sys.stdin.buffer.read() if body is None or str(body) == "-" else body.read_bytes()
        signed = found.get("webhook-timestamp", "")
        now = parse_time(at) / 1e6 if at is not None else _seconds(signed)
        try:
            signing.verify(text, found, raw, now)
        except signing.SignatureError as error:
            print(f"NOT valid: {error}")
            return 1
    print(f"valid: {found['webhook-id']}, signed {_age(int(signed))}")
    return 0


def _lines(text: str, where: str) -> dict[str, str]:
    """Headers by their names in lower case: of lines such as curl's, or of the JSON of an attempt."""
    if text.lstrip().startswith("{"):
        try:
            read = json.loads(text)
        except ValueError as error:
            raise Mistake(f"{where}: this is not JSON: {error}") from None
        return {name.lower(): str(value) for name, value in read.items()}
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip():
            found[name.strip().lower()] = value.strip()
    return found


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 15 else time.time()


def _age(signed: int) -> str:
    seconds = int(time.time()) - signed
    said = f"{seconds} s ago" if seconds >= 0 else f"{-seconds} s in the future"
    return (
        said
        if abs(seconds) <= signing.TOLERANCE
        else f"{said}; libraries refuse what is {signing.TOLERANCE} s off"
    )
