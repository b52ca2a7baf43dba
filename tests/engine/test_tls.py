"""A hook's own certificates, against real TLS: the address is ours to check, the name is TLS's to verify."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hookline.actions import compile_hook
from hookline.actions.work import Invalid
from support.certificates import Authority
from support.engine import Engine, running
from support.rawserver import OK, resolving, serving

HOST = "shop.example"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("ours")


@pytest.fixture
async def pinned(tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine for which every name leads to loopback."""
    resolve, _ = resolving(["127.0.0.1"])
    async with running(tmp_path / "hookline.db", resolver=resolve) as engine:
        yield engine


def to(port: int, host: str = HOST, **more: Any) -> dict[str, Any]:
    return {"on": ["*"], "do": {"kind": "webhook", "url": f"https://{host}:{port}/hooks"} | more}


async def outcomes(engine: Engine) -> list[tuple[str, str | None]]:
    await engine.publish("order.paid")
    await engine.run()
    return [(delivery.state, delivery.error) for delivery in await engine.deliveries()]


async def test_a_receiver_with_a_certificate_of_its_own_authority(
    pinned: Engine, authority: Authority
) -> None:
    asked: list[str | None] = []
    tls = authority.context(HOST)
    tls.sni_callback = lambda _sock, name, _context: asked.append(name)
    async with serving(OK, tls=tls) as server:
        await pinned.hook(to(server.port, ca=Authority("another").pem + authority.pem))
        assert await outcomes(pinned) == [("succeeded", None)]
    assert asked == [HOST]
    assert f"\r\nHost: {HOST}:{server.port}\r\n".encode() in server.requests[0]


@pytest.mark.parametrize("which", ["none", "another", "another name"])
async def test_nobody_else_is_believed(pinned: Engine, authority: Authority, which: str) -> None:
    ca = {"none": None, "another": Authority("another").pem}.get(which, authority.pem)
    host = "other.example" if which == "another name" else HOST
    async with serving(OK, tls=authority.context(HOST)) as server:
        await pinned.hook(to(server.port, host, **({"ca": ca} if ca else {})))
        assert await outcomes(pinned) == [("waiting", "tls")]
    assert server.requests == []


async def test_the_certificates_of_one_hook_are_not_the_others(pinned: Engine, authority: Authority) -> None:
    async with serving(OK, tls=authority.context(HOST)) as server:
        await pinned.hook(to(server.port, ca=authority.pem))
        await pinned.hook(to(server.port))
        assert sorted(await outcomes(pinned)) == [("succeeded", None), ("waiting", "tls")]


async def test_a_text_that_holds_more_than_certificates_or_less(pinned: Engine, authority: Authority) -> None:
    half = authority.pem[: len(authority.pem) // 2]
    for ca in (
        "",
        half,
        authority.pem + half,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ):
        hook = await pinned.hook(to(443, ca=ca))
        with pytest.raises(Invalid, match="/do/ca"):
            compile_hook(hook)
    compile_hook(
        await pinned.hook(to(443, ca="a note of whose it is\n" + authority.pem + "\n\n" + authority.pem))
    )
