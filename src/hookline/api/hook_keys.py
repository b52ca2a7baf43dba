"""What a hook's webhooks are signed with: made, brought, shown, rotated."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType

from hookline.api.errors import ApiError, invalid, not_found
from hookline.model import DAY, Hook, HookInput, SigningKey, Strict, WebhookAction
from hookline.rules import signing
from hookline.rules.times import format_time, parse_duration

LONGEST_GRACE = 30 * DAY


class OldKey(Struct, frozen=True, kw_only=True):
    """A key that was rotated and signs ``until`` then: a secret, or the public half of a key pair."""

    key: str
    until: str


class Keys(Struct, frozen=True, kw_only=True):
    """``public_key`` is there where the hook has an Ed25519 key pair, ``previous`` during a grace."""

    secret: str
    public_key: str | UnsetType = UNSET
    previous: list[OldKey] | UnsetType = UNSET


class RotateInput(Strict, frozen=True, kw_only=True):
    """``grace`` is how long the old keys sign beside the new ones, at most 30 days; ``secret`` is your own."""

    grace: str = "24h"
    secret: str | None = None


def shown(hook: Hook, now: int) -> Keys:
    """The keys that sign now. ApiError 404 for a hook whose action is not signed."""
    keys = signing.alive(hook.keys, now)
    if not keys:
        raise not_found("secret of", hook.id)
    previous = [
        OldKey(key=_public(key.text), until=format_time(key.until)) for key in keys if key.until is not None
    ]
    return Keys(
        secret=_newest(keys, signing.SECRET) or "",
        public_key=public_key(hook) or UNSET,
        previous=previous or UNSET,
    )


def secret(hook: Hook) -> str | None:
    """The newest secret."""
    return _newest(hook.keys, signing.SECRET)


def public_key(hook: Hook) -> str | None:
    """The public half of the newest key pair."""
    private = _newest(hook.keys, signing.PRIVATE)
    return signing.public_key(private) if private else None


def keys_for(spec: HookInput, before: Sequence[SigningKey], now: int) -> tuple[SigningKey, ...]:
    """What the webhooks of a hook are signed with: what there was, what the user brought, what is missing.

    A secret that the user brings takes the place of all before it, at once.
    """
    if not isinstance(spec.do, WebhookAction):
        return ()
    keys = signing.alive(before, now)
    if spec.secret is not None and spec.secret != _newest(keys, signing.SECRET):
        keys = (SigningKey(spec.secret), *(key for key in keys if not key.text.startswith(signing.SECRET)))
    if _newest(keys, signing.SECRET) is None:
        keys = (SigningKey(_new(signing.SECRET)), *keys)
    if "v1a" in spec.do.signatures and _newest(keys, signing.PRIVATE) is None:
        keys = (*keys, SigningKey(_new(signing.PRIVATE)))
    return keys


def rotated(hook: Hook, wish: RotateInput, now: int) -> tuple[SigningKey, ...]:
    """The keys with new ones in front: a secret, and a key pair if the hook has one. ApiError for a bad wish."""
    if not hook.keys:
        raise ApiError(409, "only webhooks are signed, so there is nothing to rotate")
    try:
        grace = parse_duration(wish.grace)
    except ValueError as error:
        raise invalid("/grace", str(error)) from None
    if grace > LONGEST_GRACE:
        raise invalid("/grace", "the old keys sign for 30d at most; 0s ends them at once")
    if wish.secret is not None:
        check_secret(wish.secret, "/secret")
        if any(key.text == wish.secret for key in hook.keys):
            raise invalid(
                "/secret", "the hook has this secret already; bring another, or none to have one made"
            )
    fresh = [wish.secret or _new(signing.SECRET)]
    if _newest(hook.keys, signing.PRIVATE) is not None:
        fresh.append(_new(signing.PRIVATE))
    try:
        return signing.rotated(hook.keys, fresh, now, grace)
    except ValueError as error:
        raise ApiError(409, str(error)) from None


def check_secret(text: str, pointer: str) -> None:
    """ApiError 422 for what is no secret."""
    try:
        signing.parse_secret(text)
    except ValueError as error:
        raise invalid(pointer, str(error)) from None


def _newest(keys: Sequence[SigningKey], prefix: str) -> str | None:
    return next((key.text for key in keys if key.text.startswith(prefix)), None)


def _new(prefix: str) -> str:
    random = secrets.token_bytes(32)
    return signing.new_secret(random) if prefix == signing.SECRET else signing.new_private_key(random)


def _public(key: str) -> str:
    return signing.public_key(key) if key.startswith(signing.PRIVATE) else key
