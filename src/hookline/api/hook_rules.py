"""What a hook has to be before it is saved: everything it names exists, everything it says compiles."""

from __future__ import annotations

from collections.abc import Mapping

from hookline.actions import compile_hook
from hookline.actions.connected import aimed
from hookline.actions.email import prepare_action
from hookline.actions.work import CompiledHook, Invalid
from hookline.api.errors import invalid
from hookline.api.hook_keys import check_secret
from hookline.api.hook_view import HIDDEN
from hookline.mail.compose import FieldError
from hookline.mail.sender import filled
from hookline.model import Action, ContactAction, EmailAction, Hook, SlackAction, SmsAction, WebhookAction
from hookline.net.targets import TargetRefused
from hookline.rules.catalogue import known_types
from hookline.rules.matching import check_pattern
from hookline.services import Services


async def checked(services: Services, hook: Hook, base: str = "") -> CompiledHook:
    """The hook, compiled. ApiError 422, with a pointer below ``base``, for one that could not work."""
    spec = hook.spec
    for place, pattern in enumerate(spec.on):
        try:
            check_pattern(pattern, known_types())
        except ValueError as error:
            raise invalid(f"{base}/on/{place}", str(error)) from None
    action = spec.do
    await _target(services, hook.tenant, action, base)
    if spec.secret is not None:
        if not isinstance(action, WebhookAction):
            raise invalid(f"{base}/secret", "only webhooks are signed, so only they have a secret")
        check_secret(spec.secret, f"{base}/secret")
    if isinstance(action, WebhookAction) and HIDDEN in action.headers.values():
        raise invalid(
            f"{base}/do/headers", f"{HIDDEN} stands for a value that is not shown; write the value itself"
        )
    try:
        compiled = compile_hook(hook)
    except Invalid as error:
        raise invalid(base + error.pointer, error.detail) from None
    if isinstance(action, EmailAction) and action.template is not None:
        await _check_template(services, hook.tenant, action, base)
    if isinstance(action, ContactAction):
        await _check_lists(services, hook.tenant, action, base)
    return compiled


CONNECTIONS: Mapping[type[Action], str] = {WebhookAction: "http", SlackAction: "slack", SmsAction: "twilio"}


async def vet(services: Services, tenant: str, action: Action) -> None:
    """ApiError 422 for an action whose host leads, as DNS has it now, only where hooks may not reach."""
    url = await _target(services, tenant, action, "")
    try:
        if url is not None:
            await services.http.vet(url)
    except TargetRefused as error:
        raise invalid("/do/url", str(error)) from None


async def _target(services: Services, tenant: str, action: Action, base: str) -> str | None:
    """The URL that there is. ApiError 422 unless it may be reached, and the connection is there."""
    connection = None
    kind = CONNECTIONS.get(type(action), "")
    if isinstance(action, WebhookAction | SlackAction | SmsAction) and action.connection is not None:
        connection = await services.storage.access.connection(tenant, action.connection)
        if connection is None or connection.kind != kind:
            detail = f"there is no connection {action.connection} of kind {kind}"
            raise invalid(f"{base}/do/connection", detail)
    if isinstance(action, WebhookAction | SlackAction) and action.url is not None:
        url = action.url
        if connection is not None and isinstance(action, WebhookAction):
            try:
                url = aimed(url, connection)
            except Invalid as error:
                raise invalid(base + error.pointer, error.detail) from None
        check_url(services, url, f"{base}/do/url")
        return url
    return None


def check_url(services: Services, url: str, pointer: str) -> None:
    """ApiError 422 for a URL that no request would ever be sent to."""
    if url.endswith("/" + HIDDEN):
        raise invalid(pointer, "this is a URL as it is shown, without its secret; write the URL itself")
    try:
        services.http.check(url)
    except TargetRefused as error:
        raise invalid(pointer, str(error)) from None


async def _check_template(services: Services, tenant: str, action: EmailAction, base: str) -> None:
    template = await services.storage.templates.get(tenant, action.template or "")
    if template is None:
        raise invalid(f"{base}/do/template", f"there is no template {action.template!r}")
    try:
        prepare_action(filled(action, template))
    except FieldError as error:
        raise invalid(f"{base}/do/template", f"for a hook it does not do: {error}") from None


async def _check_lists(services: Services, tenant: str, action: ContactAction, base: str) -> None:
    for field, names in (("subscribe", action.subscribe), ("unsubscribe", action.unsubscribe)):
        for place, name in enumerate(names):
            if await services.storage.contacts.list_named(tenant, name) is None:
                raise invalid(f"{base}/do/{field}/{place}", f"there is no list {name}")
