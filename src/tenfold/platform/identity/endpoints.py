"""HTTP doors of identity, the same on every host. Decode, call one action, encode."""

from datetime import datetime
from typing import Any, Self

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import CacheControlHeader, Cookie, ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from tenfold.platform.errors import NotFound
from tenfold.platform.identity import actions, rules
from tenfold.platform.identity.access import Identity
from tenfold.platform.identity.errors import CrossSiteRefused
from tenfold.platform.identity.oauth.endpoints import CONTROLLERS as OAUTH
from tenfold.platform.identity.signing import JWKS_LIFE, Jwks
from tenfold.platform.identity.types import Account, ApiKey, ChangePassword, Principal, Session, SignIn, SignUp, Tier


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    display_name: str
    tier: Tier
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls(**(msgspec.structs.asdict(account) | {"id": str(account.id)}))


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in; null for a stranger."""

    account: AccountView | None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    agent: str
    created_at: datetime
    seen_at: datetime
    #: The one that asks.
    current: bool

    @classmethod
    def of(cls, session: Session, principal: Principal) -> Self:
        fields = msgspec.structs.asdict(session) | {"id": str(session.id)}
        return cls(**fields, current=session.id == principal.credential_id)


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    #: How the key begins, to recognise it by.
    prefix: str
    created_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(
            id=str(key.id),
            name=key.name,
            prefix=rules.public_id(rules.KEY, key.account_id, key.id),
            created_at=key.created_at,
            used_at=key.used_at,
        )


class AddKey(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class NewKeyView(msgspec.Struct, frozen=True, kw_only=True):
    key: KeyView
    #: The whole key, shown this once.
    secret: str


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """As RFC 6749 (5.1) answers."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105


class IdentityEndpoints(Controller):
    path = "/api/identity"
    tags = ("identity",)
    response_headers = (ResponseHeader(name="Cache-Control", value="no-store"),)

    @post("/signup")
    async def sign_up(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SignUp],
        identity: NamedDependency[Identity],
        ip: NamedDependency[str],
    ) -> Response[Me]:
        _refuse_other_sites(request)
        signed_in = await actions.sign_up(identity, data, ip=ip, agent=_agent(request))
        return _with_cookie(identity, signed_in)

    @post("/signin", status_code=200)
    async def sign_in(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SignIn],
        identity: NamedDependency[Identity],
        ip: NamedDependency[str],
    ) -> Response[Me]:
        _refuse_other_sites(request)
        signed_in = await actions.sign_in(identity, data, ip=ip, agent=_agent(request))
        return _with_cookie(identity, signed_in)

    @post("/signout", status_code=204)
    async def sign_out(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> Response[None]:
        await actions.sign_out(identity, principal)
        return Response(None, cookies=[_cookie(identity, "")])

    @post("/password", status_code=204)
    async def change_password(
        self,
        data: JSONBody[ChangePassword],
        identity: NamedDependency[Identity],
        principal: NamedDependency[Principal],
    ) -> None:
        await actions.change_password(identity, principal, data)

    @get("/me")
    async def me(self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]) -> Me:
        account = await actions.find_account(identity, principal)
        return Me(account=AccountView.of(account) if account else None)

    @get("/sessions")
    async def list_sessions(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> list[SessionView]:
        return [SessionView.of(session, principal) for session in await actions.list_sessions(identity, principal)]

    @delete("/sessions")
    async def revoke_sessions(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> Response[None]:
        await actions.revoke_sessions(identity, principal)
        return Response(None, cookies=[_cookie(identity, "")])

    @delete("/sessions/{session_id:str}")
    async def revoke_session(
        self, session_id: FromPath[str], identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> None:
        await actions.revoke_session(identity, principal, _id(session_id))

    @get("/keys")
    async def list_keys(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> list[KeyView]:
        return [KeyView.of(key) for key in await actions.list_keys(identity, principal)]

    @post("/keys")
    async def add_key(
        self, data: JSONBody[AddKey], identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> NewKeyView:
        new = await actions.add_key(identity, principal, data.name)
        return NewKeyView(key=KeyView.of(new.key), secret=new.token)

    @delete("/keys/{key_id:str}")
    async def revoke_key(
        self, key_id: FromPath[str], identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> None:
        await actions.revoke_key(identity, principal, _id(key_id))

    @post("/token", status_code=200)
    async def issue_token(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> AccessToken:
        token = await actions.issue_token(identity, principal)
        return AccessToken(access_token=token, expires_in=rules.TOKEN_LIFE)


class JwksEndpoints(Controller):
    path = "/.well-known/jwks.json"
    tags = ("identity",)

    @get(cache_control=CacheControlHeader(public=True, max_age=JWKS_LIFE))
    async def jwks(self, identity: NamedDependency[Identity]) -> Jwks:
        return await identity.signer.jwks()


#: Served on every host.
CONTROLLERS = (IdentityEndpoints, JwksEndpoints, *OAUTH)


def _with_cookie(identity: Identity, signed_in: actions.SignedIn) -> Response[Me]:
    return Response(Me(account=AccountView.of(signed_in.account)), cookies=[_cookie(identity, signed_in.token)])


def _cookie(identity: Identity, token: str) -> Cookie:
    """The session cookie; an empty one removes it."""
    name, domain, secure = identity.cookie
    life = rules.SESSION_LIFE if token else 0
    return Cookie(name, "/", token, life, domain=domain, secure=secure, httponly=True, samesite="lax")


def _refuse_other_sites(request: Request[Any, Any, Any]) -> None:
    """Another site's page mustn't sign a visitor in, to an account that isn't theirs. Raises CrossSiteRefused."""
    if rules.same_origin(rules.read_origin(dict(request.scope["headers"]))) is False:
        raise CrossSiteRefused


def _agent(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("user-agent", "")


def _id(text: str) -> int:
    """Raises NotFound for what can't be an id."""
    number = rules.read_id(text)
    if number is None:
        raise NotFound
    return number
