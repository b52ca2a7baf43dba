"""``hookline hooks``."""

from hookline.cli.common import group

app = group("hooks", "Hooks")
