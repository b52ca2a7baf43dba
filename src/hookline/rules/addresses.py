"""Email addresses and phone numbers, as people write them and as they are compared."""

from __future__ import annotations

import re
import unicodedata

import idna
from email_validator import EmailNotValidError, validate_email

_NAMED = re.compile(r"(.*?)<([^<>]*)>", re.S)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_PLAIN_LABELS = re.compile(r"[a-z0-9.-]+")
# What nearly all addresses look like. The library takes 60 µs for one, which is a minute for a million of them.
_COMMON = re.compile(
    r"(?=.{1,64}@)(?=.{3,240}\Z)([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@"
    r"((?:(?=[^.]{1,63}\.)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+[A-Za-z]{2,63})"
)
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def parse_address(text: str) -> tuple[str, str]:
    """``Name <a@b>`` or ``a@b`` as (name, address); the name is "" where there is none.

    The address is ready for SMTP: an ASCII local part, the domain in IDNA (RFC 5890). Nothing is looked
    up. ``ValueError`` says what is wrong, in words for the one who wrote it.
    """
    if common := _COMMON.fullmatch(text):
        return "", f"{common[1]}@{common[2].lower()}"
    return _parse(text)


def _parse(text: str) -> tuple[str, str]:
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in text):
        raise ValueError("an address has no line breaks or control characters")
    named = _NAMED.fullmatch(text.strip())
    name, address = (named[1].strip(), named[2].strip()) if named else ("", text.strip())
    if quoted := _QUOTED.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", quoted[1]).strip()
    elif "<" in name or ">" in name or "@" in name:
        raise ValueError("one address is expected, as in: Name <name@example.com>")
    if not address:
        raise ValueError("an address is expected, as in: Name <name@example.com>")
    try:
        # One more label, for the library refuses names such as .local and .test, which private networks mail to.
        valid = validate_email(
            f"{address}.example", check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        raise ValueError(f"{address[:100]!r} is not an email address: {error}") from None
    return name, f"{valid.ascii_local_part}@{valid.ascii_domain.removesuffix('.example')}"


def normalise(address: str) -> str:
    """The one spelling under which an address is stored, found and counted; works on any text.

    Without white space around it, in Unicode's NFC, lower-case altogether (RFC 5321 lets the local part
    tell case apart; no server that people use does), the domain in IDNA where it is a valid name.
    """
    text = unicodedata.normalize("NFC", address.strip().lower())
    local, at, domain = text.rpartition("@")
    if not at or len(domain) > 255 or _PLAIN_LABELS.fullmatch(domain):
        return text
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode().lower()}"
    except (idna.IDNAError, UnicodeError):
        return text


def normalise_phone(text: str) -> str | None:
    """A number in E.164 (``+`` and 7 to 15 digits), or ``None`` where it is none.

    Spaces, dashes, dots, slashes, parentheses and a trunk ``(0)`` go; ``00`` before it becomes ``+``. A
    national number has no country to it, and is none.
    """
    number = re.sub(r"[\s\-./()\u2010-\u2015\u00a0]", "", text.replace("(0)", ""))
    if number.startswith("00"):
        number = "+" + number[2:]
    return number if _PHONE.fullmatch(number) else None
