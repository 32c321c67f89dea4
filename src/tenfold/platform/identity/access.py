"""Who asks? What one process needs to answer that for each request within microseconds."""

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hmac import compare_digest
from typing import Any

from tenfold.platform import telemetry
from tenfold.platform.bus import Bus
from tenfold.platform.cache import Cache
from tenfold.platform.db import Database, Tx
from tenfold.platform.hot import Hot
from tenfold.platform.identity import rules, store
from tenfold.platform.identity.errors import CrossSiteRefused
from tenfold.platform.identity.oauth import store as oauth
from tenfold.platform.identity.oauth.rules import APPLICATION_NOTED_EVERY
from tenfold.platform.identity.passwords import Passwords
from tenfold.platform.identity.signing import Signer, Verifier
from tenfold.platform.identity.types import ANONYMOUS, EVERYTHING, Credential, Principal
from tenfold.platform.ids import Ids
from tenfold.platform.limits import Limits
from tenfold.platform.settings import Settings


class Identity:
    """Accounts, sessions, keys and tokens, as one process holds them.

    A session or key is looked up by the public part of its token in a cache of three levels, so that a request costs
    no round trip while it is known here. Revoking takes it out of all levels at once; a process that missed the
    broadcast goes on for CREDENTIAL_LIFE seconds at most. An access token is verified by its signature alone, and lives
    on for its 15 minutes whatever is revoked meanwhile.
    """

    #: Seconds that a credential may be held, in each process and in Valkey, before the database is asked again.
    CREDENTIAL_LIFE = 60.0

    def __init__(
        self,
        db: Database,
        settings: Settings,
        ids: Ids,
        limits: Limits,
        hot: Hot,
        bus: Bus,
    ) -> None:
        self.db = db
        self.ids = ids
        self.limits = limits
        self.address = settings.address
        self.passwords = Passwords()
        self.signer = Signer(db, settings.address, settings.key("identity.signing"))
        self.verifier = Verifier(settings.address, self.signer.jwks)
        self.cookie = rules.session_cookie(settings.address, settings.cookie_domain)
        self.credentials = Cache(
            "identity",
            Credential,
            self._load,
            hot=hot,
            broadcast=bus.broadcast,
            ttl=self.CREDENTIAL_LIFE / 2,
            shared_ttl=self.CREDENTIAL_LIFE / 2,
        )

    async def authenticate(self, scope: Mapping[str, Any]) -> Principal:
        """Who sends an ASGI request or opens a WebSocket. A cookie that is no good is a stranger's.

        Raises BadCredential for a bearer token that is no good, CrossSiteRefused for a cookie that another site's page
        makes a browser send along with anything but reading.
        """
        headers: dict[bytes, bytes] = {}
        cookies = b""
        for name, value in scope["headers"]:
            if name == b"cookie":
                cookies += value + b";"  # HTTP/2 may send them one by one
            else:
                headers[name] = value
        bearer = rules.read_bearer(headers.get(b"authorization", b""))
        if bearer is not None:
            return await self.authenticate_bearer(bearer)
        cookie = rules.read_cookie(cookies, self.cookie.name) if cookies else None
        principal = await self._find(cookie, ("cookie",)) if cookie else None
        if principal is None:
            return ANONYMOUS
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        if not rules.cookie_may_act(method, rules.read_origin(headers)):
            raise CrossSiteRefused
        return principal

    async def authenticate_bearer(self, token: str) -> Principal:
        """Whom an API key, an application's token or an access token stands for. Raises BadCredential."""
        principal = await self._find(token, ("key", "oauth"))
        if principal is None:
            principal = self.verifier.peek(token) or await self.verifier.verify(token)
        return principal

    async def revoked(self, kind: str, account_id: int, ids: Sequence[int]) -> None:
        """Sessions (rules.SESSION), keys (rules.KEY) or tokens are deleted: let no process know them any longer."""
        await self.credentials.invalidate(rules.public_id(kind, account_id, each) for each in ids)

    async def _find(self, text: str, via: Collection[str]) -> Principal | None:
        token = rules.read_token(text)
        credential = await self.credentials.get(token.public_id) if token else None
        if token is None or credential is None or not compare_digest(credential.digest, token.digest):
            return None
        if credential.ends_at is not None and credential.ends_at <= time.time():
            return None
        return credential.principal if credential.principal.via in via else None

    async def _load(self, public_ids: Sequence[str]) -> dict[str, Credential]:
        found: dict[str, Credential] = {}
        # Fresh, because a replica that lags would bring back what has just been revoked.
        async with self.db.read(fresh=True) as tx:
            for public_id in public_ids:
                credential = await _load_one(tx, public_id)
                if credential is not None:
                    found[public_id] = credential
        return found


