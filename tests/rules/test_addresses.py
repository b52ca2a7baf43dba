"""Addresses and phone numbers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookline.rules.addresses import _COMMON, _parse, normalise, normalise_phone, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada@example.com", ("", "ada@example.com")),
        (" Ada Lovelace <ada@example.com> ", ("Ada Lovelace", "ada@example.com")),
        ('"Lovelace, Ada" <ada@example.com>', ("Lovelace, Ada", "ada@example.com")),
        ("Shop, Inc. <shop@example.com>", ("Shop, Inc.", "shop@example.com")),
        (r'"Ada \"A\" \\ L" <ada@example.com>', (r'Ada "A" \ L', "ada@example.com")),
        ("Käse <a@käse.example>", ("Käse", "a@xn--kse-qla.example")),
        ("<ada@example.com>", ("", "ada@example.com")),
        ("Ada.Love+x@Shop.test", ("", "Ada.Love+x@shop.test")),
        ("root@localhost", ("", "root@localhost")),
    ],
)
def test_an_address_is_taken_apart(text: str, expected: tuple[str, str]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected"),
        ("Ada", "not an email address"),
        ("Ada <>", "expected"),
        ("ada@", "not an email address"),
        ("@example.com", "not an email address"),
        ("ada@exa mple.com", "not an email address"),
        ("ada@example.com, bob@example.com", "not an email address"),
        ("Ada <ada@example.com>, Bob <bob@example.com>", "one address"),
        ("Ada <ada@example.com>\r\nBcc: eve@example.com", "line breaks"),
        ("Ada\nBcc: x <ada@example.com>", "line breaks"),
        ("Ada\u2028 <ada@example.com>", "line breaks"),
        ("jörg@example.com", "not an email address"),
        ("a" * 65 + "@example.com", "not an email address"),
        ("ada@" + "a" * 64 + ".com", "not an email address"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_address(text)


def test_one_person_has_one_spelling() -> None:
    assert normalise(" Ada@Example.COM ") == "ada@example.com"
    assert normalise("ada@KÄSE.example") == normalise("ada@ka\u0308se.example") == "ada@xn--kse-qla.example"
    assert normalise("Jo\u0308rg@example.com") == "jörg@example.com"
    assert normalise("not an address") == "not an address"
    assert normalise("a@" + "ü" * 5000) == "a@" + "ü" * 5000


@given(st.text() | st.emails() | st.tuples(st.text(), st.text()).map("@".join))
def test_a_normalised_address_stays_as_it_is(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.emails())
def test_an_address_that_can_be_mailed_still_can_when_normalised(text: str) -> None:
    try:
        _, address = parse_address(text)
    except ValueError:
        return
    assert parse_address(normalise(text))[1].lower() == address.lower()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+45 12 34 56 78", "+4512345678"),
        ("0045-12-34-56-78", "+4512345678"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("12345678", None),
        ("+0123456789", None),
        ("+12345", None),
        ("+1234567890123456", None),
        ("+45 12 34 ab", None),
        ("+٤٥١٢٣٤٥٦٧٨", None),
        ("", None),
    ],
)
def test_phone_numbers(text: str, expected: str | None) -> None:
    assert normalise_phone(text) == expected


@given(
    local=st.text("aZ09._+-", min_size=1, max_size=70),
    domain=st.text("aZ09.-", min_size=1, max_size=80),
)
@example(local="a" * 64, domain="x" * 63 + ".example")
@example(local="a" * 64, domain="x" * 64 + ".example")
@example(local="a", domain="xn--a.example")
@example(local="a.b", domain=".".join(["x" * 60] * 4))
def test_common_addresses_are_read_as_all_are(local: str, domain: str) -> None:
    text = f"{local}@{domain}"
    if _COMMON.fullmatch(text):
        assert parse_address(text) == _parse(text)
