"""What users write between braces: minijinja over plain data, bounded, with errors that have a place.

A template sees copies made by ``plain``: maps, lists, text, numbers, true, false and none. It cannot
change them, reach Python through them, load files or call what is not offered. What is undefined or none
renders as nothing. Rendering ends by itself: fuel bounds the steps, ``hookline.rules.tags`` what fuel
does not see, and ``MAX_OUTPUT`` the text.

Filters beside minijinja's own: ``money`` (two decimals), ``date(format)`` (of RFC 3339 text).
``default`` also stands in for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, cast

import minijinja
import msgspec

from hookline.rules.tags import OPERAND_FILTER, TemplateError, error_at, guarded, tags, used_names, words

__all__ = ["Template", "TemplateError", "compile", "plain"]

MAX_SOURCE = 256 * 1024  # characters
MAX_OUTPUT = 2 * 1024 * 1024  # characters
MAX_DEPTH = 100  # of maps and lists in what a template is given
FUEL = 200_000
HTML = "template.html"

_GLOBALS = ("cycler", "debug", "joiner", "namespace")  # mutable, or telling of the inside
_FUNCTIONS = frozenset(("dict", "range"))
_DATE_FORMAT = re.compile(r"(?:[^%]|%-?[aAbBcdefFGgHIjklmMnpPrRsSTuUVwWxXyYzZ%])*", re.S)
_LAST_PLACE = re.compile(r" \(in [^()]*:\d+\)$")


class Template:
    """A compiled template. ``names`` are the variables that it mentions."""

    def __init__(self, source: str, names: frozenset[str], environment: minijinja.Environment, name: str):
        self.source = source
        self.names = names
        self._environment = environment
        self._name = name

    def render(
        self, variables: Mapping[str, object], functions: Mapping[str, Callable[..., str]] | None = None
    ) -> str:
        """The text for these variables; raises ``TemplateError`` and nothing else.

        ``functions`` reach the template as they are: only for what Hookline itself weaves into a source.
        """
        try:
            context = {name: plain(variables[name]) for name in self.names if name in variables}
            text = self._environment.render_template(self._name, **context, **(functions or {}))
        except BaseException as error:  # noqa: BLE001 - a panic of the engine is none, and is told apart there
            raise _readable(error) from None
        if len(text) > MAX_OUTPUT:
            raise TemplateError(f"the result is longer than {MAX_OUTPUT} characters")
        # A slash needs no escape in HTML, and a URL that has them cannot be read or searched for.
        return text.replace("&#x2f;", "/") if self._name == HTML else text


def compile(source: str, variables: Collection[str], *, html: bool, limit: int = MAX_SOURCE) -> Template:
    """Check a source and make it ready. ``html`` escapes what is put in.

    ``TemplateError`` says what is wrong with it and where: syntax, a variable that is not among
    ``variables``, a function, filter or test that does not exist, more than ``limit`` characters.
    """
    if len(source) > limit:
        raise TemplateError(f"longer than {limit} characters")
    name = HTML if html else "template.txt"
    environment = _environment()
    ready = guarded(source)
    try:
        environment.add_template(name, source)
        mentioned = environment.undeclared_variables_in_template(name)
        if ready != source:
            environment.add_template(name, ready)
    except BaseException as error:  # noqa: BLE001 - as in render
        raise _readable(error, source) from None
    for kind, word in used_names(source):
        if not environment.eval_expr(f"name is {kind}", name=word.text):
            raise error_at(source, word.start, f"unknown {kind} {word.text!r}")
    names = frozenset(mentioned) - _FUNCTIONS
    for mentioned_name in sorted(names):
        if mentioned_name not in variables:
            raise _unknown(source, mentioned_name, variables)
    return Template(source, names, environment, name)


def plain(value: object, depth: int = 0) -> Any:
    """The value as templates see it: str, int, float, bool, None, or a dict or list of these.

    The dicts and lists are such that a template can neither change them nor reach anything through them.

    A whole Decimal becomes an int, another one a float if that is exactly the same number, else text, as
    integers beyond 64 bits do. Datetimes become RFC 3339 text in UTC (naive ones count as UTC).
    Raises ``TemplateError`` for anything else, and beyond ``MAX_DEPTH``.
    """
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value) + ""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if depth > MAX_DEPTH:
        raise TemplateError(f"the data is nested deeper than {MAX_DEPTH}")
    if type(value) in (_Map, _List):
        return value
    if type(value) is dict or isinstance(value, Mapping):  # the first is much quicker asked
        return _Map({str(key): plain(item, depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return _List([plain(item, depth + 1) for item in value])
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TemplateError(f"a value of type {type(value).__name__} cannot be used in a template")


def _number(value: Decimal) -> object:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


class _Method:
    """A method of ``_Map`` that, where it is read and not called, looks like an empty list.

    The engine takes ``order.items`` for the method where the map has no such key.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __get__(self, owner: object, _type: object = None) -> _Method:
        return _Method(lambda *arguments: self._call(owner, *arguments))

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Any:
        return iter(())

    def __str__(self) -> str:
        return ""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _without_methods(base: type) -> dict[str, object]:
    return {name: None for name in dir(base) if not name.startswith("_")} | {"__str__": _json}


