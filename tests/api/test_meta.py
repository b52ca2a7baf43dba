"""What the API says about itself, and how it says no."""

from __future__ import annotations

import re
import uuid
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hookline.app import build
from hookline.model import HookInput, Retry
from hookline.settings import Settings
from support.client import Client, serving

ERRORS = (
    ("GET", "/v1/nothing", 404),
    ("GET", "/openapi.yaml", 404),
    ("POST", "/v1", 404),
    ("PUT", "/v1/hooks", 405),
    ("DELETE", "/v1/events", 405),
    ("POST", "/v1/event-types", 405),
)


async def test_the_frameworks_own_errors(api: Client) -> None:
    for method, path, status in ERRORS:
        reply = await api.call(method, path)
        assert reply.status == status
        assert reply.headers["content-type"] == "application/problem+json"
        assert (reply.json["type"], reply.json["status"], reply.json["errors"]) == ("about:blank", status, [])
        assert path in reply.json["detail"]
        assert ("allow" in reply.headers) == (status == 405)


async def test_health(api: Client) -> None:
    for path in ("/health/live", "/health/ready"):
        reply = await api.get(path, headers={"authorization": None})
        assert (reply.status, reply.json) == (200, {"status": "ok"})


async def test_a_database_that_is_away(postgres_server: Any, tmp_path: Path) -> None:
    name = f"hookline_{uuid.uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    settings = Settings(home=str(tmp_path), database=postgres_server.get_uri(name))
    app = await build(settings)
    try:
        async with aiohttp.ClientSession() as session, serving(app) as url:
            client = await Client(session, url, app, "").with_key()
            await client.publish()
            await app.services.storage.close()
            event = {"type": "a", "data": 1}
            for reply in (
                await client.get("/health/ready"),
                await client.get("/v1/events"),
                await client.post("/v1/events", event),
            ):
                assert reply.status == 503
                assert reply.headers["retry-after"] == "1"
                assert "database" in reply.json["detail"]
            assert (await client.get("/health/live")).status == 200
    finally:
        await app.services.http.close()
        postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE);")


def refs(value: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= {inner} if name == "$ref" else refs(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= refs(inner)
    return found


async def test_openapi(api: Client) -> None:
    reply = await api.get("/openapi.json", headers={"authorization": None})
    assert reply.status == 200
    described = reply.json
    assert described["openapi"].startswith("3.1")
    for ref in refs(described):
        place: Any = described
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]
        assert place
    operations = [one for item in described["paths"].values() for one in item.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for path, item in described["paths"].items():
        named = set(re.findall(r"{(\w+)}", path))
        for operation in item.values():
            assert {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"} == named
            assert operation["responses"]["default"]
            assert operation["summary"]
            assert "400" not in operation["responses"]
            assert (operation.get("security") == []) != ("x-scope" in operation)


async def test_openapi_has_what_was_asked_for(api: Client) -> None:
    described = (await api.get("/openapi.json")).json
    paths = described["paths"]
    assert {
        "/v1/events", "/v1/events/{event_id}", "/v1/events/stream", "/v1/event-types", "/v1/hooks",
        "/v1/hooks/{hook_id}", "/v1/deliveries", "/v1/deliveries/{delivery_id}", "/v1/keys", "/v1/contacts",
        "/v1/lists", "/v1/campaigns", "/v1/connections", "/v1/sources", "/health/ready",
    } <= paths.keys()  # fmt: skip
    publish = paths["/v1/events"]["post"]
    assert publish["requestBody"]["content"].keys() == {
        "application/json", "application/cloudevents+json", "application/cloudevents-batch+json",
    }  # fmt: skip
    assert publish["x-scope"] == "publish"
    assert paths["/health/live"]["get"]["security"] == []
    hook = described["components"]["schemas"]["HookInput"]
    assert hook["properties"].keys() == {
        "if" if name == "if_" else name for name in HookInput.__struct_fields__
    }
    assert hook["additionalProperties"] is False
    assert described["components"]["schemas"]["Retry"]["properties"].keys() == set(Retry.__struct_fields__)
    [last] = [one for one in paths["/v1/events/stream"]["get"]["parameters"] if one["in"] == "header"]
    assert last["name"] == "Last-Event-ID"


class Page(HTMLParser):
    """The anchors and links of a page, and whatever would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name not in ("src", "onclick", "style")
            if name == "id":
                assert value not in self.ids
                self.ids.add(str(value))
            if name == "href":
                self.links.add(str(value))


async def test_docs(api: Client) -> None:
    reply = await api.get("/docs", headers={"authorization": None})
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    page = Page()
    page.feed(reply.body.decode())
    assert page.links - {"/openapi.json"} == {f"#{name}" for name in page.ids} & page.links
    assert not page.tags & {"script", "link", "img", "iframe"}
    described = (await api.get("/openapi.json")).json
    operations = {one["operationId"] for item in described["paths"].values() for one in item.values()}
    assert operations <= page.ids
    for path in described["paths"]:
        assert path in reply.body.decode()


async def test_answers_are_not_kept_or_guessed_at(api: Client) -> None:
    reply = await api.get("/v1/hooks")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/v1/events", "/v1/hooks", "/health/live"])
async def test_the_head_of_an_answer_is_that_of_the_whole(api: Client, path: str) -> None:
    whole, head = await api.get(path), await api.call("HEAD", path)
    assert (head.status, head.body) == (whole.status, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]


async def test_the_head_of_a_stream_does_not_wait_for_events(api: Client) -> None:
    reply = await api.call("HEAD", "/v1/events/stream")
    assert (reply.status, reply.body) == (200, b"")
    assert (await (await api.with_key("read", "other")).call("HEAD", "/v1/hooks/hook_x")).status == 404
    assert (await api.call("HEAD", "/v1/hooks", headers={"authorization": None})).status == 401


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/events", "GET, HEAD, OPTIONS, POST"),
        ("/v1/hooks/hook_x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/docs", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_path_says_what_it_takes(api: Client, path: str, methods: str) -> None:
    reply = await api.call("OPTIONS", path)
    assert (reply.status, reply.headers["allow"], reply.body) == (204, methods, b"")
    assert (await api.call("OPTIONS", "/v1/nothing")).status == 404
