"""Accounts, https://docs.joinmastodon.org/methods/accounts/: one's own, others', and finding some."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.errors import Invalid, PayloadTooLarge
from tenfold.platform.identity import Principal
from tenfold.platform.identity.errors import NameTaken
from tenfold.systems.feed.actions import accounts
from tenfold.systems.feed.actions.accounts import EditAccount, Pictures
from tenfold.systems.feed.actions.context import Feed, account_of, find_account
from tenfold.systems.feed.actions.registration import Register, register
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import (
    MastodonController,
    answer,
    links,
    many,
    page_of,
    range_of,
    read_body,
    read_ids,
)
from tenfold.systems.feed.endpoints.relations import number_of
from tenfold.systems.feed.types import Account

#: Accounts that one may ask for at once.
MOST_ASKED = 40
#: Bytes of a form with two pictures. Each picture has a limit of its own, in the settings.
MOST_FORM = 40 * 1024 * 1024


class EditForm(EditAccount, frozen=True, kw_only=True):
    """What of one's account changes, with pictures as files of a multipart form."""

    avatar: Any = None
    header: Any = None


class Detail(msgspec.Struct):
    error: str
    description: str


class Refused(msgspec.Struct):
    """What is wrong with a new account, by field: https://docs.joinmastodon.org/methods/accounts/#create."""

    error: str
    details: dict[str, list[Detail]]


class SuggestionView(msgspec.Struct):
    """https://docs.joinmastodon.org/entities/Suggestion/."""

    source: str
    sources: list[str]
    account: msgspec.Raw


class AccountEndpoints(MastodonController):
    path = "/api/v1/accounts"

    @post()
    async def register(
        self,
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        ip: NamedDependency[str],
    ) -> Response[bytes]:
        try:
            token = await register(feed, principal, await read_body(request, Register), ip=ip)
        except (Invalid, NameTaken) as error:
            return answer(msgspec.json.encode(_refused(error)), status=422)
        return answer(msgspec.json.encode(token), headers={"cache-control": "no-store"})

    @get("/verify_credentials")
    async def verify_credentials(
        self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "profile")
        return await _own(feed, me)

    @patch("/update_credentials", request_max_body_size=MOST_FORM)
    async def update_credentials(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:accounts")
        wish = await read_body(request, EditForm)
        pictures = Pictures(await _file(feed, "avatar", wish.avatar), await _file(feed, "header", wish.header))
        return await _own(feed, await accounts.edit(feed, me, wish, pictures))

    @get("/lookup")
    async def look_up(self, request: Request[Any, Any, Any], feed: NamedDependency[Feed]) -> Response[bytes]:
        found = await accounts.look_up(feed, request.query_params.get("acct", ""))
        return answer(entities.account(feed, found))

    @get()
    async def read_many(self, request: Request[Any, Any, Any], feed: NamedDependency[Feed]) -> Response[bytes]:
        ids = read_ids(many(request, "id", MOST_ASKED))
        return answer(entities.accounts(feed, await accounts.read_many(feed, ids)))

    @get("/{account_id:str}")
    async def read(self, account_id: FromPath[str], feed: NamedDependency[Feed]) -> Response[bytes]:
        return answer(entities.account(feed, await find_account(feed, number_of(account_id))))

    @get("/{account_id:str}/statuses")
    async def statuses(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        query = request.query_params
        tag = query.get("tagged")
        found = await accounts.read_posts(
            feed,
            number_of(account_id),
            principal.account_id,
            page_of(request),
            only_media=_is_set(query.get("only_media")),
            replies=not _is_set(query.get("exclude_replies")),
            reposts=not _is_set(query.get("exclude_reblogs")),
            pinned=_is_set(query.get("pinned")),
            tag=tag.removeprefix("#").lower() if tag else None,
        )
        body = await entities.statuses(feed, found.posts, principal.account_id)
        return answer(body, headers=links(feed.url, request, found.ids))


class ProfileEndpoints(MastodonController):
    """Taking pictures away, https://docs.joinmastodon.org/methods/profile/."""

    path = "/api/v1/profile"

    @delete("/avatar", status_code=200)
    async def delete_avatar(
        self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:accounts")
        return await _own(feed, await accounts.edit(feed, me, EditAccount(), Pictures(avatar=b"")))

    @delete("/header", status_code=200)
    async def delete_header(
        self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:accounts")
        return await _own(feed, await accounts.edit(feed, me, EditAccount(), Pictures(header=b"")))


class PeopleEndpoints(MastodonController):
    """Whom one might follow, and what one prefers."""

    path = "/api"

    @get("/v1/directory")
    async def directory(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        """All of it is local, so `local` changes nothing."""
        query = request.query_params
        offset = query.get("offset", "0")
        found = await accounts.directory(
            feed,
            principal.account_id,
            "new" if query.get("order") == "new" else "active",
            int(offset) if offset.isascii() and offset.isdecimal() and len(offset) < 9 else 0,
            range_of(query, default=40, most=80).limit,
        )
        return answer(entities.accounts(feed, found))

    @get("/v1/suggestions")
    async def suggested(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:accounts")
        found = await accounts.suggestions(feed, me, page_of(request, default=40, most=80).limit)
        return answer(entities.accounts(feed, [each.account for each in found]))

    @get("/v2/suggestions")
    async def suggestions(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:accounts")
        views = [
            SuggestionView(
                "past_interactions" if each.source == "friends_of_friends" else "global",
                [each.source],
                msgspec.Raw(entities.account(feed, each.account)),
            )
            for each in await accounts.suggestions(feed, me, page_of(request, default=40, most=80).limit)
        ]
        return answer(msgspec.json.encode(views))

    @get("/v1/preferences")
    async def preferences(self, principal: NamedDependency[Principal], feed: NamedDependency[Feed]) -> Response[bytes]:
        me = await account_of(feed, principal, "read:accounts")
        values = {
            "posting:default:visibility": me.default_visibility,
            "posting:default:sensitive": me.default_sensitive,
            "posting:default:language": me.default_language,
            "posting:default:quote_policy": "nobody",
            "reading:expand:media": "default",
            "reading:expand:spoilers": False,
            "reading:autoplay:gifs": False,
        }
        return answer(msgspec.json.encode(values))


def _refused(error: Invalid | NameTaken) -> Refused:
    """In that API's words: its name of the field, and a code."""
    details = {}
    for field, reason in error.fields.items():
        code = (
            "ERR_ACCEPTED" if field == "agreement" else "ERR_TAKEN" if isinstance(error, NameTaken) else "ERR_INVALID"
        )
        details["username" if field == "name" else field] = [Detail(code, reason)]
    return Refused(f"Validation failed: {'; '.join(error.fields.values())}", details)


async def _own(feed: Feed, me: Account) -> Response[bytes]:
    return answer(entities.own_account(feed, me, follow_requests=await accounts.follow_requests(feed, me)))


async def _file(feed: Feed, name: str, given: Any) -> bytes | None:
    """A picture of a form, None when there is none. Raises Invalid for anything else, PayloadTooLarge."""
    if given is None or given == "":
        return None
    if not isinstance(given, UploadFile):
        raise Invalid(fields={name: "is a file of a multipart form"})
    data = await given.read()
    if len(data) > feed.settings.image_bytes:
        raise PayloadTooLarge(limit=feed.settings.image_bytes)
    return data or None


def _is_set(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "on")
