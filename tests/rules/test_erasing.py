"""What is about a person, and what is left of it."""

from __future__ import annotations

import json

import pytest

from hookline.rules.erasing import Needle, mark_of, remains

NEEDLE = Needle(["ctc_1", "ada@xn--kse-qla.example", "+4520123456"])


@pytest.mark.parametrize(
    "text",
    [
        "ada@xn--kse-qla.example", "Ada <ADA@xn--kse-qla.Example>", "mailto:ada@käse.example.", "ctc_1",
        "call +4520123456!", r'{"to": "ada\u0040k\u00e4se.example"}', '["x", {"ctc_1": null}]',
    ],
)  # fmt: skip
def test_what_is_about_the_person_is_found(text: str) -> None:
    assert NEEDLE.in_json(text.encode()) and (NEEDLE.in_text(text) or "\\" in text)


@pytest.mark.parametrize(
    "text",
    ["", "ada", "nada@käse.example", "ada@käse.example.org", "ctc_12", "+45201234567", r"{\u0040", "\\"],
)
def test_what_is_about_others_is_not(text: str) -> None:
    assert not NEEDLE.in_text(text) and not NEEDLE.in_json(text.encode())


def test_what_is_left_explains_figures_and_names_nobody() -> None:
    data = {
        "message": "dlv_1", "campaign": "cmp_1", "email": "ada@example.com", "machine": False, "reason": "blocked",
        "ip": "192.0.2.1", "list": {"name": "Ada"}, "detail": "550 ada@example.com",
    }  # fmt: skip
    raw = json.dumps(data).encode()
    kept = {"erased": True, "message": "dlv_1", "campaign": "cmp_1", "machine": False}
    assert json.loads(remains("email.bounced", raw)) == kept | {"reason": "blocked"}
    assert json.loads(remains("contact.refused", raw)) == kept
    assert json.loads(remains("order.paid", raw)) == {"erased": True}
    assert json.loads(remains("order.paid", b"")) == {"erased": True}


def test_a_mark_is_the_same_for_an_address_and_says_nothing_of_it() -> None:
    mark = mark_of(b"key", "default", "ada@example.com")
    assert mark == mark_of(b"key", "default", "ada@example.com") == mark_of(b"key", "default", mark)
    others = [
        (b"yek", "default", "ada@example.com"),
        (b"key", "other", "ada@example.com"),
        (b"key", "default", "b@x.y"),
    ]
    assert mark not in [mark_of(*other) for other in others]
