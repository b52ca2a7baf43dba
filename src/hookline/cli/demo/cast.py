"""The readers of the demo, and what each will do with the campaign's mail."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Fate = Literal["reads", "apple", "bounces", "suppressed", "complains", "unsubscribes"]
EARLY_HOURS = 24


class Reader(Struct, frozen=True, kw_only=True):
    """``opens`` and ``clicks`` are hours after the mail was sent; ``leaves`` when it is reported or left.

    ``opens_promo``: whether the promo mail is opened, too, should one come.
    """

    name: str
    fate: Fate = "reads"
    opens: tuple[float, ...] = ()
    clicks: tuple[float, ...] = ()
    leaves: float | None = None
    opens_promo: bool = False
    phone: str | None = None
    balance: str | None = None

    @property
    def email(self) -> str:
        return f"{self.name.lower()}@example.com"

    @property
    def is_early(self) -> bool:
        """Whether a person, not a machine, opens or clicks within a day of the sending."""
        acts = (*self.opens, *self.clicks)
        return self.fate != "apple" and any(hours <= EARLY_HOURS for hours in acts)

    @property
    def earns_promo(self) -> bool:
        return self.is_early and self.fate == "reads"


CAST: tuple[Reader, ...] = (
    Reader(
        name="Ada", opens=(0.3,), clicks=(0.4,), opens_promo=True, phone="+351210000001", balance="1200.30"
    ),
    Reader(name="Grace", opens=(1.0,), phone="+351210000002", balance="500.45"),
    Reader(name="Katherine", opens=(1.5,), clicks=(1.6,), opens_promo=True),
    Reader(name="Alan", opens=(2.0, 3.0)),
    Reader(name="Linus", opens=(4.2,), phone="+351210000003", balance="80.00"),
    Reader(name="Edith", clicks=(5.0,)),  # her program shows no pictures
    Reader(name="Margaret", opens=(6.0, 27.5)),
    Reader(name="Niels", opens=(7.3,)),
    Reader(name="Rosa", opens=(8.0,), clicks=(8.1,), opens_promo=True),
    Reader(name="Hedy", opens=(9.5,)),
    Reader(name="Omar", opens=(11.0,)),
    Reader(name="Chiara", opens=(12.5,), clicks=(12.6,)),
    Reader(name="Yuki", opens=(14.0,)),
    Reader(name="Pavel", opens=(15.5,)),
    Reader(name="Amara", opens=(18.0,)),
    Reader(name="Sven", opens=(20.0,), opens_promo=True),
    Reader(name="Barbara", opens=(23.9,)),
    Reader(name="Donald", opens=(24.1,)),
    Reader(name="Frida", opens=(25.0,)),
    Reader(name="Hugo", opens=(26.0,)),
    Reader(name="Ines", opens=(27.0,), clicks=(27.1,)),
    Reader(name="Kofi", opens=(28.5,)),
    Reader(name="Lena", opens=(29.5,)),
    Reader(name="Tim", fate="apple", opens=(0.1,)),
    Reader(name="Greta", fate="bounces"),
    Reader(name="Nora", fate="suppressed"),
    Reader(name="Victor", fate="complains", leaves=3.5),
    Reader(name="Ursula", fate="unsubscribes", leaves=5.5, opens=(6.5,)),
    *(Reader(name=name) for name in ("Bruno", "Dana", "Elif", "Felix", "Jonas", "Marta", "Oskar", "Paula")),
)
BY_EMAIL = {reader.email: reader for reader in CAST}


class Withdrawal(Struct, frozen=True):
    """Money taken from an account, ``hours`` after the mail was sent. Amounts are as JSON has them."""

    hours: float
    name: str
    amount: str
    place: str


WITHDRAWALS = (
    Withdrawal(10.2, "Ada", "200.10", "Lisboa, Rossio"),
    Withdrawal(13.0, "Linus", "120.00", "Porto, Ribeira"),  # more than he has
    Withdrawal(16.7, "Grace", "35.15", "Faro, Marina"),
)
