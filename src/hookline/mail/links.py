"""The signed addresses that one message carries: its pixel, its links, its way out."""

from __future__ import annotations

from msgspec import Struct

from hookline.rules import tokens


class Links(Struct, frozen=True, kw_only=True):
    """What tracking needs to know of a message; ``base`` is the public URL without a slash at its end.

    ``list`` is the list that its unsubscribe link leaves, "" for all mail.
    """

    base: str
    key: bytes
    tenant: str
    message: str
    list: str = ""

    @property
    def open_url(self) -> str:
        return f"{self.base}/t/o/{tokens.make_open(self.key, self.tenant, self.message)}"

    @property
    def unsubscribe_url(self) -> str:
        return f"{self.base}/t/u/{tokens.make_unsubscribe(self.key, self.tenant, self.message, self.list)}"

    def click(self, url: str, index: int) -> str:
        """The tracked address of a link; the link itself where it is too long to be carried in one."""
        try:
            return f"{self.base}/t/c/{tokens.make_click(self.key, self.tenant, self.message, url, index)}"
        except (ValueError, OverflowError):
            return url
