"""Templates: checked when saved, seen filled in, used by campaigns and hooks."""

from __future__ import annotations

from typing import Any

import pytest

from support.client import Client
from support.mailserver import MailServer

SPRING = {
    "name": "spring",
    "subject": "Hello {{ contact.attributes.first_name|default('you') }}",
    "html": "<style>p { color: red }</style><p>Hi {{ contact.email }}, <a href='https://shop.example/'>look</a></p>",
}


async def template(api: Client, **fields: Any) -> Any:
    made = await api.post("/v1/templates", SPRING | fields)
    assert made.status == 201, made.body
    return made.json


async def test_a_template_is_made_shown_changed_and_deleted(api: Client) -> None:
    made = await template(api)
    assert made["variables"] == ["contact"] and made["id"].startswith("tpl_")
    assert (await api.get(f"/v1/templates/{made['id']}")).json == made
    assert (await api.get("/v1/templates/spring")).json == made, "by its name, too"
    assert (await api.get("/v1/templates")).json["data"] == [made]
    assert (await api.post("/v1/templates", SPRING)).status == 409
    changed = await api.patch(f"/v1/templates/{made['id']}", {"text": "Hi", "html": None})
    assert (changed.status, changed.json["html"], changed.json["text"]) == (200, None, "Hi")
    other = await api.with_key(tenant="other")
    for call in (other.get, lambda path: other.patch(path, {}), lambda path: other.call("DELETE", path)):
        assert (await call(f"/v1/templates/{made['id']}")).status == 404
    assert (await api.call("DELETE", f"/v1/templates/{made['id']}")).status == 204
    assert (await api.get("/v1/templates/spring")).status == 404


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"html": "<p>\n  {{ contact.email "}, "#/html", "line 2"),
        ({"html": "{% for %}"}, "#/html", "line 1"),
        ({"html": "{{ nobody }}"}, "#/html", "nobody"),
        ({"html": None}, "#/html", "html or a text"),
        ({"subject": ""}, "#/subject", ""),
        ({"subject": "{{ x"}, "#/subject", "line 1"),
        ({"name": "tpl_mine"}, "#/name", "tpl_"),
    ],
)
async def test_a_mistake_is_found_when_it_is_saved(
    api: Client, change: dict[str, Any], pointer: str, words: str
) -> None:
    reply = await api.post("/v1/templates", SPRING | change)
    assert reply.status == 422 and words in reply.faults[pointer], reply.body


async def test_a_preview_shows_where_the_unsubscribe_link_is(api: Client) -> None:
    made = await template(api, html='<a href="{{ unsubscribe_url }}">x</a>', text="{{ unsubscribe_url }}")
    seen = (await api.post(f"/v1/templates/{made['id']}/preview", {})).json
    assert (seen["html"], seen["text"]) == ('<a href="#unsubscribe">x</a>', "#unsubscribe")


async def test_a_preview_is_for_a_contact(api: Client) -> None:
    made = await template(api)
    body = {"email": "ada@example.com", "attributes": {"first_name": "Ada"}}
    ada = (await api.post("/v1/contacts", body)).json
    path = f"/v1/templates/{made['id']}/preview"
    for contact in (ada["id"], "ADA@example.com"):
        seen = (await api.post(path, {"contact": contact})).json
        assert seen["subject"] == "Hello Ada"
        assert '<p style="color: red;">Hi ada@example.com' in seen["html"]
        assert 'href="https://shop.example/"' in seen["html"].replace("'", '"'), "untracked"
        assert "Hi ada@example.com, look" in seen["text"] and "https://shop.example/" in seen["text"]
    assert (await api.post(path, {})).json["subject"] == "Hello you"
    reply = await api.post(path, {"contact": "eve@example.com"})
    assert "#/contact" in reply.faults
    looping = await template(api, name="loop", html="{% for i in range(1000000000) %}x{% endfor %}")
    reply = await api.post(f"/v1/templates/{looping['id']}/preview", {})
    assert reply.status == 422 and "#/html" in reply.faults


async def test_a_campaign_has_its_templates_texts_as_they_are_when_it_is_sent(
    mail_api: Client, mailserver: MailServer
) -> None:
    made = await template(mail_api)
    await mail_api.post("/v1/lists", {"name": "news"})
    await mail_api.post("/v1/contacts", {"email": "ada@example.com", "lists": ["news"]})
    draft = {"name": "n", "list": "news", "from": "shop@example.com", "template": made["id"]}
    campaign = (await mail_api.post("/v1/campaigns", draft)).json
    path = f"/v1/campaigns/{campaign['id']}"
    await mail_api.patch(f"/v1/templates/{made['id']}", {"subject": "Later"})
    seen = (await mail_api.post(f"{path}/preview", {"contact": "ada@example.com"})).json
    assert seen["subject"] == "Later"
    assert (await mail_api.post(f"{path}/send")).status == 202
    await mail_api.call("DELETE", f"/v1/templates/{made['id']}")
    await mail_api.app.services.campaigns.run_once()
    await mail_api.settled()
    ((_, mail),) = mailserver.mails
    assert mail["subject"] == "Later"
    reply = await mail_api.post("/v1/campaigns", draft)
    assert "#/template" in reply.faults, "it is gone"


async def test_a_hooks_mail_has_its_templates_texts(mail_api: Client, mailserver: MailServer) -> None:
    made = await template(mail_api, subject="{{ event.data.code }} for {{ contact.email }}")
    do = {"kind": "email", "to": "{{ event.subject }}", "from": "shop@example.com", "template": "spring"}
    assert (await mail_api.post("/v1/hooks", {"on": ["order.paid"], "do": do})).status == 201
    await mail_api.post("/v1/contacts", {"email": "ada@example.com"})
    await mail_api.publish(subject="ada@example.com", data={"code": "A1"})
    await mail_api.settled()
    await mail_api.patch(f"/v1/templates/{made['id']}", {"subject": "now {{ event.data.code }}"})
    await mail_api.publish(subject="ada@example.com", data={"code": "B2"})
    await mail_api.settled()
    assert [mail["subject"] for _, mail in mailserver.mails] == ["A1 for ada@example.com", "now B2"]
    for change, pointer in (({"template": "gone"}, "#/do/template"), ({"template": None}, "#/do/subject")):
        reply = await mail_api.post("/v1/hooks", {"on": ["order.paid"], "do": do | change})
        assert pointer in reply.faults, reply.body
