"""HTTP doors of OAuth: what applications call, what the page of consent calls, and what an account may still revoke."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Self

import msgspec
from litestar import Controller, Request, Response, delete, get, post, route
from litestar.datastructures import CacheControlHeader, ResponseHeader
from litestar.di import NamedDependency
from litestar.enums import HttpMethod, RequestEncodingType
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from tenfold.platform.errors import Invalid, NotFound, TenfoldError
from tenfold.platform.identity import rules as identity_rules
from tenfold.platform.identity.access import Identity
from tenfold.platform.identity.oauth import actions, rules
from tenfold.platform.identity.oauth.errors import InvalidRequest
from tenfold.platform.identity.oauth.types import (
    AuthorizationRequest,
    AuthorizedApplication,
    ClientCredentials,
    Token,
    TokenRequest,
)
from tenfold.platform.identity.scopes import SCOPES
from tenfold.platform.identity.types import Principal

#: No cookie counts at these doors, so that any site's script may come to them.
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_NOT_KEPT = {"Cache-Control": "no-store", **_ANY_ORIGIN}
_PREFLIGHT = {
    **_ANY_ORIGIN,
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "86400",
}
_MAX_BODY = 64 * 1024


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """An error as RFC 6749 (5.2) has it."""

    error: str
    error_description: str


def _on_tenfold_error(_: Request[Any, Any, Any], error: TenfoldError) -> Response[ErrorView]:
    body = ErrorView(error=error.code, error_description=error.detail)
    return Response(body, status_code=error.status, headers=error.headers | _NOT_KEPT)


def _on_http_exception(_: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorView]:
    """A method, a size or an encoding that isn't taken here."""
    body = ErrorView(error="invalid_request", error_description=error.detail.partition("\n")[0][:300])
    return Response(body, status_code=error.status_code, headers=(error.headers or {}) | _NOT_KEPT)


class OAuthEndpoints(Controller):
    """Outside of the contract document: RFC 8414's metadata tells of these."""

    path = "/oauth"
    include_in_schema = False
    request_max_body_size = _MAX_BODY
    response_headers = tuple(ResponseHeader(name=name, value=value) for name, value in _NOT_KEPT.items())
    exception_handlers = {TenfoldError: _on_tenfold_error, HTTPException: _on_http_exception}  # noqa: RUF012

    # Handlers are registered in the order of their names; a path whose first one is another gets a preflight of the
    # framework's own, which allows nothing.
    @route(["/token", "/revoke"], http_method=[HttpMethod.OPTIONS], status_code=204)
    async def answer_preflight(self) -> Response[None]:
        return Response(None, headers=_PREFLIGHT)

    @post("/token", status_code=200)
    async def give_token(
        self, request: Request[Any, Any, Any], identity: NamedDependency[Identity], ip: NamedDependency[str]
    ) -> Token:
        parameters = await _parameters(request)
        client = _client(request, parameters)
        return await actions.give_token(identity, client, _read(TokenRequest, parameters), ip=ip)

    @post("/revoke", status_code=200)
    async def revoke_token(
        self, request: Request[Any, Any, Any], identity: NamedDependency[Identity], ip: NamedDependency[str]
    ) -> dict[str, str]:
        parameters = await _parameters(request)
        await actions.revoke_token(identity, _client(request, parameters), parameters.get("token"), ip=ip)
        return {}


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What there is and where (RFC 8414)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    scopes_supported: Sequence[str] = tuple(SCOPES)
    response_types_supported: Sequence[str] = ("code",)
    response_modes_supported: Sequence[str] = ("query",)
    grant_types_supported: Sequence[str] = actions.GRANT_TYPES
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic", "client_secret_post", "none")
    revocation_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic", "client_secret_post", "none")
    code_challenge_methods_supported: Sequence[str] = ("S256",)
    authorization_response_iss_parameter_supported: bool = True


class MetadataEndpoints(Controller):
    path = "/.well-known/oauth-authorization-server"
    tags = ("oauth",)

    @get(
        cache_control=CacheControlHeader(public=True, max_age=300),
        response_headers=[ResponseHeader(name=name, value=value) for name, value in _ANY_ORIGIN.items()],
    )
    async def metadata(self, request: Request[Any, Any, Any], identity: NamedDependency[Identity]) -> Metadata:
        base = _base(request, identity)
        return Metadata(
            issuer=base,
            authorization_endpoint=f"{base}/oauth/authorize",
            token_endpoint=f"{base}/oauth/token",
            revocation_endpoint=f"{base}/oauth/revoke",
        )


class Decision(AuthorizationRequest, frozen=True, kw_only=True):
    approve: bool


