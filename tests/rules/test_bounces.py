"""Why mail came back. The answers are written in the style of common servers, not taken from a corpus."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.rules.bounces import MAX_TEXT, Reason, Stage, classify

DEAD = ("user_unknown", "host_unknown")


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "reason", "hard"),
    [
        # the address is dead
        (550, "5.1.1", "<ada@example.com>: Recipient address rejected: User unknown", "user_unknown", True),
        (550, "5.1.1", "", "user_unknown", True),
        (550, "5.1.1", "The email account that you tried to reach does not exist", "user_unknown", True),
        (550, None, "No such user here", "user_unknown", True),
        (550, None, "sorry, no mailbox here by that name", "user_unknown", True),
        (550, None, "Requested action not taken: mailbox unavailable", "user_unknown", True),
        (550, "5.5.0", "Requested action not taken: mailbox unavailable", "user_unknown", True),
        (554, None, "this user doesn't have a shop.example account", "user_unknown", True),
        (553, "5.3.0", "<ada@example.com>... User unknown", "user_unknown", True),
        (550, None, "Unrouteable address", "user_unknown", True),
        (550, "5.4.1", "Recipient address rejected: Access denied.", "user_unknown", True),
        (551, None, "", "user_unknown", True),
        (550, "5.1.2", "Host unknown", "host_unknown", True),
        (550, "5.1.10", "the domain has a null MX", "host_unknown", True),
        (556, None, "domain does not accept mail", "host_unknown", True),
        (None, "5.4.4", "Host or domain name not found", "host_unknown", True),
        (None, "5.1.1", "", "user_unknown", True),
        # temporary answers kill nobody
        (450, "4.1.1", "unverified recipient address: user unknown", "user_unknown", False),
        (450, "4.1.2", "Recipient address rejected: Domain not found", "host_unknown", False),
        (None, "4.1.1", "user unknown", "user_unknown", False),
        (450, "5.1.1", "user unknown", "user_unknown", False),
        # full, asleep, too big
        (552, "5.2.2", "over quota", "mailbox_full", False),
        (550, "5.2.2", "", "mailbox_full", False),
        (452, "4.2.2", "The email account is over its limits", "mailbox_full", False),
        (550, "5.1.1", "<ada@example.com> mailbox is full", "mailbox_full", False),
        (554, None, "the recipient's mailbox is over quota", "mailbox_full", False),
        (552, None, "", "mailbox_full", False),
        (550, "5.2.1", "The account you tried to reach is disabled", "mailbox_inactive", False),
        (550, "5.2.1", "mailbox not found or unavailable", "mailbox_inactive", False),
        (550, None, "User account suspended", "mailbox_inactive", False),
        (552, "5.3.4", "message size exceeds fixed limit", "message_too_large", False),
        (552, None, "Message size exceeds maximum permitted", "message_too_large", False),
        (523, None, "", "message_too_large", False),
        # refused for what we are or what we send
        (554, "5.7.1", "Client host [192.0.2.1] blocked using zen.spamhaus.org", "blocked", False),
        (550, "5.7.1", "see https://www.spamhaus.org/query/ip/192.0.2.1", "blocked", False),
        (550, "5.7.606", "Access denied, banned sending IP", "blocked", False),
        (550, "5.7.610", "", "blocked", False),
        (421, "4.7.0", "IP is temporarily blacklisted", "blocked", False),
        (550, "5.7.1", "blocked because of the very low reputation of the sending domain", "blocked", False),
        (554, None, "Message rejected as spam", "spam", False),
        (550, "5.7.1", "this message is likely unsolicited mail", "spam", False),
        (552, "5.7.0", "blocked: the attachment may be a security issue", "content", False),
        (554, "5.6.0", "", "content", False),
        (550, "5.7.26", "unauthenticated email is not accepted from this domain", "auth_failure", False),
        (
            550,
            "5.7.26",
            "blocked because the sender is unauthenticated. All have to use SPF or DKIM",
            "auth_failure",
            False,
        ),
        (550, "5.2.1", "RESOLVER.RST.MailboxDisabled", "mailbox_inactive", False),
        (550, "5.7.1", "this message is likely unsolicited mail. [It] has been blocked", "spam", False),
        (550, "5.7.515", "does not meet the required authentication level", "auth_failure", False),
        (550, "5.7.1", "SPF check failed", "auth_failure", False),
        (550, "5.7.23", "", "auth_failure", False),
        (550, "5.7.1", "Unable to relay for ada@example.com", "policy", False),
        (554, "5.7.1", "<ada@example.com>: Relay access denied", "policy", False),
        (550, "5.7.1", "", "policy", False),
        (550, "5.7.1", "User unknown to this policy server", "policy", False),
        (550, "5.7.0", "recipient not found in the list of permitted senders", "policy", False),
        (550, "5.1.8", "Domain of sender address shop@example.com does not exist", "policy", False),
        (450, "4.1.8", "Sender address rejected: Domain not found", "policy", False),
        (554, None, "rejected for policy reasons", "policy", False),
        # not now
        (450, "4.2.0", "Recipient address rejected: Greylisted, try again later", "greylisted", False),
        (451, "4.7.1", "Greylisting in action, please come back later", "greylisted", False),
        (450, "4.2.1", "The user is receiving mail at a rate that is too high", "rate_limited", False),
        (421, "4.7.28", "", "rate_limited", False),
        (550, "5.7.1", "too many messages from your address", "rate_limited", False),
        (550, "5.4.5", "Daily sending quota exceeded", "rate_limited", False),
        (452, "4.5.3", "", "rate_limited", False),
        (None, "4.4.7", "delivery time expired", "expired", False),
        (None, "5.0.0", "retry time not reached for any host after a long failure period", "expired", False),
        (None, "4.4.1", "connection timed out", "network", False),
        (None, None, "Connection refused", "network", False),
        (
            None,
            None,
            "unable to get mx info: failed to get IPs from PTR record: unrecognized address",
            "network",
            False,
        ),
        (452, "4.3.1", "Insufficient system storage", "system", False),
        (451, "4.3.0", "queue file write error", "system", False),
        (554, "5.4.6", "too many hops", "system", False),
        (421, None, "Service not available", "system", False),
        (501, "5.5.4", "Syntax error in parameters", "protocol", False),
        (503, None, "", "protocol", False),
        (553, "5.6.7", "the address needs SMTPUTF8 (RFC 6531)", "protocol", False),
        # nothing to go by
        (550, None, "", "other", False),
        (550, None, "no", "other", False),
        (554, "5.0.0", "delivery error", "other", False),
        (550, "nonsense", "?", "other", False),
    ],
)
def test_answers_of_servers(
    code: int | None, enhanced: str | None, text: str, reason: Reason, hard: bool
) -> None:
    assert classify(code, enhanced, text, "rcpt") == (reason, hard)


@pytest.mark.parametrize(
    "text",
    [
        "<spam@greylist.example>: user unknown",
        "host relay.spf.example said: user unknown",
        "user unknown, see https://help.example/mailbox-full/quota",
        "USER UNKNOWN (mx1.blacklist.example)",
    ],
)
def test_names_and_links_are_not_words(text: str) -> None:
    assert classify(550, None, text, "rcpt") == ("user_unknown", True)


def test_before_the_recipient_is_named_it_is_about_us() -> None:
    assert classify(550, "5.1.1", "user unknown", "mail") == ("policy", False)
    assert classify(550, "5.1.2", "no such host", "connect") == ("policy", False)
    assert classify(535, "5.7.8", "user unknown", "auth") == ("auth_failure", False)
    assert classify(554, None, "blocked by a blocklist", "connect") == ("blocked", False)


def test_silence_is_the_networks() -> None:
    assert classify(None, None, "", "connect") == ("network", False)
    assert classify(None, None, "", "data") == ("network", False)
    assert classify(None, None, "", "report") == ("other", False)


@given(
    st.none() | st.integers(200, 599),
    st.none() | st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True) | st.text(max_size=9),
    st.text(max_size=60) | st.sampled_from(["user unknown", "over quota, no such user", "no such host"]),
    st.sampled_from(get_args(Stage)),
)
def test_hard_is_rare_and_always_for_cause(
    code: int | None, enhanced: str | None, text: str, stage: Stage
) -> None:
    reason, hard = classify(code, enhanced, text, stage)
    assert reason in get_args(Reason)
    if hard:
        assert reason in DEAD
        assert stage in ("rcpt", "data", "report")
        assert code is None or code >= 500
        assert code is not None or (enhanced or "").startswith("5") or (not enhanced and stage == "report")


def test_a_long_text_costs_no_more_than_its_beginning() -> None:
    assert classify(550, None, "a" * MAX_TEXT + " user unknown", "rcpt") == ("other", False)


def test_a_name_that_does_not_exist_is_for_good() -> None:
    text = "DNS Error: DNS type 'mx' lookup of nowhere.example responded with code NXDOMAIN"
    assert classify(None, "4.0.0", text, "report") == ("host_unknown", True)
    assert classify(None, "4.0.0", text.replace("NXDOMAIN", "SERVFAIL"), "report") == ("network", False)
    text = "DNS type 'mx' lookup of nowhere.example responded with code NOERROR. It returned Null MX"
    assert classify(None, "4.0.0", text, "report") == ("host_unknown", True)
