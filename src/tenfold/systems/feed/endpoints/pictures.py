"""Pictures of accounts that have none of their own, drawn when they are asked for."""

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions.context import Feed, find_account
from tenfold.systems.feed.endpoints.api import MastodonController
from tenfold.systems.feed.errors import AccountNotFound
from tenfold.systems.feed.rules.portraits import draw_avatar, draw_header
from tenfold.systems.feed.types import Account

#: They are made of what never changes: the id and the username.
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
}


class PictureEndpoints(MastodonController):
    path = "/api/pictures"

    @get("/avatar/{account_id:str}")
    async def avatar(self, account_id: FromPath[str], feed: NamedDependency[Feed]) -> Response[bytes]:
        account = await _find(feed, account_id)
        return _picture(draw_avatar(account.id, account.username[0].upper()))

    @get("/header/{account_id:str}")
    async def header(self, account_id: FromPath[str], feed: NamedDependency[Feed]) -> Response[bytes]:
        return _picture(draw_header((await _find(feed, account_id)).id))


async def _find(feed: Feed, text: str) -> Account:
    number = read_id(text)
    if number is None:
        raise AccountNotFound
    return await find_account(feed, number)


def _picture(svg: str) -> Response[bytes]:
    return Response(svg.encode(), media_type="image/svg+xml", headers=_HEADERS)
