from __future__ import annotations

import asyncio
import json
from typing import Any


async def test_it(api: Any, receiver: Any) -> None:
    made = await api.hook(receiver.url)
    print(made)
    r = await api.post("/v1/events", {"type": "order.paid", "data": {"a": 1}, "id": "x"})
    print(r)
    await api.app.services.dispatcher.idle()
    e = await api.get("/v1/events/" + r.json["id"])
    print(json.dumps(e.json, indent=1))
    d = await api.get("/v1/deliveries?event=" + r.json["id"])
    print(d.json)
    d = await api.get("/v1/deliveries/" + d.json["data"][0]["id"])
    print(json.dumps(d.json, indent=1))
    for path in (
        "/v1/events?limit=0",
        "/v1/events?limt=0",
        "/v1/events?after=zz",
        "/v1/event-types",
        "/openapi.json",
        "/docs",
        "/nope",
        "/v1/hooks",
        "/health/ready",
        "/schema",
    ):
        r = await api.get(path)
        print(path, r.status, r.headers, r.body[:300])
    r = await api.call("PUT", "/v1/hooks")
    print(r)
    r = await api.post("/v1/hooks", {"on": ["x"], "do": {"kind": "webhook", "url": 1}})
    print(r)
    print(receiver.got)
    assert 0


async def test_docs(api: Any) -> None:
    r = await api.get("/docs")
    import pathlib
    pathlib.Path("/tmp/apiexp/docs.html").write_bytes(r.body)
    r = await api.get("/openapi.json")
    pathlib.Path("/tmp/apiexp/openapi.json").write_text(json.dumps(r.json, indent=1))
    assert r.status == 200