class ConsentView(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked, or (with an error) why not."""

    name: str
    website: str | None
    #: The host that the browser goes to afterwards, or an app's scheme; null when the person carries the code.
    leads_to: str | None
    #: What the application may do then, in words.
    scopes: Sequence[str]
    error: str | None
    #: Where the application hears of the error.
    return_to: str | None


class AnswerView(msgspec.Struct, frozen=True, kw_only=True):
    """Where the browser goes now, or the code to show; neither when the person declined what has no address."""

    redirect_to: str | None
    code: str | None


class ApplicationView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    website: str | None
    #: What it may do, in words.
    scopes: Sequence[str]
    authorized_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, authorized: AuthorizedApplication) -> Self:
        return cls(
            id=str(authorized.application.id),
            name=authorized.application.name,
            website=authorized.application.website,
            scopes=_in_words(authorized.scopes),
            authorized_at=authorized.authorized_at,
            used_at=authorized.used_at,
        )


class ConsentEndpoints(Controller):
    path = "/api/identity"
    tags = ("oauth",)
    response_headers = (ResponseHeader(name="Cache-Control", value="no-store"),)
    request_max_body_size = _MAX_BODY

    @get("/authorization")
    async def ask(self, request: Request[Any, Any, Any], identity: NamedDependency[Identity]) -> ConsentView:
        wanted = _read(AuthorizationRequest, dict(request.query_params))
        asked = await actions.ask(identity, wanted)
        return_to = None
        if asked.refused is not None:
            return_to = actions.tell(asked, asked.refused, wanted.state, _base(request, identity))
        return ConsentView(
            name=asked.application.name,
            website=asked.application.website,
            leads_to=rules.shown_host(asked.redirect_uri),
            scopes=() if asked.refused else _in_words(rules.merged(asked.scopes)),
            error=asked.refused.detail if asked.refused else None,
            return_to=return_to,
        )

    @post("/authorization", status_code=200)
    async def decide(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[Decision],
        identity: NamedDependency[Identity],
        principal: NamedDependency[Principal],
    ) -> AnswerView:
        decide = actions.allow if data.approve else actions.deny
        answer = await decide(identity, principal, data, _base(request, identity))
        return AnswerView(redirect_to=answer.redirect_to, code=answer.code)

    @get("/applications")
    async def list_applications(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> list[ApplicationView]:
        return [ApplicationView.of(each) for each in await actions.list_authorized(identity, principal)]

    @delete("/applications/{application_id:str}")
    async def revoke_application(
        self,
        application_id: FromPath[str],
        identity: NamedDependency[Identity],
        principal: NamedDependency[Principal],
    ) -> None:
        number = identity_rules.read_id(application_id)
        if number is None:
            raise NotFound
        await actions.revoke_authorized(identity, principal, number)


CONTROLLERS = (OAuthEndpoints, MetadataEndpoints, ConsentEndpoints)


_PARAMETERS = frozenset({*TokenRequest.__struct_fields__, *ClientCredentials.__struct_fields__, "token"})


async def _parameters(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The body as a form of either kind or JSON, since clients send any of them. Raises InvalidRequest."""
    pairs: Iterable[tuple[str, object]]
    if request.content_type[0] == RequestEncodingType.JSON:
        try:
            body = msgspec.json.decode(await request.body() or b"null")
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            raise InvalidRequest("The body can't be read.") from error
        pairs = body.items() if isinstance(body, dict) else ()
    else:
        pairs = (await request.form()).multi_items()
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            continue  # RFC 6749, 3.2: what isn't known is passed over. Mastodon.py sends some, and several times
        if name in parameters:
            raise InvalidRequest(f"{name[:100]} is there more than once.")
        if isinstance(value, str):
            parameters[name] = value
        elif value is not None:
            raise InvalidRequest(f"{name[:100]} is no text.")
    return parameters


def _client(request: Request[Any, Any, Any], parameters: dict[str, str]) -> ClientCredentials:
    """Raises InvalidRequest for two ways of saying it at once."""
    in_body = _read(ClientCredentials, parameters)
    by_basic = rules.read_basic(request.headers.get("authorization", ""))
    if by_basic is None:
        return in_body
    if in_body.client_secret is not None or in_body.client_id not in (None, by_basic.client_id):
        raise InvalidRequest("Send client_id and client_secret in one way only.")
    return by_basic


def _read[T: msgspec.Struct](kind: type[T], parameters: dict[str, str]) -> T:
    try:
        return msgspec.convert(parameters, kind)
    except msgspec.ValidationError as error:
        [(field, text)] = Invalid.of(error).fields.items()
        raise InvalidRequest(f"{field} {text}.") from error


def _base(request: Request[Any, Any, Any], identity: Identity) -> str:
    """Where the client has found us, which is what we call ourselves to it (the issuer)."""
    return identity_rules.base_url(
        identity.address, request.headers.get("host", ""), str(request.scope.get("prefix", ""))
    )


def _in_words(scopes: Sequence[str]) -> list[str]:
    return [SCOPES[scope] for scope in scopes]
