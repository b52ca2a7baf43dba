"""The form that adds a webhook, and the list of them, with a real receiver at the other end."""

from __future__ import annotations

import socket

from playwright.async_api import Locator, Page, expect

from support.browser import Tab
from support.mailserver import MailServer
from support.receiver import Receiver
from support.site import Site


async def open_page(site: Site, tab: Tab) -> Page:
    await tab.page.goto(f"{site.url}/#key={site.key}")
    await expect(tab.page.get_by_role("heading", name="Add a webhook")).to_be_visible()
    return tab.page


def tick(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=name, exact=True)


async def test_a_webhook_is_tested_added_and_called(
    site: Site, tab: Tab, receiver: Receiver, mailserver: MailServer
) -> None:
    receiver.answers, receiver.body = [200, 200, 200], b'{"thanks": "<b>shop</b>"}'
    page = await open_page(site, tab)
    await page.get_by_label("URL").fill(f"{receiver.url}/hooks")
    await page.get_by_label("Name").fill("Shop")
    await tick(page, "Opened").check()
    await page.get_by_role("button", name="Send test", exact=True).click()
    answer = page.locator("#form-answer")
    await expect(answer).to_contain_text("status 200")
    await expect(answer.locator("pre")).to_have_text('{"thanks": "<b>shop</b>"}')
    (test,) = receiver.got
    assert (test.path, test.json["type"]) == ("/hooks", "email.opened")
    assert (await site.call("GET", "/hooks"))["data"] == []  # nothing is saved by a test

    await page.get_by_role("button", name="None").click()
    await expect(tick(page, "Opened")).not_to_be_checked()
    await tick(page, "Sent").check()
    await tick(page, "Unsubscribed").check()
    await page.get_by_role("button", name="Add webhook").click()
    secret = await page.get_by_label("Signing secret").input_value()
    assert secret.startswith("whsec_")
    (saved,) = (await site.call("GET", "/hooks"))["data"]
    assert (saved["name"], saved["on"]) == ("Shop", ["email.sent", "email.unsubscribed"])

    row = page.locator(".hook").filter(has_text="Shop")
    await expect(row).to_contain_text("Listens for: sent, unsubscribed")
    await site.send_campaign("Spring", "ada@example.com")
    await expect(row.locator(".deliveries")).to_contain_text("delivered · 1 attempt")
    receiver.got.remove(test)
    assert [body["type"] for body in receiver.verified(secret)] == ["email.sent"]
    await row.get_by_role("button", name="Send test").click()
    await expect(row).to_contain_text("status 200")
    assert [body["type"] for body in receiver.verified(secret)] == ["email.sent", "email.sent"]
    assert tab.problems == []


async def test_a_receiver_that_refuses_is_told_in_words(site: Site, tab: Tab, receiver: Receiver) -> None:
    receiver.answers, receiver.body = [503], b"closed for today"
    page = await open_page(site, tab)
    await page.get_by_label("URL").fill(f"{receiver.url}/hooks")
    await page.get_by_role("button", name="Send test", exact=True).click()
    answer = page.locator("#form-answer")
    await expect(answer).to_contain_text("status 503")
    await expect(answer).to_contain_text("closed for today")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    await page.get_by_label("URL").fill(f"http://127.0.0.1:{port}/hooks")
    await page.get_by_role("button", name="Send test", exact=True).click()
    await expect(answer).to_contain_text("Nobody listens at that address.")
    assert tab.problems == []


async def test_errors_stand_next_to_the_field_they_name(site: Site, tab: Tab) -> None:
    page = await open_page(site, tab)
    url = page.get_by_label("URL")
    for button in ("Add webhook", "Send test"):
        await url.fill("shop.example/hooks")
        await page.get_by_role("button", name="All").click()
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(url).to_have_attribute("aria-invalid", "true")
        await expect(url).to_be_focused()
        await expect(page.locator("#hook-url-error")).not_to_be_empty()
        await url.fill("")
        await page.reload()
    await url.fill("https://shop.example/hooks")
    await page.get_by_role("button", name="None").click()
    await page.get_by_role("button", name="Add webhook").click()
    await expect(page.get_by_role("group", name="Events")).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#hook-on-error")).not_to_be_empty()
    await expect(page.locator("#hook-url-error")).to_be_empty()
    await url.fill("http://10.0.0.1/hooks")
    await page.get_by_role("button", name="Send test", exact=True).click()
    await expect(page.locator("#hook-url-error")).to_contain_text("private address")
    await expect(page.locator("#hook-on-error")).to_be_empty()
    assert (await site.call("GET", "/hooks"))["data"] == []
    assert tab.beyond_refusals() == []


async def test_a_webhook_is_switched_off_and_on_and_deleted(site: Site, tab: Tab) -> None:
    hook = {"name": "Shop", "on": ["email.*"], "do": {"kind": "webhook", "url": "https://shop.example/hooks"}}
    saved = await site.call("POST", "/hooks", hook)
    page = await open_page(site, tab)
    row = page.locator(".hook")
    await row.get_by_role("button", name="Switch off").click()
    await expect(row.locator(".badge")).to_have_text("Off")
    assert (await site.call("GET", f"/hooks/{saved['id']}"))["enabled"] is False
    await row.get_by_role("button", name="Switch on").click()
    await expect(row.locator(".badge")).to_have_text("On")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    await expect(row).to_be_visible()
    assert len((await site.call("GET", "/hooks"))["data"]) == 1
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)
    assert (await site.call("GET", "/hooks"))["data"] == []
    assert tab.problems == []
