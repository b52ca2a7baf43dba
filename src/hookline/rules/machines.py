"""Who fetched a pixel or followed a link: a person, or a machine on the way to one.

By the agent alone; bursts and timing are judged elsewhere. What is taken for a machine is kept and marked,
never dropped. Sources: what Apple's and Google's image proxies send (Mail Privacy Protection sends the bare
agent ``Mozilla/5.0``), and the names that link scanners and programs give themselves.
"""

from __future__ import annotations

import re
from functools import lru_cache

_APPLE = "Mozilla/5.0"
# An old browser that nobody runs; Gmail fetches with it before anyone opens the mail.
_GMAIL_PREFETCH = "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
_SCANNERS = re.compile(
    r"(?<!cu)bot\b|crawler|spider|scanner|slurp|preview|prefetch|facebookexternalhit|whatsapp|headless"
    r"|phantomjs|safelinks|proofpoint|mimecast|barracuda|ironport|messagelabs|symantec|fireeye|trendmicro"
    r"|sophos|forcepoint|cloudmark|zscaler|fortiguard|urldefense|linkcheck|virustotal|bitdefender|kaspersky"
    r"|google-safety|googleother|microsoft office existence|censys|zgrab|nmap",
    re.I,
)
_SCRIPTS = re.compile(
    r"(?:curl|wget|python|aiohttp|httpx|urllib|go-http-client|java|okhttp|apache-httpclient|libwww-perl|lwp"
    r"|node|axios|undici|got|ruby|faraday|guzzle|php|winhttp|httpie|postmanruntime|insomnia|k6|scrapy"
    r"|reqwest|hyper|mechanize)\b|.*\bwindowspowershell\b",
    re.I,
)


def classify_open(user_agent: str | None, method: str = "GET") -> tuple[bool, str | None]:
    """(machine, reason) for a fetched pixel; reasons are the contract's ``machine_reason``."""
    if user_agent is not None and user_agent.strip() == _APPLE:
        return True, "apple_privacy_proxy"
    return _classify(user_agent, method)


def classify_click(user_agent: str | None, method: str = "GET") -> tuple[bool, str | None]:
    """(machine, reason) for a followed link. Privacy proxies fetch images alone: their bare agent is a scanner's."""
    if user_agent is not None and user_agent.strip() == _APPLE:
        return True, "scanner"
    return _classify(user_agent, method)


@lru_cache(maxsize=1024)  # few readers' programs are the only ones of their kind
def _classify(user_agent: str | None, method: str) -> tuple[bool, str | None]:
    agent = (user_agent or "").strip()
    if method.upper() != "GET":
        return True, "scanner"
    if "GoogleImageProxy" in agent:
        return False, None
    if agent.endswith(_GMAIL_PREFETCH):
        return True, "gmail_prefetch"
    if not agent or _SCRIPTS.match(agent):
        return True, "script"
    if _SCANNERS.search(agent):
        return True, "scanner"
    return False, None
