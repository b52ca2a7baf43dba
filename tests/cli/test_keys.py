"""``hookline keys``: the key is printed once, and nothing else that looks like one."""

from __future__ import annotations

import re
from collections.abc import Callable

from support.commands import CommandLine, Ran


def test_create_prints_the_key_and_nothing_else_that_begins_so(run: CommandLine) -> None:
    made = run("keys", "create", "--name", "shop", "--scope", "manage")
    assert made.code == 0
    assert re.fullmatch(r"hl_[\w-]{43}\n", made.out)
    assert "hl_" not in made.err


def test_list_shows_keys_without_their_text(typed: Callable[..., Ran]) -> None:
    typed("keys", "create", "--name", "first", "--scope", "read")
    typed("keys", "create", "--name", "second", "--scope", "publish")
    listed = typed("keys", "list")
    lines = listed.out.splitlines()
    assert [line.split()[-1] for line in lines] == ["NAME", "second", "first"]
    assert "publish" in lines[1] and "valid" in lines[1] and "read" in lines[2]
    assert "hl_" not in listed.out


def test_revoke_is_once(typed: Callable[..., Ran]) -> None:
    typed("keys", "create", "--name", "shop", "--scope", "manage")
    key = re.search(r"key_\w+", typed("keys", "list").out)
    assert key is not None
    assert typed("keys", "revoke", key[0]).code == 0
    assert "revoked" in typed("keys", "list").out
    assert key[0] in typed("keys", "revoke", key[0]).mistake


def test_what_is_secret_is_readable_by_its_owner_alone(run: CommandLine) -> None:
    run("keys", "create", "--name", "shop", "--scope", "manage")
    for name in ("secret.key", "hookline.db"):
        assert (run.home / name).stat().st_mode & 0o777 == 0o600
