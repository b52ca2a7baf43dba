"""A mail as its reader's program sees it, and what a reader does with it: by what is in it, and no other way."""

from __future__ import annotations

from base64 import b64encode
from html.parser import HTMLParser

import msgspec

from hookline.cli.demo.web import Answer, fetch
from hookline.cli.postbox import Mail

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Thunderbird/132.0",
    "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
)
APPLE_PROXY = "Mozilla/5.0"  # all that Mail Privacy Protection says of itself


class Reading(HTMLParser):
    """The pictures and the links of a mail's HTML."""

    def __init__(self, mail: Mail) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: dict[str, str] = {}
        self._target: str | None = None
        self._words: list[str] = []
        self.feed(mail.text("html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img" and (source := found.get("src")):
            self.pictures.append(source)
        if tag == "a" and (target := found.get("href")):
            self._target, self._words = target, []

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._target is not None:
            self.links[" ".join("".join(self._words).split())] = self._target
            self._target = None


async def look_at(mail: Mail, agent: str) -> list[Answer]:
    """Fetch its pictures, as a program does that shows it."""
    return [await fetch("GET", url, headers={"User-Agent": agent}) for url in Reading(mail).pictures]


async def follow(mail: Mail, words: str, agent: str) -> Answer:
    """Follow the link with these words. KeyError where the mail has none."""
    return await fetch("GET", Reading(mail).links[words], headers={"User-Agent": agent})


async def unsubscribe(mail: Mail) -> Answer:
    """One click in the mail program: RFC 8058. ValueError where the mail does not offer it."""
    if mail.parsed["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click":
        raise ValueError("the mail offers no unsubscribing by one click")
    url = str(mail.parsed["List-Unsubscribe"]).partition("<")[2].partition(">")[0]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return await fetch("POST", url, headers=form, body=b"List-Unsubscribe=One-Click")


async def report_spam(mail: Mail, provider_url: str, login: str, seconds: int) -> Answer:
    """The button "spam": the provider hears of it, and tells by its webhook (Mailjet's event "spam")."""
    report = {
        "event": "spam",
        "time": seconds,
        "MessageID": 19421777835146490,
        "email": mail.recipient,
        "mj_campaign_id": 7173,
        "mj_contact_id": 4,
        "customcampaign": "",
        "CustomID": str(mail.parsed["X-MJ-CustomID"]),
        "Payload": "",
        "source": "JMRPP",
    }
    headers = {
        "Authorization": "Basic " + b64encode(login.encode()).decode(),
        "Content-Type": "application/json",
    }
    return await fetch("POST", provider_url, headers=headers, body=msgspec.json.encode(report))
