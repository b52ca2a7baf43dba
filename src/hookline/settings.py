"""Settings: a TOML file, ``HOOKLINE_*`` variables, flags, in rising order; each has a working default."""

from __future__ import annotations

import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import asdict, replace

# At most 189 octets, so that an address in it has no more than 254 (RFC 5321 4.5.3.1.3).
_DOMAIN = re.compile(
    r"(?=.{1,189}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)


class Settings(Struct, frozen=True, kw_only=True):
    """Where things are, and how long an end may take. Empty text means "not set".

    home            data folder: the SQLite file and the secret key
    listen          host:port of the HTTP server
    public_url      how the world reaches us; links and pixels in mails begin with it
    database        postgresql://…, or empty for SQLite in the home
    smtp_url        smtp://user:password@host:port?starttls=auto|always|never&provider=…, or smtps://…; several
                    between spaces or commas, the best first
    allow_targets   CIDRs, comma-separated, that hooks may reach although they are not public
    secret_key      64 hexadecimal digits, or empty for a file in the home
    bounce_domain   domain whose mail comes back to us: return paths and unsubscribe addresses are in it
    mail_listen     host:port of the SMTP server that takes that mail
    dkim_domain     domains, comma-separated, whose mails are signed
    dkim_selector   the name under which their public keys are in the DNS: one for all, or one for each
    dkim_key        private keys in PEM, or files of them: one for all, or one for each
    grace           seconds that SIGTERM gives to what is under way
    """

    home: str = ".hookline"
    listen: str = "127.0.0.1:8000"
    public_url: str = ""
    database: str = ""
    smtp_url: str = ""
    allow_targets: str = ""
    secret_key: str = ""
    bounce_domain: str = ""
    mail_listen: str = ""
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_key: str = ""
    grace: str = "10"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return _host_and_port(self.listen)

    @property
    def mail_address(self) -> tuple[str, int] | None:
        """Host and port to listen on for mail, if at all."""
        return _host_and_port(self.mail_listen) if self.mail_listen else None

    @property
    def grace_seconds(self) -> int:
        return int(self.grace)

    @property
    def base_url(self) -> str:
        """What our addresses begin with: the public URL, or while there is none, where we listen."""
        return self.public_url.rstrip("/") or f"http://{self.listen}"

    @property
    def storage_url(self) -> str | Path:
        """What ``open_storage`` takes."""
        return self.database or Path(self.home) / "hookline.db"


def load(
    environment: Mapping[str, str], flags: Mapping[str, str | None], file: Path | None = None
) -> Settings:
    """Read the settings. ValueError, naming the setting and the way out, for one that cannot be."""
    values: dict[str, str] = {}
    if file is not None:
        values |= _from_file(file)
    names = asdict(Settings())
    for name in names:
        text = environment.get(f"HOOKLINE_{name.upper()}")
        if text is not None:
            values[name] = text
    values |= {name: text for name, text in flags.items() if text is not None}
    settings = replace(Settings(), **values)
    _check(settings)
    return settings


def _from_file(file: Path) -> dict[str, str]:
    try:
        found = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{file}: {error}") from None
    known = asdict(Settings())
    for name, value in found.items():
        if name not in known:
            raise ValueError(f"{file}: there is no setting {name!r}; there are {', '.join(known)}")
        if not isinstance(value, str):
            raise ValueError(f"{file}: {name} is a text, in quotes")
    return found


def _check(settings: Settings) -> None:
    if not _is_address(settings.listen):
        raise ValueError(f"HOOKLINE_LISTEN is host:port, such as 127.0.0.1:8000, not {settings.listen!r}")
    if settings.mail_listen and not _is_address(settings.mail_listen):
        raise ValueError(
            f"HOOKLINE_MAIL_LISTEN is host:port, such as 0.0.0.0:25, not {settings.mail_listen!r}"
        )
    if settings.mail_listen and not settings.bounce_domain:
        raise ValueError("HOOKLINE_MAIL_LISTEN takes mail for HOOKLINE_BOUNCE_DOMAIN, which is not set")
    if settings.bounce_domain and not _DOMAIN.fullmatch(settings.bounce_domain):
        raise ValueError(
            "HOOKLINE_BOUNCE_DOMAIN is a domain such as bounces.shop.example (xn--… for an international one),"
            f" not {settings.bounce_domain[:100]!r}"
        )
    if settings.public_url:
        parts = urlsplit(settings.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(
                f"HOOKLINE_PUBLIC_URL is an http(s) address such as https://mail.example, not {settings.public_url!r}"
            )
    if not (settings.grace.isascii() and settings.grace.isdigit() and len(settings.grace) < 6):
        raise ValueError(f"HOOKLINE_GRACE is a number of seconds, such as 10, not {settings.grace!r}")
    if settings.database and not settings.database.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "HOOKLINE_DATABASE is postgresql://user:password@host/name; leave it empty for SQLite in the home"
        )
    if any((settings.dkim_domain, settings.dkim_selector, settings.dkim_key)):
        dkim_keys(settings)
    if settings.secret_key:
        _key(settings.secret_key, "HOOKLINE_SECRET_KEY")


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon and host and port.isascii() and port.isdigit() and int(port) < 65536)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def _key(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError(f"{where} has to be 64 hexadecimal digits (32 bytes)")
    return key


def dkim_keys(settings: Settings) -> list[tuple[str, str, bytes]]:
    """Domain, selector and private key (PEM) of each domain whose mails are signed. ValueError for what is amiss."""
    domains = _parts(settings.dkim_domain)
    columns = []
    for name, found in (
        ("SELECTOR", _parts(settings.dkim_selector)),
        ("KEY", _parts(settings.dkim_key)),
    ):
        if not domains and found:
            raise ValueError(f"HOOKLINE_DKIM_{name} is for HOOKLINE_DKIM_DOMAIN, which is not set")
        if domains and len(found) not in (1, len(domains)):
            raise ValueError(f"HOOKLINE_DKIM_{name} has one for all of HOOKLINE_DKIM_DOMAIN, or one for each")
        columns.append(found * len(domains) if len(found) == 1 else found)
    return [(domain, selector, _pem(key)) for domain, selector, key in zip(domains, *columns, strict=True)]


def _parts(text: str) -> list[str]:
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def _pem(text: str) -> bytes:
    if text.startswith("-----BEGIN"):
        return text.replace("\\n", "\n").encode()
    try:
        return Path(text).read_bytes()
    except OSError as error:
        raise ValueError(f"HOOKLINE_DKIM_KEY: {error}") from None


def secret_key(settings: Settings) -> bytes:
    """The installation's key: as set, else of the home's file, which is made (mode 0600) when absent."""
    if settings.secret_key:
        return _key(settings.secret_key, "HOOKLINE_SECRET_KEY")
    home = Path(settings.home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = home / "secret.key"
    if not file.exists() and not settings.database and (home / "hookline.db").exists():
        raise ValueError(
            f"{file} is missing, and without it the secrets in {home}/hookline.db cannot be read:"
            " put it back, or set HOOKLINE_SECRET_KEY"
        )
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _key(file.read_text(), str(file))
    with os.fdopen(handle, "w") as new:
        new.write(secrets.token_hex(32) + "\n")
        new.flush()
        os.fsync(new.fileno())
    return _key(file.read_text(), str(file))
