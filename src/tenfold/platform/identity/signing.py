"""Access tokens: EdDSA JWTs (RFC 7519, RFC 8037) that any process verifies with public keys alone (JWKS, RFC 7517)."""

import asyncio
import os
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256

import jwt
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tenfold.platform.db import Database
from tenfold.platform.errors import Unavailable
from tenfold.platform.identity import store
from tenfold.platform.identity.errors import BadCredential
from tenfold.platform.identity.rules import TOKEN_LIFE, read_id
from tenfold.platform.identity.types import Principal, SigningKey, Tier

#: Seconds that a key signs; whoever signs first after that makes the next one.
ROTATE_AFTER = 30 * 24 * 3600
#: Seconds that a process signs with what it has read. A superseded key stays public for this and the life of a token.
REREAD_AFTER = 15 * 60
#: Seconds that public keys are good for without asking again, and between two questions about a key that isn't known.
JWKS_LIFE = 300
LEARN_EVERY = 1.0

_ALGORITHM = "EdDSA"
_AUDIENCE = "tenfold"
#: Keeps other kinds of JWT under the same keys from being taken for this one (RFC 8725, 3.11).
_TYPE = "at+jwt"
#: Longer ones aren't ours, and reading them would be work that a stranger ordered.
_MAX_TOKEN = 2048
_MAX_VERIFIED = 10_000


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 public key as RFC 8037 writes it."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = _ALGORITHM
    use: str = "sig"


class Jwks(msgspec.Struct, frozen=True, kw_only=True):
    keys: list[Jwk]


class _Claims(msgspec.Struct):
    """`exp` in seconds since 1970, `scope` separated by spaces."""

    sub: str
    name: str
    tier: Tier
    scope: str
    exp: int


class Verifier:
    """Tells whom an access token stands for. `load` gets the public keys, from the database or from a JWKS address.

    `load` may raise Unavailable; keys that are known already go on to be used then.
    """

    def __init__(self, issuer: str, load: Callable[[], Awaitable[Jwks]]) -> None:
        self._issuer = issuer
        self._load = load
        self._keys: dict[str, jwt.PyJWK] = {}
        #: Tokens verified already, and until when they are good: a signature costs 100 times what looking here does.
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._loaded_at = float("-inf")
        self._outage: Unavailable | None = None
        self._loading = asyncio.Lock()

    def peek(self, token: str) -> Principal | None:
        """Who it is, at once, when this very token has been verified before."""
        principal, ends_at = self._verified.get(token, (None, 0.0))
        return principal if ends_at > time.time() else None

    async def verify(self, token: str) -> Principal:
        """Who it is. Needs no call unless the key is new here, or all are old.

        Raises BadCredential; Unavailable when the key is unknown and the keys can't be had.
        """
        if len(token) > _MAX_TOKEN:
            raise BadCredential
        try:
            header = jwt.get_unverified_header(token)
            key_id = str(header.get("kid"))
            await self._learn(key_id)
            if header.get("typ") != _TYPE or key_id not in self._keys:
                raise BadCredential
            claims = jwt.decode(
                token,
                self._keys[key_id],
                algorithms=[_ALGORITHM],
                issuer=self._issuer,
                audience=_AUDIENCE,
                leeway=5,
                options={"require": ["exp", "iat"]},
            )
            read = msgspec.convert(claims, _Claims)
        except (jwt.PyJWTError, ValueError) as error:  # msgspec's errors are ValueErrors
            raise BadCredential from error
        account_id = read_id(read.sub)
        if account_id is None:
            raise BadCredential
        principal = Principal(
            account_id=account_id,
            name=read.name,
            tier=read.tier,
            scopes=frozenset(read.scope.split()),
            via="token",
        )
        self._verified[token] = principal, read.exp
        if len(self._verified) > _MAX_VERIFIED:
            self._verified.popitem(last=False)
        return principal

    async def _learn(self, key_id: str) -> None:
        """Load the keys when they are old or this one is missing. Who invents keys waits for it: one load a second."""
        asked_at = time.monotonic()
        if key_id in self._keys and asked_at - self._loaded_at < JWKS_LIFE:
            return
        async with self._loading:
            if self._loaded_at < asked_at:  # else somebody has loaded them while this one waited
                await asyncio.sleep(self._loaded_at + LEARN_EVERY - time.monotonic())
                self._loaded_at = time.monotonic()
                await self._reload()
        if self._outage is not None and key_id not in self._keys:
            raise self._outage

    async def _reload(self) -> None:
        try:
            jwks = await self._load()
        except Unavailable as error:
            self._outage = error
        else:
            self._outage = None
            self._keys = {jwk.kid: jwt.PyJWK(msgspec.to_builtins(jwk), _ALGORITHM) for jwk in jwks.keys}


class Signer:
    """Makes access tokens. The private keys lie in the database, sealed with AES-256-GCM under `seal` (32 bytes)."""

    def __init__(self, db: Database, issuer: str, seal: bytes) -> None:
        self._db = db
        self._issuer = issuer
        self._seal = AESGCM(seal)
        self._current: tuple[str, Ed25519PrivateKey] | None = None
        self._reread_at = 0.0

    async def sign(self, principal: Principal) -> str:
        """A token good for TOKEN_LIFE seconds, with the scopes of the principal."""
        if self._current is None or time.monotonic() > self._reread_at:
            await self._choose(new=False)
        assert self._current is not None
        key_id, private = self._current
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": _AUDIENCE,
            "sub": str(principal.account_id),
            "name": principal.name,
            "tier": principal.tier,
            "scope": " ".join(sorted(principal.scopes)),
            "iat": now,
            "exp": now + TOKEN_LIFE,
        }
        return jwt.encode(claims, private, _ALGORITHM, {"kid": key_id, "typ": _TYPE})

    async def rotate(self) -> None:
        """Sign with a new key from now on; other processes follow within REREAD_AFTER. Older tokens stay good."""
        await self._choose(new=True)

    async def jwks(self) -> Jwks:
        """The public keys, for everybody."""
        async with self._db.read(fresh=True) as tx:
            keys = await store.list_signing_keys(tx)
        return Jwks(keys=[Jwk(kid=key.kid, x=_base64url(key.public)) for key in keys])

    async def _choose(self, *, new: bool) -> None:
        async with self._db.transaction() as tx:
            await store.lock_signing_keys(tx)
            await store.delete_superseded_signing_keys(tx, after=REREAD_AFTER + TOKEN_LIFE + 60)
            newest = next(iter(await store.list_signing_keys(tx)), None)
            private = None
            if newest is not None and newest.age_seconds < ROTATE_AFTER and not new:
                private = self._open(newest)
            if newest is None or private is None:
                private = Ed25519PrivateKey.generate()
                public = private.public_key().public_bytes_raw()
                key_id = _base64url(sha256(public).digest()[:15])
                nonce = os.urandom(12)
                sealed = nonce + self._seal.encrypt(nonce, private.private_bytes_raw(), key_id.encode())
                await store.insert_signing_key(tx, key_id, public, sealed)
            else:
                key_id = newest.kid
        self._current, self._reread_at = (key_id, private), time.monotonic() + REREAD_AFTER

    def _open(self, key: SigningKey) -> Ed25519PrivateKey | None:
        """None when it was sealed under another master secret: such a key can only be superseded."""
        try:
            seed = self._seal.decrypt(key.sealed[:12], key.sealed[12:], key.kid.encode())
        except InvalidTag:
            return None
        return Ed25519PrivateKey.from_private_bytes(seed)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
