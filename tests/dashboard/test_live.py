"""Figures and events as they come, and what an event cannot do to the page."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from support.browser import Tab
from support.mailserver import MailServer
from support.site import Site

PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
APPLE_PROXY = "Mozilla/5.0"


def rate(tab: Tab, name: str) -> Locator:
    """A rate's card."""
    return tab.page.locator(".rate").filter(has=tab.page.get_by_role("heading", name=name))


def count(tab: Tab, field: str) -> Locator:
    return tab.page.locator(f"[data-count={field}] .number")


def link(mailserver: MailServer, address: str, kind: str) -> str:
    """The path of the pixel (o) or of the link (c) in the mail to an address."""
    (mail,) = mailserver.to(address)
    body = mail.get_body(("html",))
    assert body is not None
    found = re.search(rf"/t/{kind}/[\w-]+", body.get_content())
    assert found is not None
    return found[0]


async def test_figures_appear_and_follow_what_readers_do(
    site: Site, tab: Tab, mailserver: MailServer
) -> None:
    mailserver.refuse["gone@example.com"] = ["550 5.1.1 no such user"]
    await site.send_campaign(
        "Spring", "ada@example.com", "bob@example.com", "cy@example.com", "gone@example.com"
    )
    await tab.page.goto(f"{site.url}/#key={site.key}")
    await expect(tab.page.get_by_label("Show")).to_have_text("Spring")
    await expect(tab.page.locator("#campaign-state")).to_have_text("Sent")
    await expect(count(tab, "attempted")).to_have_text("4")
    await expect(count(tab, "delivered")).to_have_text("3")
    await expect(rate(tab, "Bounce rate")).to_contain_text("25%")
    await expect(rate(tab, "Bounce rate")).to_contain_text("1 of 4 attempted")
    await expect(rate(tab, "Opening rate")).to_contain_text("0 of 3 delivered")

    await site.fetch(link(mailserver, "ada@example.com", "o"), PERSON)
    await expect(rate(tab, "Opening rate")).to_contain_text("33.3%")
    await expect(rate(tab, "Opening rate")).to_contain_text("1 of 3 delivered")
    await site.fetch(link(mailserver, "ada@example.com", "c"), PERSON)
    await expect(rate(tab, "Click rate")).to_contain_text("1 of 3 delivered")
    await site.fetch(link(mailserver, "bob@example.com", "o"), APPLE_PROXY)
    await expect(count(tab, "opened_machine")).to_have_text("1")
    await expect(count(tab, "opened")).to_have_text("1")

    newest = tab.page.locator("#events > li").first
    await expect(newest).to_contain_text("Opened (machine)")
    await expect(newest).to_contain_text("bob@example.com")
    assert tab.problems == []
    assert all(url.startswith(f"{site.url}/") for url in tab.requested)


async def test_the_newest_campaign_is_shown_until_one_is_chosen(site: Site, tab: Tab) -> None:
    await site.send_campaign("Spring", "ada@example.com", "bob@example.com")
    await tab.page.goto(f"{site.url}/#key={site.key}")
    await expect(count(tab, "sent")).to_have_text("2")
    await site.send_campaign("Summer", "ada@example.com")
    await expect(count(tab, "sent")).to_have_text("1")
    await tab.page.get_by_label("Show").select_option("Spring")
    await expect(count(tab, "sent")).to_have_text("2")
    await site.send_campaign("Autumn", "ada@example.com")
    await expect(tab.page.get_by_label("Show").locator("option").first).to_have_text("Autumn")
    await expect(count(tab, "sent")).to_have_text("2")


async def test_an_event_tells_what_it_triggered(site: Site, tab: Tab) -> None:
    page = tab.page
    action = {"kind": "contact", "contact": "{{ event.subject }}", "add_tags": ["buyer"]}
    await site.call("POST", "/contacts", {"email": "ada@example.com"})
    await site.call("POST", "/hooks", {"name": "tag buyers", "on": ["order.paid"], "do": action})
    rule = {"name": "big spenders", "on": ["order.*"], "if": "event.data.total > 100", "do": action}
    await site.call("POST", "/hooks", rule)
    await page.goto(f"{site.url}/#key={site.key}")
    await site.call(
        "POST", "/events", {"type": "order.paid", "subject": "ada@example.com", "data": {"total": 7}}
    )
    row = page.locator("#events > li").filter(has_text="order.paid")
    await row.get_by_role("button").press("Enter")
    await expect(row.get_by_role("button")).to_have_attribute("aria-expanded", "true")
    await expect(row).to_contain_text("tag buyers acted on it: delivered (1 attempt).")
    await expect(row).to_contain_text("big spenders did not act: the condition is false for this event.")
    await site.call("POST", "/events", {"type": "nobody.cares", "data": {}})
    newest = page.locator("#events > li").filter(has_text="nobody.cares")
    await newest.get_by_role("button").click()
    await expect(newest).to_contain_text("No hook asked for this event.")
    await expect(row).to_contain_text("tag buyers acted on it")  # what was open stays open
    assert tab.problems == []


async def test_markup_in_an_event_is_text(site: Site, tab: Tab) -> None:
    page = tab.page
    evil = """<img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>"""
    hook = {
        "name": evil,
        "on": ["*"],
        "do": {"kind": "webhook", "url": f"{site.url}/?{'<b>'}"},
        "enabled": False,
    }
    await site.call("POST", "/hooks", hook)
    await site.send_campaign(evil, "ada@example.com")
    await page.goto(f"{site.url}/#key={site.key}")
    await site.call("POST", "/events", {"type": "order.paid", "subject": evil, "data": {"name": evil}})
    row = page.locator("#events > li").filter(has_text="order.paid")
    await expect(row).to_contain_text(evil)
    await row.get_by_role("button").click()
    await row.get_by_text("What came with it").click()
    await expect(row.locator("pre")).to_contain_text("<img src=x onerror=")
    await expect(page.get_by_label("Show").locator("option").first).to_have_text(evil)
    await expect(page.locator("#hooks h3")).to_have_text(evil)
    assert await page.locator("main :is(img, script, b, iframe)").count() == 0
    assert await page.title() == "Hookline"
    assert tab.problems == []
    assert all(url.startswith(f"{site.url}/") for url in tab.requested)
