"""What hooks may reach, said when they are saved."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from hookline.settings import Settings
from support.client import Client, client_of

INSIDE = (
    "127.0.0.1", "127.1", "127.0.0.1.", "2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0", "localhost",
    "localhost.", "LOCALHOST", "deep.localhost", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254",
    "168.63.129.16", "100.64.0.1", "0.1.2.3", "255.255.255.255", "224.0.0.1", "240.0.0.1",
    "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[ff02::1]",
    "１２７.０.０.１", "127。0。0。1", "ⓛocalhost", "%6cocalhost", "user:password@shop.example", "shop.example:22",
    "shop.example:6379", "shop.example:25",
)  # fmt: skip


async def test_none_of_these_is_saved(tmp_path: Path) -> None:
    async with client_of(Settings(home=str(tmp_path), secret_key="00" * 32)) as api:
        for host in INSIDE:
            for kind in ("webhook", "slack"):
                written = {"on": ["*"], "do": {"kind": kind, "url": f"http://{host}/hooks"}}
                reply = await api.post("/v1/hooks", written)
                assert (reply.status, list(reply.faults)) == (422, ["#/do/url"]), host
        assert (await api.stored())[1] == 0
        made = await api.hook("https://shop.example/hooks")
        patched = await api.patch(f"/v1/hooks/{made['id']}", {"do": {"url": "http://10.0.0.1/"}})
        tried = await api.post(
            f"/v1/hooks/{made['id']}/test", {"to": "http://169.254.169.254/latest/meta-data/"}
        )
        assert (patched.status, list(patched.faults)) == (422, ["#/do/url"])
        assert (tried.status, list(tried.faults)) == (422, ["#/to"])


NAMES = {
    "inner.example": ["10.0.0.1", "::1"],
    "both.example": ["10.0.0.1", "93.184.216.34"],
    "own.example": ["127.0.0.1"],
}


async def resolve(host: str, _port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


async def test_a_name_that_leads_inside_is_not_saved(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), secret_key="00" * 32)
    async with client_of(settings, resolver=resolve) as api:
        for kind in ("webhook", "slack"):
            do = {"kind": kind, "url": "https://inner.example:8443/in"}
            reply = await api.post("/v1/hooks", {"on": ["*"], "do": do})
            assert (reply.status, list(reply.faults)) == (422, ["#/do/url"])
            assert "private" in reply.json["detail"] and "10.0.0.1" not in reply.json["detail"]
        made = [await api.hook(f"https://{host}.example/") for host in ("both", "unknown")]
        for hook in made:
            patched = await api.patch(f"/v1/hooks/{hook['id']}", {"do": {"url": "https://inner.example/"}})
            assert (patched.status, list(patched.faults)) == (422, ["#/do/url"])
        for given in (
            {"kind": "http", "base_url": "https://inner.example/", "credentials": {"token": "t"}},
            {"kind": "smtp", "base_url": "smtp://inner.example:587", "credentials": {}},
        ):
            reply = await api.post("/v1/connections", {"name": "x"} | given)
            assert (reply.status, list(reply.faults)) == (422, ["#/base_url"])
            good = str(given["base_url"]).replace("inner", "both")
            kept = await api.post("/v1/connections", {"name": "x"} | given | {"base_url": good})
            assert kept.status == 201
            moved = await api.patch(
                f"/v1/connections/{kept.json['id']}", {key: given[key] for key in ("base_url", "credentials")}
            )
            assert (moved.status, list(moved.faults)) == (422, ["#/base_url"])


async def test_what_is_allowed_opens_other_services_ports_at_its_own_addresses_alone(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), secret_key="00" * 32, allow_targets="127.0.0.0/8")
    async with client_of(settings, resolver=resolve) as api:
        await api.hook("http://own.example:6379/")
        await api.hook("http://127.0.0.1:6379/")
        for host in ("both.example", "unknown.example", "93.184.216.34"):
            do = {"kind": "webhook", "url": f"http://{host}:6379/"}
            reply = await api.post("/v1/hooks", {"on": ["*"], "do": do})
            assert (reply.status, list(reply.faults)) == (422, ["#/do/url"]), host


async def test_a_hook_that_may_not_be_saved_any_more_can_still_be_switched_off(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), secret_key="00" * 32)
    async with client_of(replace(settings, allow_targets="127.0.0.0/8")) as api:
        path = f"/v1/hooks/{(await api.hook('http://127.0.0.1:8000/'))['id']}"
    async with client_of(settings) as api:
        off = await api.patch(path, {"enabled": False})
        assert (off.status, off.json["enabled"]) == (200, False)
        for other in ({"enabled": True}, {"enabled": False, "name": "x"}):
            assert list((await api.patch(path, other)).faults) == ["#/do/url"]


OURS = (
    "Host", "webhook-id", "Webhook-Signature", "WEBHOOK-TIMESTAMP", "hookline-delivery", "User-Agent",
    "Content-Length", "content-type", "Connection", "keep-alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade",
    "Expect", "HTTP2-Settings", "Proxy-Authorization", "proxy-connection", ":authority", "x y", "x:", "", "é",
)  # fmt: skip
BROKEN = ("a\r\nhost: b", "a\nb", "a\rb", "a\0b", "a\x7fb", "x" * 8193, "é")


async def test_a_header_cannot_replace_ours_or_begin_another(api: Client) -> None:
    for name, value in [*((name, "x") for name in OURS), *(("x-shop", value) for value in BROKEN)]:
        do = {"kind": "webhook", "url": "https://shop.example/", "headers": {name: value}}
        reply = await api.post("/v1/hooks", {"on": ["*"], "do": do})
        assert reply.status == 422, (name, value)
        assert next(iter(reply.faults)).startswith("#/do/headers"), (name, value)
    assert (await api.stored())[1] == 0


async def test_a_header_stands_once_however_it_is_written(api: Client) -> None:
    do = {"kind": "webhook", "url": "https://shop.example/", "headers": {"X-A": "1", "x-a": "2"}}
    reply = await api.post("/v1/hooks", {"on": ["*"], "do": do})
    assert (reply.status, reply.faults) == (422, {"#/do/headers": "the header 'x-a' stands here twice"})
