"""New accounts, made by an application for whoever uses it."""

from typing import Annotated

import msgspec

from tenfold.platform.errors import Invalid, Unauthorized
from tenfold.platform.identity import Principal
from tenfold.platform.identity.actions import SIGN_UP_BY_ADDRESS, create_account
from tenfold.platform.identity.errors import ScopeMissing
from tenfold.platform.identity.oauth.actions import give_token
from tenfold.platform.identity.oauth.rules import read_client_id
from tenfold.platform.identity.oauth.types import ClientCredentials, Token, TokenRequest
from tenfold.platform.identity.types import Confidential
from tenfold.systems.feed.actions.context import Feed

type Text = Annotated[str, msgspec.Meta(max_length=300)]


class Register(Confidential, frozen=True, kw_only=True):
    """What a client sends. The rest of it (email, locale, reason) isn't asked for here, and not kept."""

    username: Text = ""
    password: Text = ""
    agreement: bool = False
    #: The application once more: its token alone can't be made into one for an account.
    client_id: Text | None = None
    client_secret: Text | None = None


async def register(feed: Feed, principal: Principal, wish: Register, *, ip: str) -> Token:
    """A new account, and the application's token for it with the scopes of the one that it asks with.

    Raises Unauthorized and ScopeMissing (only an application may ask, for itself), Invalid with the fields, NameTaken,
    TooManyRequests.
    """
    if principal.application_id is None or principal.account_id is not None:
        raise Unauthorized
    if not principal.may("write:accounts"):
        raise ScopeMissing("write:accounts")
    problems = {} if wish.agreement else {"agreement": "must be accepted"}
    if wish.client_secret is None or read_client_id(wish.client_id or "") != principal.application_id:
        problems["client_id"] = "is needed with client_secret; people sign up on the page otherwise"
    if problems:
        raise Invalid(fields=problems)
    await feed.limits.take(SIGN_UP_BY_ADDRESS, ip)
    await create_account(feed.identity, wish.username, wish.password)
    request = TokenRequest(
        grant_type="password",
        username=wish.username,
        password=wish.password,
        scope=" ".join(sorted(principal.scopes)),
    )
    client = ClientCredentials(client_id=wish.client_id, client_secret=wish.client_secret)
    return await give_token(feed.identity, client, request, ip=ip)
