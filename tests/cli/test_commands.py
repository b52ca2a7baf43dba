"""The commands that work on the database, beside a server or without one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hookline import __version__
from support.commands import CommandLine, Ran
from support.process import Serve
from support.receiver import Receiver

Typed = Callable[..., Ran]
Received = Callable[[int], Awaitable[None]]


def test_version(typed: Typed) -> None:
    assert typed("--version").out == f"hookline {__version__}\n"


def test_help_names_every_command(typed: Typed) -> None:
    shown = typed("--help").out
    for name in (
        "serve",
        "demo",
        "verify",
        "migrate",
        "check",
        "keys",
        "events",
        "hooks",
        "deliveries",
        "campaigns",
    ):
        assert re.search(rf"^\W*{name}\s", shown, re.M), name


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nothing"], "nothing"),
        (["keys", "create"], "--name"),
        (["keys", "create", "--name", "x", "--scope", "all"], "all"),
        (["keys", "create", "--name", "", "--scope", "read"], "name"),
        (["hooks", "test", "hook_x"], "hook_x"),
        (["hooks", "enable", "hook_x"], "hook_x"),
        (["hooks", "add"], "/on"),
        (["hooks", "add", '{"on": ["order.paid"], "do'], "JSON"),
        (["hooks", "add", '{"on": ["order.paid"], "doo": {}}'], "/doo"),
        (["hooks", "add", "--on", "email.nothing", "--url", "https://shop.example/"], "email.nothing"),
        (["hooks", "add", "--on", "order.paid", "--url", "https://10.0.0.1/"], "/do/url"),
        (["hooks", "add", "@/nowhere/hook.json"], "/nowhere/hook.json"),
        (["events", "publish", "email.opened"], "email.opened"),
        (["events", "publish", "order.paid", "{"], "JSON"),
        (["events", "publish", "order.paid", "--time", "soon"], "/time"),
        (["deliveries", "show", "dlv_x"], "dlv_x"),
        (["deliveries", "retry", "dlv_x"], "dlv_x"),
        (["deliveries", "list", "--state", "lost"], "lost"),
        (["campaigns", "stats", "cmp_x"], "cmp_x"),
        (["campaigns", "send", "cmp_x"], "HOOKLINE_SMTP_URL"),
    ],
)
def test_mistakes_are_one_sentence_that_names_them(typed: Typed, arguments: list[str], named: str) -> None:
    assert named in typed(*arguments).mistake


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve", "--listen", "nowhere"], "HOOKLINE_LISTEN"),
        (["serve", "--secret-key", "short"], "HOOKLINE_SECRET_KEY"),
        (["serve", "--public-url", "ftp://x"], "HOOKLINE_PUBLIC_URL"),
        (["serve", "--smtp-url", "http://x"], "SMTP"),
        (["serve", "--config", "/nowhere/hookline.toml"], "/nowhere/hookline.toml"),
    ],
)
def test_serve_says_what_it_cannot_start_with(run: CommandLine, arguments: list[str], named: str) -> None:
    assert named in run(*arguments).mistake


def test_another_secret_key_is_refused(typed: Typed) -> None:
    typed("migrate")
    assert "secret key" in typed("keys", "list", SECRET_KEY="ab" * 32).mistake


def test_settings_rise_from_file_to_variable_to_flag(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "hookline.toml"
    file.write_text('public_url = "https://file.example"\n')
    variable, flag = {"PUBLIC_URL": "https://variable.example"}, ("--public-url", "https://flag.example")
    assert "https://file.example" in typed("check", "--config", str(file)).out
    assert "https://file.example" in typed("check", CONFIG=str(file)).out
    assert "https://variable.example" in typed("check", "--config", str(file), **variable).out
    assert "https://flag.example" in typed("check", "--config", str(file), *flag, **variable).out


def test_check_says_what_does_not_work(typed: Typed) -> None:
    well = typed("check")
    assert well.code == 0
    assert well.out.count("ok  ") == 4
    deaf = typed("check", SMTP_URL="smtp://127.0.0.1:1")
    assert deaf.code == 1
    assert re.search(r"^FAIL +SMTP +127\.0\.0\.1:1: ", deaf.out, re.M)


def test_check_names_a_network_that_is_none(typed: Typed) -> None:
    checked = typed("check", ALLOW_TARGETS="10.0.0.0/8, inside")
    assert checked.code == 1
    assert re.search(r"^FAIL +settings +HOOKLINE_ALLOW_TARGETS: 'inside' ", checked.out, re.M)


def test_check_tells_a_wrong_key_for_the_database(typed: Typed) -> None:
    assert typed("migrate").code == 0
    checked = typed("check", SECRET_KEY="ab" * 32)
    assert checked.code == 1
    assert re.search(r"^FAIL +database ", checked.out, re.M)


def test_hooks_are_switched_on_and_off(typed: Typed) -> None:
    added = typed(
        "hooks", "add", "--on", "order.*", "--on", "email.sent", "--url", "https://shop.example/hooks"
    )
    hook, secret = added.out.split()
    assert secret.startswith("whsec_")
    listed = typed("hooks", "list").out
    assert "order.*,email.sent" in listed and "https://shop.example/hooks" in listed
    assert secret not in listed
    assert typed("hooks", "disable", hook).out == f"{hook} is off\n"
    assert typed("events", "publish", "order.paid", "{}").out.endswith(" 0 deliveries\n")
    assert typed("hooks", "enable", hook).out == f"{hook} is on\n"
    assert typed("events", "publish", "order.paid", "{}").out.endswith(" 1 delivery\n")
    assert re.search(r"order\.paid .* matched ", typed("events", "list", "--type", "order.*").out)


def test_an_event_may_come_from_standard_input_and_is_published_once(typed: Typed) -> None:
    publish = ("events", "publish", "order.paid", "-", "--id", "order-17")
    first, again = (typed(*publish, said='{"amount": 1.10}').out.split()[0] for _ in range(2))
    assert first == again
    assert "came before with another body" in typed(*publish, said='{"amount": 1.11}').err


async def test_what_a_command_publishes_is_delivered_by_the_server_beside_it(
    run: CommandLine, serve: Serve, receiver: Receiver, received: Received
) -> None:
    hook = run("hooks", "add", "--on", "order.paid", "--url", receiver.url).out.split()[0]
    event = run("events", "publish", "order.paid", '{"amount": 1.10}').out.split()[0]
    await received(1)
    assert receiver.got[0].headers["webhook-id"] == event
    assert b'"data":{"amount": 1.10}' in receiver.got[0].body
    listed = run("deliveries", "list", "--hook", hook)
    delivery = re.search(r"dlv_\w+", listed.out)
    assert delivery is not None
    shown = run("deliveries", "show", delivery[0]).out
    assert event in shown and "attempt 1" in shown and receiver.url in shown


async def test_a_hook_is_tried_without_a_delivery(run: CommandLine, receiver: Receiver) -> None:
    hook = run("hooks", "add", "--on", "order.paid", "--url", receiver.url).out.split()[0]
    receiver.answers = [204, 500]
    tried = await run.beside("hooks", "test", hook)
    assert (tried.code, tried.out) == (0, "ok 204\n")
    failed = await run.beside("hooks", "test", hook)
    assert failed.code == 1
    assert failed.out.startswith("FAILED http_status 500 ")
    assert len(receiver.got) == 2
    assert "no such deliveries" in run("deliveries", "list").err


def test_switching_a_hook_on_says_what_it_missed(typed: Typed) -> None:
    hook = typed("hooks", "add", "--on", "order.paid", "--url", "https://shop.example/").out.split()[0]
    typed("hooks", "disable", hook)
    typed("events", "publish", "order.paid")
    said = typed("hooks", "enable", hook).err
    assert "0 held, 1 missed" in said and f'"hook":"{hook}"' in said
    assert typed("hooks", "enable", hook).out == f"{hook} is on\n"
