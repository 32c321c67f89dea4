"""Following, blocking and muting, and the lists of people that come of it:
https://docs.joinmastodon.org/methods/accounts/."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.actions import relations
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import (
    MastodonController,
    answer,
    links,
    many,
    page_of,
    read_body,
    read_ids,
)
from tenfold.systems.feed.errors import AccountNotFound
from tenfold.systems.feed.store.relations import Relationship
from tenfold.systems.feed.types import Account

#: Accounts on a page of people, and those that one asks about at once.
PEOPLE, MOST_PEOPLE, MOST_ASKED = 40, 80, 100


class Follow(msgspec.Struct, frozen=True):
    """Languages are accepted and not kept: posts are shown in all."""

    reblogs: bool | None = None
    notify: bool | None = None
    languages: list[str] = []


class Mute(msgspec.Struct, frozen=True):
    #: Seconds; 0 is for ever. A century is enough for anybody.
    duration: Annotated[int, msgspec.Meta(ge=0, le=3_155_760_000)] = 0
    notifications: bool = True


class Note(msgspec.Struct, frozen=True):
    comment: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class FamiliarView(msgspec.Struct):
    """Also how clients ask for it: by GET with a body."""

    id: str
    accounts: msgspec.Raw


class Asked(msgspec.Struct, frozen=True):
    """Ids in a body; a query may have one or many."""

    id: list[str | int] | str | int = []


class RelationEndpoints(MastodonController):
    path = "/api/v1/accounts"

    @get("/relationships")
    async def relationships(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:follows")
        ids = read_ids(many(request, "id", MOST_ASKED))
        return answer(msgspec.json.encode(await relations.relationships(feed, me, ids)))

    @get("/familiar_followers")
    async def familiar_followers(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:follows")
        asked = (await read_body(request, Asked)).id
        ids = read_ids([str(each) for each in (asked if isinstance(asked, list) else [asked])])
        found = await relations.familiar(feed, me, ids)
        views = [FamiliarView(str(each), msgspec.Raw(entities.accounts(feed, known))) for each, known in found]
        return answer(msgspec.json.encode(views))

    @get("/{account_id:str}/followers")
    async def followers(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        page = page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        found = await relations.followers(feed, number_of(account_id), principal.account_id, page)
        return people(feed, request, found)

    @get("/{account_id:str}/following")
    async def following(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        page = page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        found = await relations.following(feed, number_of(account_id), principal.account_id, page)
        return people(feed, request, found)

    @post("/{account_id:str}/follow")
    async def follow(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:follows")
        wish = await read_body(request, Follow)
        number = number_of(account_id)
        return told(await relations.follow(feed, me, number, reblogs=wish.reblogs, notify=wish.notify))

    @post("/{account_id:str}/unfollow")
    async def unfollow(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:follows")
        return told(await relations.unfollow(feed, me, number_of(account_id)))

    @post("/{account_id:str}/remove_from_followers")
    async def remove_from_followers(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:follows")
        return told(await relations.remove_follower(feed, me, number_of(account_id)))

    @post("/{account_id:str}/block")
    async def block(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:blocks")
        return told(await relations.block(feed, me, number_of(account_id)))

    @post("/{account_id:str}/unblock")
    async def unblock(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:blocks")
        return told(await relations.unblock(feed, me, number_of(account_id)))

    @post("/{account_id:str}/mute")
    async def mute(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:mutes")
        wish = await read_body(request, Mute)
        number = number_of(account_id)
        return told(await relations.mute(feed, me, number, seconds=wish.duration, notifications=wish.notifications))

    @post("/{account_id:str}/unmute")
    async def unmute(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:mutes")
        return told(await relations.unmute(feed, me, number_of(account_id)))

    @post("/{account_id:str}/note")
    async def note(
        self,
        request: Request[Any, Any, Any],
        account_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:accounts")
        wish = await read_body(request, Note)
        return told(await relations.note(feed, me, number_of(account_id), wish.comment))


class HiddenEndpoints(MastodonController):
    """Whom one blocks and mutes."""

    path = "/api/v1"

    @get("/blocks")
    async def blocks(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:blocks")
        page = page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        return people(feed, request, await relations.related(feed, me, "blocks", page))

    @get("/mutes")
    async def mutes(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:mutes")
        page = page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        found = await relations.related(feed, me, "mutes", page)
        ends = await relations.mute_ends(feed, me)
        return people(feed, request, found, [_muted(feed, each, ends.get(each.id, 0.0)) for each in found])


def _muted(feed: Feed, account: Account, until: float) -> bytes:
    """https://docs.joinmastodon.org/entities/Account/#MutedAccount."""
    ends = f'"{entities.timestamp(datetime.fromtimestamp(until, UTC))}"' if until else "null"
    return entities.account(feed, account)[:-1] + f',"mute_expires_at":{ends}}}'.encode()


class FollowRequestEndpoints(MastodonController):
    path = "/api/v1/follow_requests"

    @get()
    async def requests(
        self, request: Request[Any, Any, Any], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "read:follows")
        page = page_of(request, default=PEOPLE, most=MOST_PEOPLE)
        return people(feed, request, await relations.requests(feed, me, page))

    @post("/{account_id:str}/authorize")
    async def authorize(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:follows")
        return told(await relations.authorize(feed, me, number_of(account_id)))

    @post("/{account_id:str}/reject")
    async def reject(
        self, account_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:follows")
        return told(await relations.reject(feed, me, number_of(account_id)))


def number_of(account_id: str) -> int:
    """Raises AccountNotFound for what can't be an id."""
    number = read_id(account_id)
    if number is None:
        raise AccountNotFound
    return number


def told(relationship: Relationship) -> Response[bytes]:
    return answer(msgspec.json.encode(relationship))


def people(
    feed: Feed, request: Request[Any, Any, Any], found: Sequence[Account], shown: Sequence[bytes] | None = None
) -> Response[bytes]:
    """A page of accounts, with the addresses of the pages beside it."""
    body = entities.accounts(feed, found) if shown is None else b"[" + b",".join(shown) + b"]"
    return answer(body, headers=links(feed.url, request, [each.id for each in found]))
