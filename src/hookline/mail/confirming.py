"""Double opt-in: the mail that asks whether somebody wants to be on a list."""

from __future__ import annotations

from hookline.mail import compose
from hookline.model import DAY, DoubleOptIn

VARIABLES = frozenset({"contact", "list", "confirm_url", "now"})
VALID = 7 * DAY

TEXT = """\
Somebody, perhaps you, asked for {{ list.name }} to be sent to {{ contact.email }}.

To confirm it, open this page:
{{ confirm_url }}

If it was not you, do nothing: you will hear no more of it.
"""


def prepare(spec: DoubleOptIn) -> compose.Prepared:
    """Parse the mail's texts. Raises compose.FieldError, which names the field."""
    for field, text in (("html", spec.html), ("text", spec.text)):
        if text is not None and "confirm_url" not in text:
            raise compose.FieldError(field, "the mail has to have a link to {{ confirm_url }}")
    own = spec.html is not None or spec.text is not None
    return compose.prepare(
        subject=spec.subject,
        html=spec.html,
        text=spec.text if own else TEXT,
        from_=spec.from_,
        reply_to=None,
        track_opens=False,
        track_clicks=False,
        variables=VARIABLES,
    )
