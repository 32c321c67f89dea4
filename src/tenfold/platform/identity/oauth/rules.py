"""What OAuth decides without asking anyone: redirect addresses, scopes, proofs of possession, how tokens are built."""

import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from typing import NamedTuple
from urllib.parse import SplitResult, unquote_plus, urlencode, urlsplit

from tenfold.platform.identity import rules
from tenfold.platform.identity.oauth.errors import InvalidRequest, InvalidScope, OAuthError, UnsupportedResponseType
from tenfold.platform.identity.oauth.types import AuthorizationRequest, ClientCredentials, StoredApplication
from tenfold.platform.identity.scopes import SCOPES, covers

#: Instead of an address to go to: the code is shown to the person, who takes it to the application.
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
#: Seconds that a code waits to be exchanged (RFC 6749, 4.1.2, allows ten minutes at most).
CODE_LIFE = 600
#: Seconds of access to an account for an application that can renew it: one that asked for OFFLINE_ACCESS. Other tokens
#: stay until they are revoked, because Mastodon's clients never renew.
ACCESS_LIFE = 3600
OFFLINE_ACCESS = "offline_access"
DEFAULT_SCOPE = "read"

#: What was granted by one account, and the tokens of one application for itself. Those idle longest make room.
MAX_GRANTS = 100
MAX_APPLICATION_ACCESSES = 100
MAX_REDIRECT_URIS = 10
#: Seconds between two notes that an application acts for itself, and after which one is deleted that neither does so
#: nor acts for any account.
APPLICATION_NOTED_EVERY = 24 * 3600
APPLICATION_IDLE = 7 * 24 * 3600

_MAX_URI = 2000
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-\"$-~]+", re.IGNORECASE)  # no white space, no fragment
#: Schemes that lead into the browser itself, or to something else than an application.
_NO_APPLICATION = frozenset(
    {"about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "mailto", "resource", "sms", "tel"}
    | {"urn", "vbscript", "view-source", "ws", "wss"}
)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
#: A SHA-256 digest in base64url without padding, and what it may be the digest of (RFC 7636, 4.1 and 4.2).
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
#: Letters and digits at the end of what renews a token that are new each time; the 21 before them stay.
_ROTATED = 22


class RefreshToken(NamedTuple):
    """What renews a token. The family tells one that was used before from one that never was."""

    text: str
    digest: bytes
    family: bytes


def redirect_uri_problem(uri: str) -> str | None:
    """What is wrong with an address that an application wants to be sent to."""
    if uri == OUT_OF_BAND:
        return None
    parts = _split(uri)
    if parts is None or len(uri) > _MAX_URI or not _URI.fullmatch(uri):
        return "Use absolute addresses without white space and without a fragment, of at most 2,000 characters."
    if parts.scheme in _NO_APPLICATION or (parts.scheme in ("http", "https") and not parts.hostname):
        return f"No application answers at {uri[:100]}."
    return None


def website_problem(website: str) -> str | None:
    """What is wrong with the address of an application's page."""
    parts = _split(website)
    readable = website.isprintable() and " " not in website and len(website) <= _MAX_URI
    if readable and parts and parts.scheme in ("http", "https") and parts.hostname:
        return None
    return "Use an address that begins with https:// or http://."


def redirects_to(registered: Iterable[str], uri: str) -> bool:
    """Whether an application registered this address: the very same, except for the port of this machine, which a
    program on it can't know beforehand (RFC 8252, 7.3).
    """
    return any(
        uri == each or (_portless(each) is not None and _portless(uri) == _portless(each)) for each in registered
    )


def _portless(uri: str) -> tuple[str, ...] | None:
    """An address on the machine of who follows it, without the port. None for others."""
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.username is not None:
        return None
    return parts.hostname or "", parts.path, parts.query, parts.fragment


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 (raises, too)
    except ValueError:
        return None
    return parts


def redirect(uri: str, **parameters: str | None) -> str:
    """The address with what it is to be told in its query."""
    told = urlencode({name: value for name, value in parameters.items() if value is not None})
    return f"{uri}{'&' if '?' in uri else '?'}{told}"


def shown_host(uri: str) -> str | None:
    """Where a redirect leads, for the person who decides about it: a host, or the scheme that an app answers to."""
    if uri == OUT_OF_BAND:
        return None
    parts = urlsplit(uri)
    return parts.netloc.rpartition("@")[2] if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def read_scopes(text: str | None) -> list[str]:
    """Words separated by white space, each once, in their order; DEFAULT_SCOPE when there are none."""
    return list(dict.fromkeys((text or "").split())) or [DEFAULT_SCOPE]


def first_refused(allowed: Sequence[str], wanted: Iterable[str]) -> str | None:
    """The first scope that there isn't, or that what is allowed doesn't cover."""
    return next((scope for scope in wanted if scope not in SCOPES or not covers(allowed, scope)), None)


def merged(scopes: Iterable[str]) -> list[str]:
    """Those scopes that none of the others covers, in the order in which they are explained."""
    all_of_them = set(scopes)
    return [each for each in SCOPES if each in all_of_them and not covers(all_of_them - {each}, each)]


def refusal(application: StoredApplication, request: AuthorizationRequest) -> OAuthError | None:
    """Why what an application asks for can't be put to a person, apart from who it is and where it wants to be told."""
    if request.response_type != "code":
        return UnsupportedResponseType()
    refused = first_refused(application.scopes, read_scopes(request.scope))
    if refused is not None:
        return InvalidScope(refused)
    if request.code_challenge is None:
        if application.secret_digest is None or request.code_challenge_method is not None:
            return InvalidRequest("A code_challenge is needed here (PKCE, RFC 7636).")
    elif request.code_challenge_method != "S256" or not _CHALLENGE.fullmatch(request.code_challenge):
        return InvalidRequest("The only code_challenge_method is S256; its code_challenge has 43 characters.")
    return None


def verified(verifier: str | None, challenge: str | None) -> bool:
    """Whether who brings a code made the challenge that it is bound to (RFC 7636, 4.6, with S256).

    A verifier without a challenge means that somebody took the challenge out of the request (RFC 9700, 4.8).
    """
    if not verifier or not challenge:
        return not verifier and not challenge
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return compare_digest(digest, challenge.encode())


def read_basic(authorization: str) -> ClientCredentials | None:
    """Client id and secret from an Authorization header of HTTP Basic (RFC 6749, 2.3.1); None for other schemes.

    Raises InvalidRequest when they can't be read.
    """
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError as error:
        raise InvalidRequest("The Authorization header can't be read.") from error
    return ClientCredentials(client_id=unquote_plus(client_id), client_secret=unquote_plus(secret))


def read_client_id(client_id: str) -> int | None:
    """The id of an application; None for what can't be one."""
    read = rules.read_public_id(client_id)
    return read.id if read and read.kind == rules.CLIENT and read.account_id == 0 else None


def new_refresh_token(account_id: int, grant_id: int, before: str | None = None) -> RefreshToken:
    """The first one of a grant, or the one after that which was used."""
    kept = before[:-_ROTATED] if before else rules.new_token(rules.REFRESH, account_id, grant_id)[:-_ROTATED]
    return read_refresh_token(kept + rules.new_secret(_ROTATED))


def read_refresh_token(text: str) -> RefreshToken:
    return RefreshToken(text, rules.digest(text), rules.digest(text[:-_ROTATED]))
