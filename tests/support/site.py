"""A whole Hookline as somebody uses it who sits before the page: campaigns go out, readers fetch."""

from __future__ import annotations

from typing import Any

from hookline.settings import Settings
from support.client import Client, Reply


def settings_of(home: str, smtp_url: str) -> Settings:
    """Mail goes out, and hooks may reach loopback. Nothing is fetched from the public address in tests."""
    return Settings(
        home=home, public_url="http://mail.example", smtp_url=smtp_url, allow_targets="127.0.0.0/8"
    )


class Site:
    """A Hookline and its client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.url, self.key = client.url, client.key

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of `/v1`, which has to be a success."""
        reply = await self._client.call(method, f"/v1{path}", body)
        assert reply.status < 300, reply.body
        return reply.json

    async def fetch(self, path: str, user_agent: str = "") -> Reply:
        """What a browser or a mail program gets, without a key."""
        headers = {"authorization": None, "user-agent": user_agent}
        return await self._client.get(path, headers=headers, allow_redirects=False)

    async def send_campaign(self, name: str, *addresses: str) -> None:
        """Mail a new list of these addresses."""
        listed = await self.call("POST", "/lists", {"name": f"readers of {name}"})
        for address in addresses:
            await self.call("POST", "/contacts", {"email": address, "lists": [listed["id"]]})
        draft = {
            "name": name,
            "list": listed["id"],
            "from": "Shop <shop@example.com>",
            "subject": f"News of {name}",
            "html": '<p>Hello, <a href="https://shop.example/">look</a></p>',
        }
        campaign = await self.call("POST", "/campaigns", draft)
        await self.call("POST", f"/campaigns/{campaign['id']}/send")
