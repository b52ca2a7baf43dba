"""The addresses that answers come to: short, of one case, and ours alone."""

from __future__ import annotations

from hookline.rules import mail_tokens
from hookline.rules.ids import new_id


def test_a_token_survives_what_servers_do_to_addresses() -> None:
    key, message = bytes(32), new_id("dlv")
    local = mail_tokens.make_local(key, "b", "default", message)
    assert local is not None and len(local) <= 64
    for seen in (local, local.upper(), f"prvs=1234abcd={local}", f"SRS0=ab=cd=in.shop.example={local}"):
        (found,) = mail_tokens.find_tokens(key, f"<{seen}@in.shop.example>")
        assert (found.purpose, found.tenant, found.message) == ("b", "default", message)
    assert list(mail_tokens.find_tokens(bytes(31) + b"x", local)) == []
    assert list(mail_tokens.find_tokens(key, "u" + local[1:])) == []
    for place in range(2, len(local)):
        changed = local[:place] + ("0" if local[place] != "0" else "1") + local[place + 1 :]
        assert not any(found.message != message for found in mail_tokens.find_tokens(key, changed))
    named = mail_tokens.make_local(key, "u", "twelve-bytes", message)
    assert named is not None and len(named) <= 64
    assert [found.tenant for found in mail_tokens.find_tokens(key, named)] == ["twelve-bytes"]
    assert mail_tokens.make_local(key, "b", "thirteen-byte", message) is None
    assert mail_tokens.make_local(key, "b", "default", "dlv_x") is None