async def _load_one(tx: Tx, public_id: str) -> Credential | None:
    """A session, key or token from the database, where its use is noted once in a while."""
    read = rules.read_public_id(public_id)
    if read is None:
        return None
    kind, holder_id, own_id = read  # the holder is the application, for a token that it has for itself
    if kind == rules.SESSION:
        held = await store.find_session(tx, holder_id, own_id, rules.SESSION_IDLE, rules.SESSION_LIFE)
        noted_every, note = rules.SESSION_NOTED_EVERY, partial(store.note_session_seen, tx, holder_id, own_id)
    elif kind == rules.KEY:
        held = await store.find_key(tx, holder_id, own_id)
        noted_every, note = rules.KEY_NOTED_EVERY, partial(store.note_key_used, tx, holder_id, own_id)
    elif kind == rules.ACCESS:
        held = await oauth.find_access(tx, holder_id, own_id)
        noted_every, note = rules.KEY_NOTED_EVERY, partial(oauth.note_access_used, tx, holder_id, own_id)
    elif kind == rules.APPLICATION_ACCESS:
        held = await oauth.find_application_access(tx, holder_id, own_id)
        noted_every, note = APPLICATION_NOTED_EVERY, partial(oauth.note_application_used, tx, holder_id)
    else:
        return None
    if held is None or (held.left_seconds is not None and held.left_seconds <= 0):
        return None
    application = None
    if held.application_id is not None:
        application = await oauth.find_application(tx, held.application_id)
        if application is None:
            return None
    if held.unseen_seconds is None or held.unseen_seconds >= noted_every:
        await note(noted_every)
    principal = Principal(
        account_id=None if kind == rules.APPLICATION_ACCESS else holder_id,
        name=held.name,
        tier=held.tier or "anonymous",
        scopes=EVERYTHING if application is None else frozenset(held.scopes),
        via="oauth" if application else "cookie" if kind == rules.SESSION else "key",
        credential_id=own_id,
        application_id=held.application_id,
        application_name=application.name if application else None,
    )
    ends_at = None if held.left_seconds is None else time.time() + held.left_seconds
    return Credential(digest=held.digest, principal=principal, ends_at=ends_at)


@asynccontextmanager
async def open_identity(
    db: Database,
    settings: Settings,
    ids: Ids,
    limits: Limits,
    hot: Hot,
    bus: Bus,
) -> AsyncIterator[Identity]:
    """Identity for one process. Raises Unavailable while the event bus, which brings revocations, can't be reached."""
    identity = Identity(db, settings, ids, limits, hot, bus)
    credentials = identity.credentials
    telemetry.watch("cache", credentials, counters=credentials.COUNTERS, gauges="bytes", cache="identity")
    stop_listening = await bus.on_broadcast(credentials.subject, credentials.on_broadcast)
    forget_when_back = bus.on_reconnect(credentials.on_reconnect)
    try:
        yield identity
    finally:
        forget_when_back()
        await stop_listening()
        await credentials.close()
        identity.passwords.close()
