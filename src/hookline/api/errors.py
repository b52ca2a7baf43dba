"""Errors as RFC 9457 problem details, for our own handlers and for what the framework refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import takewhile
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.typing import FieldDefinition
from msgspec import Struct

from hookline.api.choices import choices, said
from hookline.storage import StorageUnavailable

log = structlog.get_logger("hookline.api")

MEDIA_TYPE = "application/problem+json"
NOT_YET = "not available yet"
RETRY_AFTER = {"retry-after": "1"}
_PLACE = re.compile(r" - at (?:`key` in )?`(\$[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `([^`]*)`")
_VALUE = re.compile(r"Invalid (?:enum )?value ('(.*)'|-?\d+)$", re.S)


class Fault(Struct, frozen=True, omit_defaults=True):
    """One thing wrong: in the body (``pointer``, RFC 6901 as a fragment) or in the query (``parameter``)."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(Struct, frozen=True):
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault]


class ApiError(Exception):
    """What a handler raises to answer with an error."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, tuple(errors)
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(
            Problem("about:blank", title, self.status, self.detail or title, list(self.errors))
        )


def invalid(pointer: str, detail: str) -> ApiError:
    """422 for one field of the body; ``pointer`` is a JSON pointer such as ``/do/url``."""
    fault = Fault(detail, pointer="#" + pointer)
    return ApiError(422, f"{fault.pointer}: {detail}", [fault])


def bad_parameter(name: str, detail: str) -> ApiError:
    """422 for one parameter of the query."""
    return ApiError(422, f"{name}: {detail}", [Fault(detail, parameter=name)])


def not_found(what: str, name: str) -> ApiError:
    """404, also for what belongs to another tenant."""
    return ApiError(404, f"there is no {what} {name}")


def from_validation(
    error: msgspec.ValidationError, kind: Any = Any, later: frozenset[str] = frozenset(), base: str = ""
) -> ApiError:
    """What msgspec says about a body of type ``kind``, with its place as a JSON pointer below ``base``.

    ``later`` are pointers of fields, or ``pointer=value``, that the contract knows and we do not have yet.
    """
    text = str(error)
    place = _PLACE.search(text)
    detail = text[: place.start()] if place else text
    steps = _steps(place[1]) if place else []
    pointer = base + _pointer(steps)
    known = pointer.removeprefix(base)
    field, value = _FIELD.match(detail), _VALUE.match(detail)
    if field:
        pointer += "/" + escape(field[1])
        known += "/" + field[1]
        steps.append(field[1])
    elif value:
        known += "=" + (value[2] or value[1])
    if known in later:
        return invalid(pointer, NOT_YET)
    words = [] if "unknown" in detail else choices(kind, steps)
    if value and words:
        return invalid(pointer, said(value[1], words))
    return invalid(pointer, _in_words(detail) + (f": one of {', '.join(words)}" if words else ""))


def _steps(path: str) -> list[str]:
    return [name or index for name, index in _STEP.findall(path)]


def _pointer(steps: Sequence[str]) -> str:
    """As far as it is known: "..." is a key that msgspec does not tell, and its object is the nearest place."""
    return "".join("/" + escape(step) for step in takewhile(lambda step: step != "...", steps))


def escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _in_words(detail: str) -> str:
    field = _FIELD.match(detail)
    if field:
        return "unknown field" if "unknown" in detail else "this field is required"
    if detail == "Integer value out of range":  # of any number: what one may be is told in other words
        return "a whole number has more than 4300 characters"
    return (detail[:1].lower() + detail[1:]).replace("`", "")


# --- what Litestar calls --------------------------------------------------------------------------


def answer(error: ApiError) -> Response[bytes]:
    """The error as a response."""
    return Response(error.body(), status_code=error.status, media_type=MEDIA_TYPE, headers=error.headers)


def as_api_error(error: Exception) -> ApiError:
    """Any exception as an error to answer with; what nobody expected is logged and says nothing."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, StorageUnavailable):
        return ApiError(503, "the database is away or full; try again", headers=RETRY_AFTER)
    if isinstance(error, RecursionError):
        return ApiError(422, "the JSON is nested too deeply")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return ApiError(error.status_code, error.detail, headers=error.headers)
    log.error("a request failed by a fault of ours", exc_info=error)
    return ApiError(500, "something went wrong here; the log has the reason")


def parameter_name(argument: str, field: FieldDefinition) -> str:
    """What a handler's argument is called in the query."""
    return getattr(field.kwarg_definition, "name", None) or argument


def _of_parameters(error: ValidationException, arguments: Mapping[str, FieldDefinition]) -> ApiError:
    found: Any = error.extra
    faults: list[Fault] = []
    for one in found if isinstance(found, list) else []:
        name = str(one.get("key", ""))
        shown = parameter_name(name, arguments[name]) if name in arguments else name
        faults.append(Fault(_of_value(str(one.get("message", "")), arguments.get(name)), parameter=shown))
    if not faults:
        return ApiError(422, error.detail)
    if faults[0].parameter == "data":
        return ApiError(400, "the body is missing: send JSON")
    return ApiError(422, "; ".join(f"{fault.parameter}: {fault.detail}" for fault in faults), faults)


def _of_value(message: str, argument: FieldDefinition | None) -> str:
    value = _VALUE.match(message)
    words = choices(argument.annotation) if value and argument else []
    return said(value[1], words) if value and words else _in_words(message)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler for everything."""
    if isinstance(error, ValidationException):
        return answer(_of_parameters(error, request.route_handler.parsed_fn_signature.parameters))
    problem = as_api_error(error)
    if isinstance(error, NotFoundException):
        problem.detail = f"there is nothing at {request.url.path}"
    elif isinstance(error, MethodNotAllowedException):
        problem.detail = f"{request.method} is not for {request.url.path}"
    return answer(problem)
