"""GitHub's webhooks as "Validating webhook deliveries" has them."""

from __future__ import annotations

import hmac
from urllib.parse import urlencode

import pytest

from hookline.providers import Incoming, NotSigned
from hookline.providers.general import github

PROVIDER = github.PROVIDER
SECRET = {"secret": "It's a Secret to Everybody"}
DOCUMENTED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"  # of "Hello, World!"
PUSH = b'{"ref": "refs/heads/main", "repository": {"full_name": "octo/hello"}, "sender": {"login": "octo"}}'
HEADERS = {"x-github-event": "push", "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}


def signed(body: bytes, **headers: str) -> Incoming:
    mac = hmac.digest(SECRET["secret"].encode(), body, "sha256").hex()
    return Incoming({"x-hub-signature-256": f"sha256={mac}", **HEADERS, **headers}, body)


def test_the_documented_example() -> None:
    PROVIDER.verify(Incoming({"x-hub-signature-256": DOCUMENTED}, b"Hello, World!"), SECRET)
    for headers, body in (
        ({"x-hub-signature-256": DOCUMENTED}, b"Hello, World"),
        ({"x-hub-signature-256": DOCUMENTED.removeprefix("sha256=")}, b"Hello, World!"),
        ({"x-hub-signature-256": DOCUMENTED.replace("256", "1")}, b"Hello, World!"),
        ({"x-hub-signature-256": "sha256=é"}, b"Hello, World!"),
        ({"x-hub-signature": DOCUMENTED}, b"Hello, World!"),
    ):
        with pytest.raises(NotSigned):
            PROVIDER.verify(Incoming(headers, body), SECRET)


def test_a_push_as_json_and_as_a_form() -> None:
    form = urlencode({"payload": PUSH.decode()}).encode()
    for call in (signed(PUSH), signed(form, **{"content-type": "application/x-www-form-urlencoded"})):
        PROVIDER.verify(call, SECRET)
        [event] = PROVIDER.parse(call, SECRET)
        assert (event.type, event.id, event.raw) == ("github.push", HEADERS["x-github-delivery"], PUSH)
        assert (event.subject, event.known) == ("octo/hello", True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (signed(b"{17,"), "not JSON"),
        (signed(b"payload=%5B", **{"content-type": "application/x-www-form-urlencoded"}), "not JSON"),
        (signed(b"[" * 100_000), "nested|not JSON"),
    ],
)
def test_what_is_wrong_is_named(call: Incoming, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PROVIDER.parse(call, SECRET)


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("media", ["application/json", FORM, "text/plain", ""])
def test_the_documented_vector_is_taken_whatever_it_says_that_it_is(media: str) -> None:
    # "Validating webhook deliveries", Testing the webhook payload validation
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": signature, "content-type": media}
    call = Incoming(headers, b"Hello, World!")
    secret = {"secret": "It's a Secret to Everybody"}
    PROVIDER.verify(call, secret)
    [event] = PROVIDER.parse(call, secret)
    assert (event.type, event.raw) == ("github.event", b'"Hello, World!"')
    with pytest.raises(NotSigned):
        PROVIDER.verify(Incoming(headers, b"Hello, world!"), secret)
