"""Request bodies: read within their limit, decoded strictly, with errors that name the field."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.types import Receive
from litestar.typing import FieldDefinition

from hookline.api.errors import ApiError, from_validation, invalid
from hookline.model import HookInput
from hookline.rules import payload

T = TypeVar("T")
MIB = 1024 * 1024
MAX_BODY = MIB
MAX_EVENTS = 8 * MIB
MAX_IN = 8 * MIB
MAX_MAIL = 25 * MIB

# msgspec has the same words for a body that ends within a value, and for an escape that does.
_HALF = "it ends too early, or a text in it has half of a surrogate pair (\\ud800 to \\udfff)"

# What the contract has and this version has not: refused, never stored and ignored.
LATER_IN_HOOK = frozenset(
    {
        "/wait", "/unless",
    }
)  # fmt: skip
LATER: Mapping[Any, frozenset[str]] = {
    HookInput: LATER_IN_HOOK,
}


def later(kind: Any) -> frozenset[str]:
    """Pointers of what is known but not built; a type of the API's own names them as its ``LATER``."""
    named: frozenset[str] = getattr(kind, "LATER", frozenset())
    return LATER.get(kind, named)


def decode(body: bytes, kind: type[T]) -> T:
    """A JSON body as ``kind``. ApiError 400 for what is no JSON in UTF-8, 422 for what is not ``kind``."""
    try:
        plain = msgspec.json.decode(body)
        value = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise from_validation(error, kind, later(kind)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise unreadable(error) from None
    except RecursionError:
        raise ApiError(400, "the JSON is nested too deeply") from None
    try:
        payload.check_depth(body, plain)
    except ValueError as error:
        raise ApiError(422, str(error)) from None
    if b"\\u0000" in body:
        refuse_nul(plain)
    return value


def convert(value: object, kind: type[T]) -> T:
    """Plain values as ``kind``; ApiError 422 for what is not ``kind``."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise from_validation(error, kind, later(kind)) from None


def unreadable(error: Exception) -> ApiError:
    """400 for a body that is no JSON."""
    why = _HALF if str(error) == "Input data was truncated" else str(error)
    return ApiError(400, f"the body is not JSON: {why}" if why else "the body is not JSON")


def refuse_nul(value: object, pointer: str = "") -> None:
    """ApiError 422 for a NUL character in any text: PostgreSQL's text cannot hold it."""
    if isinstance(value, str) and "\0" in value:
        raise invalid(pointer, "a text cannot contain NUL characters")
    if isinstance(value, dict):
        for name, item in value.items():
            refuse_nul(name, pointer)
            refuse_nul(item, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            refuse_nul(item, f"{pointer}/{place}")


def check_encoding(coding: str) -> None:
    """ApiError 415 (RFC 9110, 15.5.16) for a body that is packed."""
    if coding.strip().lower() not in ("", "identity"):
        raise ApiError(
            415,
            f"send the body as it is, without Content-Encoding: {coding}",
            headers={"accept-encoding": "identity"},
        )


def check_json_type(content_type: str) -> None:
    """ApiError 415 unless a content type is JSON's, or absent."""
    media = content_type.partition(";")[0].strip().lower()
    if (
        media
        and media != "application/json"
        and not (media.startswith("application/") and media.endswith("+json"))
    ):
        raise ApiError(415, f"send application/json, not {media}")


def limited(receive: Receive, headers: Iterable[tuple[bytes, bytes]], limit: int) -> Receive:
    """``receive``, but ApiError 413 as soon as the body is known to exceed ``limit`` bytes.

    The connection stays open: the server reads on and drops what still comes, so that a client that is
    still sending gets to see the answer.
    """
    announced = dict(headers).get(b"content-length", b"0")
    size = int(announced) if announced.isdigit() and int(announced) > limit else 0

    async def counted() -> Any:
        nonlocal size
        if size <= limit:
            message: Mapping[str, Any] = await receive()
            size += len(message.get("body", b""))
            if size <= limit:
                return message
        raise ApiError(413, f"the body is larger than {limit} bytes")

    return counted


async def read(receive: Receive) -> bytes:
    """The whole body of an ASGI request."""
    chunks: list[bytes] = []
    while True:
        message: Mapping[str, Any] = await receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "the connection ended within the body")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class JsonBody(AbstractDTO[Any]):
    """Hands a handler's ``data`` over to ``decode``, so that types are strict and errors name the field.

    Litestar's own reading of bodies takes "1" for a number and tells neither pointers nor unknown fields.
    """

    model_type = cast("type[Any]", object)

    def decode_bytes(self, value: bytes) -> Any:
        handler: Any = self.asgi_connection.route_handler
        check_encoding(self.asgi_connection.headers.get("content-encoding", ""))
        check_json_type(self.asgi_connection.headers.get("content-type", ""))
        return decode(value, handler.parsed_data_field.annotation)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Nothing to prepare: ``decode`` knows the type."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """The schema of the type itself."""
        return cast("Reference | Schema", schema_creator.for_field_definition(field_definition))

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False