# Like the types that they extend, as quick, but with nothing to call that changes or reveals anything.
_List = type("_List", (list,), _without_methods(list))
_Map = type(
    "_Map",
    (dict,),
    _without_methods(dict)
    | {
        "items": _Method(lambda map_: _List(dict.items(map_))),
        "keys": _Method(_List),
        "values": _Method(lambda map_: _List(dict.values(map_))),
        "get": _Method(lambda map_, key, other=None: dict.get(map_, key, other)),
    },
)


def _environment() -> minijinja.Environment:
    environment = minijinja.Environment(
        fuel=FUEL,
        undefined_behavior="chainable",
        keep_trailing_newline=True,
        finalizer=lambda value: "" if value is None else NotImplemented,
        filters={
            "money": _money,
            "date": _date,
            "default": _default,
            "d": _default,
            OPERAND_FILTER: _operand,
        },
    )
    environment.remove_filter("pprint")  # indents by depth, before any fuel is spent
    for name in _GLOBALS:
        environment.remove_global(name)
    return environment


def _money(value: object) -> str:
    """Two decimals, halves away from zero: 987.6 → 987.60. Nothing for nothing."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("money needs a number")
    try:
        return str(Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP))
    except InvalidOperation:
        raise ValueError(f"money needs a number, not {str(value)[:40]!r}") from None


def _date(value: object, format: str = "%Y-%m-%d") -> str:
    """RFC 3339 text by a strftime format without widths (which the C library pads without a bound)."""
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not isinstance(format, str):
        raise ValueError("date needs a time in RFC 3339 text, and a format")
    if not _DATE_FORMAT.fullmatch(format):
        raise ValueError(f"date cannot use the format {format[:40]!r}")
    try:
        return datetime.fromisoformat(value).strftime(format)
    except ValueError:
        raise ValueError(f"date needs a time in RFC 3339 text, not {value[:40]!r}") from None


def _default(value: object, other: object = "", boolean: bool = False) -> object:
    """The other value where there is none, or, with ``boolean``, where it is empty, zero or false."""
    for argument in (value, other):  # lists made in the template were copied to get here: only small ones
        if type(argument) in (list, dict, tuple):
            size = len(cast("list[object]", argument))
            if size > 100 or any(isinstance(item, list | dict | tuple) for item in cast("Any", argument)):
                raise ValueError("default works on values, not on long lists made in the template")
    return other if value is None or (boolean and not value) else value


def _operand(value: object) -> object:
    """What ``*`` may work on; see ``hookline.rules.tags``."""
    if value is None or isinstance(value, int | float | str):
        return value
    raise ValueError("* works on numbers")


def _unknown(source: str, name: str, variables: Collection[str]) -> TemplateError:
    """The error for a name that nothing stands behind, at its first mention."""
    for tag in tags(source):
        found = words(source, tag) if tag.kind in ("expression", "statement") else []
        for index, word in enumerate(found):
            if word.text != name or (index and found[index - 1].text in (".", "|")):
                continue
            called = index + 1 < len(found) and found[index + 1].text == "("
            if called and name == "code":
                return error_at(source, word.start, "code() is not available yet")
            known = ", ".join(sorted(variables)) or "none"
            text = f"unknown function {name!r}" if called else f"unknown variable {name!r}; known: {known}"
            return error_at(source, word.start, text)
    return TemplateError(f"unknown name {name!r}")


def _readable(error: BaseException, source: str | None = None) -> TemplateError:
    """Any failure of the engine as ours; what is none of its making goes on as it is.

    A column is given only where the engine saw the user's own source.
    """
    if isinstance(error, TemplateError):
        return error
    if isinstance(error, minijinja.TemplateError):
        if error.kind == "OutOfFuel":
            return TemplateError("the template does too much: a loop or its text is too long", error.line)
        message = error.detail or _LAST_PLACE.sub("", error.message)
        if source is not None and error.range is not None:
            before = source.encode()[: error.range[0]].decode(errors="ignore")
            return error_at(source, len(before), message)
        return TemplateError(message, error.line)
    if isinstance(error, RecursionError | MemoryError):
        return TemplateError("the data is nested too deep, or too large")
    if isinstance(error, ValueError):
        return TemplateError(str(error))
    if isinstance(error, AttributeError) and error.name:
        return TemplateError(f"calls {error.name!r} of a value that has no such method")
    if isinstance(error, AttributeError | TypeError):  # whose words are about Python's own names
        return TemplateError("calls what is no method or function, or with other arguments than it takes")
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        return TemplateError(f"failed: {error}")
    raise error
