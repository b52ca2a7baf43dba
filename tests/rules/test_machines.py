"""Who opened and clicked, by the agent."""

from __future__ import annotations

import pytest

from hookline.rules.machines import classify_click, classify_open

PEOPLE = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "Mozilla/5.0 (Linux; Android 11; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/119.0 Mobile Safari/537.36",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.10827; Pro)",
    "Thunderbird/115.0",
]
GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)


@pytest.mark.parametrize("agent", PEOPLE)
def test_people(agent: str) -> None:
    assert classify_open(agent, "GET") == classify_click(agent, "GET") == (False, None)


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        ("Mozilla/5.0", "apple_privacy_proxy"),
        (GMAIL_PREFETCH, "gmail_prefetch"),
        (None, "script"),
        ("  ", "script"),
        ("curl/8.5.0", "script"),
        ("Wget/1.21.4", "script"),
        ("python-requests/2.32.3", "script"),
        ("Python/3.11 aiohttp/3.12", "script"),
        ("Go-http-client/2.0", "script"),
        ("Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.17763.1", "script"),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "scanner"),
        ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "scanner"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36", "scanner"),
        ("BarracudaCentral/1.0", "scanner"),
    ],
)
def test_machines(agent: str | None, reason: str) -> None:
    assert classify_open(agent, "GET") == (True, reason)


def test_a_head_request_is_a_scanner_whatever_it_calls_itself() -> None:
    assert classify_open(PEOPLE[0], "HEAD") == classify_click(PEOPLE[0], "HEAD") == (True, "scanner")


def test_the_privacy_proxy_follows_no_links() -> None:
    assert classify_click("Mozilla/5.0", "GET") == (True, "scanner")
