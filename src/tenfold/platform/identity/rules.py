"""What identity decides without asking anyone: names, passwords, the shape of tokens, which page may send a cookie."""

import hashlib
import re
import secrets
import string
import unicodedata
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

#: Seconds. A session ends when it was idle this long, and at last after its whole life.
SESSION_IDLE = 30 * 24 * 3600
SESSION_LIFE = 180 * 24 * 3600
#: Seconds between two notes of when a session was last seen, and a key last used.
SESSION_NOTED_EVERY = 600
KEY_NOTED_EVERY = 60
#: Of one account. The sessions that were idle longest make room; keys are refused.
MAX_SESSIONS = 100
MAX_KEYS = 100

#: Seconds an access token is good for; it can't be called back before.
TOKEN_LIFE = 15 * 60

SESSION = "ts"
KEY = "tf"
#: Of OAuth. Access to an account, or to nobody's (an application for itself), what renews the first, a code that turns
#: into it, and an application.
ACCESS = "ta"
APPLICATION_ACCESS = "tb"
REFRESH = "tr"
CODE = "tc"
CLIENT = "ti"

_NAME = re.compile(r"[A-Za-z0-9_]{3,30}")
_ALPHABET = string.digits + string.ascii_letters
_PUBLIC_ID = re.compile(r"t[sfabrci]_[0-9A-Za-z]{22}")
_TOKEN = re.compile(rf"{_PUBLIC_ID.pattern}_[0-9A-Za-z]{{43}}")
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

#: The most used passwords of leaked collections that are long enough to be accepted otherwise.
_COMMON = frozenset((resources.files(__package__) / "common_passwords.txt").read_text().split())


class Token(NamedTuple):
    """A session token, an API key or a token of OAuth, read apart. The digest of the whole is what is stored of it."""

    public_id: str
    digest: bytes


class SessionCookie(NamedTuple):
    name: str
    domain: str | None
    secure: bool


class Origin(NamedTuple):
    """The headers Sec-Fetch-Site, Origin and Host, in lower case; None for what wasn't sent."""

    site: str | None
    origin: str | None
    host: str | None


class PublicId(NamedTuple):
    """What the shown part of a token says."""

    kind: str
    account_id: int
    id: int


def name_problem(name: str) -> str | None:
    """What is wrong with the name of an account, for the person who chose it."""
    if _NAME.fullmatch(name):
        return None
    return "Use 3 to 30 letters, digits and underscores."


def label_problem(label: str) -> str | None:
    """What is wrong with words that people show each other or themselves: display names, names of keys."""
    if 1 <= len(label) <= 64 and label.isprintable() and not label.isspace():
        return None
    return "Use 1 to 64 visible characters."


def password_problem(password: str, name: str) -> str | None:
    """What is wrong with a new password: its length, or being known. No rules of mixture (NIST SP 800-63B)."""
    if len(password) < 8:
        return "Use at least 8 characters."
    if len(password.encode("utf-8", "surrogatepass")) > 256:
        return "Use at most 256 bytes."
    if password.casefold() == name.casefold():
        return "Use something else than your name."
    if password.casefold() in _COMMON:
        return "This is among the first passwords that an attacker tries."
    return None


def password_bytes(password: str) -> bytes:
    """The same bytes for the same password, however a keyboard composes letters. Too long ones stay wrong."""
    return unicodedata.normalize("NFKC", password[:257]).encode("utf-8", "surrogatepass")


def folded(name: str) -> str:
    """The form in which names are unique."""
    return name.lower()


def new_token(kind: str, account_id: int, id: int) -> str:
    """A token to hand out once: `<kind>_<public id>_<secret of 256 bits>`, which a double click selects as one word."""
    return f"{public_id(kind, account_id, id)}_{new_secret(43)}"


def new_secret(length: int) -> str:
    """So many random letters and digits, of 5.95 bits each."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def read_token(text: str) -> Token | None:
    """None for what can't be a session token, an API key or a token of OAuth."""
    if _TOKEN.fullmatch(text) is None:
        return None
    return Token(text[:25], digest(text))


def digest(token: str) -> bytes:
    """What is stored of a token. Its secret is random and long, so that nothing slower is needed."""
    return hashlib.sha256(token.encode()).digest()


def public_id(kind: str, account_id: int, id: int) -> str:
    """The part of a token that may be shown. It holds the account's id, so that the look-up knows its partition."""
    number, digits = account_id << 63 | id, ""
    for _ in range(22):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return f"{kind}_{digits}"


def read_public_id(text: str) -> PublicId | None:
    """None for what nobody has been given: it has another shape, or its numbers are too big."""
    if _PUBLIC_ID.fullmatch(text) is None:
        return None
    number = 0
    for digit in text[3:]:
        number = number * 62 + _ALPHABET.index(digit)
    return None if number >> 126 else PublicId(text[:2], number >> 63, number & (1 << 63) - 1)


def read_id(text: str) -> int | None:
    """A 64-bit id as clients send it; None for what can't be one."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        return None
    number = int(text)
    return number if number < 1 << 63 else None


def read_bearer(authorization: bytes) -> str | None:
    """The token of an Authorization header; None for other schemes, which are for somebody in front of us."""
    scheme, _, token = authorization.strip().partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def read_cookie(header: bytes, name: str) -> str | None:
    """One cookie of a Cookie header."""
    for pair in header.decode("latin-1").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return None


def shown_agent(agent: str) -> str:
    """A User-Agent header as far as it is kept, to tell one's sessions apart."""
    return "".join(char for char in agent[:200] if char.isprintable())


def session_cookie(address: str, domain: str | None) -> SessionCookie:
    """How the session cookie is set for a public address, shared among the hosts of a domain if there is one.

    The prefixes make browsers refuse such a cookie from an unencrypted page and, without a domain, from other hosts.
    """
    secure = address.startswith("https://")
    prefix = "" if not secure else "__Secure-" if domain else "__Host-"
    return SessionCookie(f"{prefix}tenfold_session", domain, secure)


def base_url(address: str, host: str, prefix: str) -> str:
    """Where a request found us, without a slash at the end: our scheme, its Host header if that is one, our prefix."""
    scheme, _, own = address.partition("://")
    return f"{scheme}://{host if _HOST.fullmatch(host) else own}{prefix}"


def read_origin(headers: Mapping[bytes, bytes]) -> Origin:
    """What an ASGI request's headers say of the page that sent it."""

    def read(name: bytes) -> str | None:
        value = headers.get(name)
        return None if value is None else value.decode("latin-1").lower()

    return Origin(read(b"sec-fetch-site"), read(b"origin"), read(b"host"))


def same_origin(sender: Origin) -> bool | None:
    """Whether a page of this host sent a request: None when the client doesn't say, as only other clients than browsers
    do. Believes Sec-Fetch-Site (W3C Fetch Metadata), or else compares Origin (RFC 6454) with Host.
    """
    if sender.site is not None:
        return sender.site in ("same-origin", "none")
    if sender.origin is None:
        return None
    scheme, _, authority = sender.origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is None or not sender.host:
        return False
    return authority.removesuffix(port) == sender.host.removesuffix(port)


def cookie_may_act(method: str, sender: Origin) -> bool:
    """Whether a cookie counts for this request: always for reading, else only when a page of this host surely sent it.

    The method of a WebSocket's handshake is "WEBSOCKET" here: a foreign page could otherwise talk through it.
    """
    return method in _SAFE_METHODS or same_origin(sender) is True
