"""The page's own answers, and signing in."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from hookline.dashboard import ASSETS
from support.browser import Tab
from support.site import Site


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html"), ("/dashboard", "text/html"), ("/assets/page.css", "text/css"),
        ("/assets/page.js", "text/javascript"), ("/assets/icon.svg", "image/svg+xml"),
    ],
)  # fmt: skip
async def test_everything_is_ours_and_says_what_it_may_do(site: Site, path: str, media_type: str) -> None:
    answer = await site.fetch(path)
    assert answer.status == 200 and answer.headers["content-type"].startswith(media_type)
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_only_what_the_page_is_made_of_can_be_fetched(site: Site) -> None:
    for name in ("__init__.py", "page.html", "..%2f__init__.py", "%2e%2e/__init__.py", "none.css"):
        assert (await site.fetch(f"/assets/{name}")).status == 404, name


async def test_what_the_page_asks_for_is_there_and_nothing_else(site: Site, tab: Tab) -> None:
    await tab.page.goto(site.url)
    await expect(tab.page.get_by_label("API key")).to_be_focused()
    assert tab.problems == []
    asked = {url.removeprefix(site.url) for url in tab.requested}
    assert asked == {"/", *(f"/assets/{name}" for name in ASSETS)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hl_nobody-has-this-key", "That key was not accepted: it is unknown or was revoked."),
        ("Bearer ключ", "That is no API key: one begins with hl_."),
    ],
)
async def test_a_wrong_key_is_told_so(site: Site, tab: Tab, text: str, sentence: str) -> None:
    page = tab.page
    await page.goto(f"{site.url}/dashboard")
    await page.get_by_label("API key").fill(text)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    await expect(page.get_by_label("API key")).to_be_focused()
    await expect(page.locator("#page")).to_be_hidden()
    assert tab.beyond_refusals() == []


async def test_a_pasted_key_signs_in_and_out(site: Site, tab: Tab) -> None:
    page = tab.page
    await page.goto(site.url)
    await page.get_by_label("API key").fill(f"  {site.key} ")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Add a webhook")).to_be_visible()
    await page.reload()  # the tab remembers
    await expect(page.get_by_role("heading", name="Add a webhook")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_have_value("")
    await page.reload()
    await expect(page.get_by_label("API key")).to_be_visible()
    await expect(page.locator("#page")).to_be_hidden()
    assert tab.problems == []


async def test_a_key_in_the_fragment_signs_in_and_leaves_the_address(site: Site, tab: Tab) -> None:
    await tab.page.goto(f"{site.url}/#key={site.key}")
    await expect(tab.page.get_by_role("heading", name="Latest events")).to_be_visible()
    await expect(tab.page).to_have_url(re.compile(r"^[^#]*$"))
    assert not any(site.key in url for url in tab.requested)


async def test_a_key_that_is_revoked_meanwhile_ends_the_session(site: Site, tab: Tab) -> None:
    made = await site.call("POST", "/keys", {"name": "guest", "scope": "read"})
    page = tab.page
    await page.goto(f"{site.url}/#key={made['key']}")
    await expect(page.get_by_role("heading", name="Latest events")).to_be_visible()
    await site.call("DELETE", f"/keys/{made['id']}")
    await expect(page.get_by_text("it is unknown or was revoked")).to_be_visible()
    await expect(page.locator("#page")).to_be_hidden()
    assert tab.beyond_refusals() == []
