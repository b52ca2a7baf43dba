"""``hookline verify``: a signature checked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hookline.rules import signing
from support.commands import Ran

Typed = Callable[..., Ran]
SECRET = signing.new_secret(bytes(range(24)))
PAIR = signing.new_private_key(bytes(range(32)))
BODY = b'{"type": "order.paid", "p": 1.10}\n'
SIGNED = 1_760_000_000
AT = "2025-10-09T08:53:20Z"


@pytest.fixture
def came(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A body in a file, and the headers that it came with."""
    body = tmp_path / "body.json"
    body.write_bytes(BODY)
    return body, {
        "Webhook-Id": "evt_1",
        "webhook-timestamp": str(SIGNED),
        "webhook-signature": signing.sign([SECRET, PAIR], "evt_1", SIGNED, BODY),
    }


@pytest.mark.parametrize("key", [SECRET, signing.public_key(PAIR)])
@pytest.mark.parametrize("shape", ["flags", "lines", "json"])
def test_a_good_signature(
    typed: Typed, tmp_path: Path, came: tuple[Path, dict[str, str]], key: str, shape: str
) -> None:
    body, headers = came
    lines = [f"{name}: {value}" for name, value in headers.items()]
    file = tmp_path / "headers"
    given = ["--headers", str(file)]
    if shape == "flags":
        given = [part for line in lines for part in ("--header", line)]
    elif shape == "lines":
        file.write_text("POST /hooks HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n")
    else:
        file.write_text(json.dumps(headers))
    ran = typed("verify", str(body), "--key", key, *given)
    assert ran.code == 0 and ran.out.startswith("valid: evt_1, signed "), ran
    named = tmp_path / "key"
    named.write_text(key + "\n")
    assert typed("verify", str(body), "--key", f"@{named}", *given, "--at", AT).code == 0


def test_what_is_wrong_is_said(typed: Typed, tmp_path: Path, came: tuple[Path, dict[str, str]]) -> None:
    body, headers = came
    file = tmp_path / "headers"
    file.write_text(json.dumps(headers))
    given = ("verify", str(body), "--headers", str(file))
    wrong = typed(*given, "--key", signing.new_secret(bytes(24)))
    assert (wrong.code, wrong.out) == (
        1,
        "NOT valid: no v1 signature matches: another key, or an altered body\n",
    )
    late = typed(*given, "--key", SECRET, "--at", "2025-10-09T09:53:20Z")
    assert late.code == 1 and "3600 s ago" in late.out
    body.write_bytes(BODY.strip())
    assert typed(*given, "--key", SECRET).code == 1
    file.write_text("{}")
    assert "webhook-id is missing" in typed(*given, "--key", SECRET).out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--key"),
        (("--key", "s3cret"), "whsec_"),
        (("--key", "whpk_AAAA"), "32 bytes"),
        (("--key", SECRET, "--at", "yesterday"), "RFC 3339"),
        (("--key", "@/nowhere/key"), "/nowhere/key"),
        (("--key", SECRET, "--headers", "/nowhere/headers"), "/nowhere/headers"),
    ],
)
def test_mistakes(
    typed: Typed, came: tuple[Path, dict[str, str]], arguments: tuple[str, ...], named: str
) -> None:
    body, headers = came
    lines = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
    assert named in typed("verify", str(body), *lines, *arguments).mistake
