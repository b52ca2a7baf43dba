"""Whole messages: rendered, built by hand, and read back by the standard library's parser."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.header import decode_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookline.mail import compose, mime
from hookline.mail.compose import FieldError, Rendered
from hookline.rules import tokens

MESSAGE = "dlv_0d1e5p6k8g9h3j2m4n7q0r1s28"
KEY = bytes(range(32))


class Links:
    """Links as the mailer makes them."""

    trap_url = "https://t.example/t/h/" + tokens.MessageTokens(KEY, "default", MESSAGE).trap()
    open_url = "https://t.example/t/o/" + tokens.make_open(KEY, "default", MESSAGE)
    unsubscribe_url = "https://t.example/t/u/" + tokens.make_unsubscribe(KEY, "default", MESSAGE, "lst_1")

    def click(self, url: str, link: int) -> str:
        return "https://t.example/t/c/" + tokens.make_click(KEY, "default", MESSAGE, url, link)


def prepare(**fields: Any) -> compose.Prepared:
    defaults: dict[str, Any] = {
        "subject": "Hi",
        "from_": "Shop <shop@example.com>",
        "html": "<p>a</p>",
        "text": None,
    }
    options = {"reply_to": None, "track_opens": True, "track_clicks": True, "variables": {"contact", "x"}}
    return compose.prepare(**defaults | options | fields)


def rendered(**fields: Any) -> Rendered:
    defaults: dict[str, Any] = {"subject": "Hi", "from_": ("Shop", "shop@example.com"), "reply_to": None}
    return Rendered(**defaults | {"html": None, "text": "a"} | fields)


def parse(raw: bytes) -> EmailMessage:
    """The message, once it is seen to be what every server takes."""
    assert raw.isascii() and raw.endswith(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message


def built(mail: Rendered, **options: Any) -> EmailMessage:
    defaults: dict[str, Any] = {"to": "ada@example.com", "message_id": MESSAGE, "date": 1_760_000_000.5}
    return parse(compose.build(mail, **defaults | options))


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    found = part.get_content()
    assert isinstance(found, str)
    return found


def same_lines(one: str, other: str) -> bool:
    """Whether two texts are the same but for how lines end, and whether the last one does."""
    flat = [re.sub(r"\r\n?", "\n", text).removesuffix("\n") for text in (one, other)]
    return flat[0] == flat[1]


# --- rendering ------------------------------------------------------------------------------------


def test_a_mail_is_rendered_and_built_with_all_its_parts() -> None:
    mail = prepare(
        subject="Hällo {{ contact.name }}",
        html='<p>Dear {{ contact.name }}</p><a href="https://a.example/?a=1&amp;b=2">go</a></body>',
        from_="Käse, Inc. <Shop@Example.com>",
        reply_to="{{ x }}",
    )
    assert mail.names == {"contact", "x"}
    found = mail.render(
        {"contact": {"name": "A <b>"}, "x": "Help <help@example.com>"},
        Links(),
        footer_url="https://t.example/u",
    )
    message = built(
        found,
        to=("Ada", "ada@example.com"),
        list_unsubscribe_url=Links.unsubscribe_url,
        extra=[("Feedback-ID", "cmp:default:hookline"), ("X-MJ-CustomID", MESSAGE)],
    )
    assert found.sender == "Shop@example.com"
    assert message["From"].addresses == (Address("Käse, Inc.", "Shop", "example.com"),)
    assert message["To"].addresses == (Address("Ada", "ada", "example.com"),)
    assert message["Reply-To"].addresses == (Address("Help", "help", "example.com"),)
    assert message["Subject"] == "Hällo A <b>"
    assert message["Message-ID"] == f"<{MESSAGE}@example.com>"
    assert parsedate_to_datetime(message["Date"]).timestamp() == 1_760_000_000
    assert message["List-Unsubscribe"] == f"<{Links.unsubscribe_url}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Feedback-ID"] == "cmp:default:hookline"
    assert message["X-MJ-CustomID"] == MESSAGE
    click = re.search(r'href="https://t.example/t/c/([^"]+)"', content(message, "html"))
    assert click is not None
    expected = tokens.ClickToken("default", MESSAGE, "https://a.example/?a=1&b=2", 0)
    assert tokens.read(KEY, click[1], tokens.ClickToken) == expected
    assert f'<img src="{Links.open_url}"' in content(message, "html")
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    text = content(message, "plain").replace("\r\n", "\n")
    assert text.startswith(f"Dear A <b>\n\ngo (https://t.example/t/c/{click[1]})")
    assert text.endswith("\n\nUnsubscribe (https://t.example/u)")


def test_a_text_alone_is_a_message_of_one_part() -> None:
    message = built(
        prepare(html=None, text="Hi {{ contact.name }}").render({"contact": {"name": "<A&B>"}}, None)
    )
    assert message.get_content_type() == "text/plain"
    assert same_lines(message.get_content(), "Hi <A&B>")


def test_html_that_shows_nothing_has_no_text_part() -> None:
    message = built(prepare(html='<img src="https://a.example/x.png">').render({}, None))
    assert message.get_content_type() == "text/html"


def test_a_subject_is_one_line() -> None:
    found = prepare(subject=" {{ x }} Bcc: {{ x }}").render({"x": "a\u2028b\x00\x85\r\nc"}, None)
    assert found.subject == "a b c Bcc: a b c"
    assert built(found)["Bcc"] is None
    for literal in ("a\r\nBcc: eve@example.com", "a\nb", "a\r"):
        with pytest.raises(FieldError, match="subject: a subject is one line"):
            prepare(subject=literal)
    with pytest.raises(FieldError, match="subject: longer than 998"):
        prepare(subject="{{ x }}").render({"x": "a" * 999}, None)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"subject": "{{ foo }}"}, "subject: line 1, column 4: unknown variable 'foo'"),
        ({"html": "a\n{{ x"}, "html: line 2, column 1: {{ is never closed"),
        ({"text": "{% if x %}"}, "text: line 1"),
        ({"from_": "shop"}, "from: 'shop' is not an email address"),
        ({"from_": "Shop <shop@example.com>\nBcc: a@b.c"}, "from: an address has no line breaks"),
        ({"from_": "{{ y }}"}, "from: line 1, column 4: unknown variable 'y'"),
        ({"reply_to": "a@b.c, d@e.f"}, "reply_to: "),
        ({"html": None}, "html: a mail needs an html or a text"),
        ({"text": "{% set _footer = '' %}a"}, "text: line 1, column 8: the name '_footer' is taken"),
        (
            {"html": "{% for x, _open in contact %}a{% endfor %}"},
            "html: line 1, column 11: the name '_open' is taken",
        ),
    ],
)
def test_what_is_wrong_is_said_when_it_is_saved(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FieldError) as caught:
        prepare(**fields)
    assert str(caught.value).startswith(complaint)
    assert str(caught.value) == f"{caught.value.field}: {caught.value.detail}"


@pytest.mark.parametrize("field", ["from_", "reply_to"])
@pytest.mark.parametrize("address", ["nobody", "a@b.c\r\nBcc: d@e.f", "A <a@b.c>\nX: y", "a@b.c>, <d@e.f"])
def test_a_rendered_address_that_is_none_is_refused(field: str, address: str) -> None:
    mail = prepare(**{field: "{{ x }}"})
    with pytest.raises(FieldError) as caught:
        mail.render({"x": address}, None)
    assert caught.value.field == field.rstrip("_")


def test_a_reply_address_that_renders_to_nothing_is_left_out() -> None:
    assert prepare(reply_to="{{ contact.reply }}").render({"contact": {}}, None).reply_to is None


# --- building -------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]))
long_texts = st.tuples(st.text("aä€😀 .=-_?\t", max_size=30), st.integers(1, 90)).map(
    lambda pair: pair[0] * pair[1]
)


@given(texts | long_texts)
@example("=?utf-8?q?x?=")
@example("a" * 2000)
@example("word " * 400)
@example("two  spaces   three " * 10)
def test_any_subject_arrives(subject: str) -> None:
    assert built(rendered(subject=subject))["Subject"] == mime.clean(subject)


@given(texts | long_texts)
@example('He said "\\"')
@example("=?utf-8?q?x?= y")
@example("Shop, Inc. (x)")
@example("a@b.c")
@example("ä" * 200)
def test_any_name_arrives(name: str) -> None:
    message = built(rendered(from_=(name, "shop@example.com")), to=(name, "ada@example.com"))
    for header, address in (("From", "shop@example.com"), ("To", "ada@example.com")):
        (mailbox,) = message[header].addresses
        assert mailbox.addr_spec == address
        written = dict(message.raw_items())[header]
        assert shown_name(written, mailbox.display_name) == " ".join(mime.clean(name).split())


def shown_name(written: str, parsed: str) -> str:
    """A name as readers show it. Before 3.13 the parser leaves spaces between encoded words (RFC 2047, 6.2)."""
    if "=?" in written:
        pieces = decode_header(written.rpartition("<")[0].strip())
        parsed = "".join(piece.decode(charset or "ascii") for piece, charset in pieces)
    return " ".join(parsed.split())


@given(texts | long_texts, texts | long_texts | st.none())
@example("--=_hookline\r\nX: y", "--=_hookline--")
@example(".\r\n..\r\n", "From me\n.\n")
@example("a\rb\nc\r\nd\n\re", "\x00\x0c\x1a")
@example("trailing \nspace\t\n ", "a" * 5000)
def test_any_body_arrives(text: str, html: str | None) -> None:
    message = built(rendered(text=text, html=html))
    assert same_lines(content(message, "plain"), text)
    if html is not None:
        assert same_lines(content(message, "html"), html)


@given(texts | long_texts)
def test_any_value_of_an_extra_header_arrives(value: str) -> None:
    message = built(rendered(), extra=[("X-Hookline-Message", value)])
    assert message["X-Hookline-Message"] == mime.clean(value)
    assert len(message.keys()) == 9


@pytest.mark.parametrize(
    "options",
    [
        {"message_id": "a>\r\nBcc: b"},
        {"date": "now\r\nBcc: b"},
        {"list_unsubscribe_url": "https://a.example/>\r\nBcc: b"},
        {"list_unsubscribe_url": "javascript:alert(1)"},
        {"list_unsubscribe_url": "https://a.example/" + "a" * 1000},
        {"extra": [("X:", "a")]},
        {"extra": [("X\r\nBcc", "a")]},
        {"extra": [("Bcc", "a@b.c")]},
        {"extra": [("content-type", "text/html")]},
    ],
)
def test_what_cannot_be_a_header_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Message-ID|header|URL"):
        built(rendered(), **options)


@pytest.mark.parametrize(
    "to", ["ada", "a@b.c\r\nBcc: d@e.f", "a@b.c>, <d@e.f", "jörg@example.com", ("x", ""), "a b@c.d"]
)
def test_a_recipient_that_is_none_is_refused(to: Any) -> None:
    with pytest.raises(FieldError, match="to: "):
        built(rendered(), to=to)


def test_mostly_latin_text_stays_readable_and_other_text_stays_short() -> None:
    latin = compose.build(
        rendered(text="Grüße aus Köln und so weiter " * 20),
        to="a@b.c",
        message_id="x",
        date=0,
    )
    assert b"Content-Transfer-Encoding: quoted-printable" in latin
    other = compose.build(rendered(text="привет " * 50), to="a@b.c", message_id="x", date=0)
    assert b"Content-Transfer-Encoding: base64" in other
    assert b"Content-Transfer-Encoding: 7bit" in compose.build(rendered(), to="a@b.c", message_id="x", date=0)
