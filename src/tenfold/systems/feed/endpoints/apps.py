"""Applications that register themselves, https://docs.joinmastodon.org/methods/apps/. Tokens are identity's."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from tenfold.platform.identity import Identity, Principal
from tenfold.platform.identity.oauth import actions as oauth
from tenfold.platform.identity.oauth.types import Application
from tenfold.systems.feed.endpoints.api import MastodonController, answer, read_body

type Text = Annotated[str, msgspec.Meta(max_length=2000)]
type Address = Annotated[str, msgspec.Meta(max_length=2000)]


class RegisterApp(msgspec.Struct, frozen=True):
    client_name: Text = ""
    #: One, a line each, or a list.
    redirect_uris: Text | Annotated[list[Address], msgspec.Meta(max_length=20)] = ""
    #: With spaces between.
    scopes: Text = "read"
    website: Text | None = None


class AppView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """https://docs.joinmastodon.org/entities/Application/, with its secret when it is new."""

    id: str
    name: str
    website: str | None
    scopes: list[str]
    redirect_uri: str
    redirect_uris: list[str]
    #: There are no push messages.
    vapid_key: str
    client_id: str | None = None
    client_secret: str | None = None
    client_secret_expires_at: int | None = None


class AppEndpoints(MastodonController):
    path = "/api/v1/apps"

    @post(status_code=200)
    async def register(
        self, request: Request[Any, Any, Any], identity: NamedDependency[Identity], ip: NamedDependency[str]
    ) -> Response[bytes]:
        wish = await read_body(request, RegisterApp)
        uris = wish.redirect_uris.split() if isinstance(wish.redirect_uris, str) else wish.redirect_uris
        made = await oauth.create_application(
            identity,
            name=wish.client_name,
            redirect_uris=uris,
            scopes=wish.scopes.split(),
            website=wish.website or None,
            ip=ip,
        )
        view = _view(made)
        view.client_id, view.client_secret, view.client_secret_expires_at = made.client_id, made.client_secret, 0
        return answer(msgspec.json.encode(view))

    @get("/verify_credentials")
    async def verify(
        self, identity: NamedDependency[Identity], principal: NamedDependency[Principal]
    ) -> Response[bytes]:
        return answer(msgspec.json.encode(_view(await oauth.find_application(identity, principal))))


def _view(application: Application) -> AppView:
    return AppView(
        id=str(application.id),
        name=application.name,
        website=application.website,
        scopes=list(application.scopes),
        redirect_uri="\n".join(application.redirect_uris),
        redirect_uris=list(application.redirect_uris),
        vapid_key="",
    )
