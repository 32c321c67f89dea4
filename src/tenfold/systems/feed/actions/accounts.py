"""Accounts: finding, reading and changing them, what they wrote, and whom one might want to follow."""

import secrets
from collections.abc import Collection, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from tenfold.platform.errors import Invalid
from tenfold.systems.feed.actions.context import Feed, find_account, relations_of, visible
from tenfold.systems.feed.actions.relations import authorize_all
from tenfold.systems.feed.engine.pictures import square, wide
from tenfold.systems.feed.errors import AccountNotFound
from tenfold.systems.feed.rules.text import tidy
from tenfold.systems.feed.rules.timelines import hides
from tenfold.systems.feed.store import accounts, relations, timelines
from tenfold.systems.feed.store.accounts import Changes, Profile
from tenfold.systems.feed.types import Account, Field, Post, Range, Visibility

#: Characters of a profile, and rows of its table.
MOST_NAME, MOST_NOTE, MOST_FIELDS, MOST_FIELD = 50, 500, 4, 255
#: The newest public posts whose authors are the active accounts, and how far one may go through a directory.
ACTIVE_POSTS, MOST_OFFSET = 2000, 10_000
#: For suggestions: people whose followed ones are looked at, how many of each, and how many are considered.
FRIENDS, FRIENDS_EACH, CONSIDERED = 100, 200, 200

type ShortText = Annotated[str, msgspec.Meta(max_length=MOST_FIELD)]


class EditField(msgspec.Struct, frozen=True):
    name: ShortText = ""
    value: ShortText = ""


class EditSource(msgspec.Struct, frozen=True):
    """What new posts are unless they say otherwise."""

    privacy: Visibility | None = None
    sensitive: bool | None = None
    language: Annotated[str, msgspec.Meta(max_length=10, pattern="^[A-Za-z-]*$")] | None = None


class EditAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What of one's account changes; None stays. The fields come as a list, or by number as forms send them."""

    display_name: Annotated[str, msgspec.Meta(max_length=MOST_NAME)] | None = None
    note: Annotated[str, msgspec.Meta(max_length=MOST_NOTE)] | None = None
    locked: bool | None = None
    bot: bool | None = None
    discoverable: bool | None = None
    fields_attributes: list[EditField] | dict[str, EditField] | None = None
    source: EditSource = EditSource()


class Pictures(msgspec.Struct, frozen=True):
    """New pictures as they were sent; b"" goes back to the drawn one, None leaves what is there."""

    avatar: bytes | None = None
    header: bytes | None = None


async def follow_requests(feed: Feed, account: Account) -> int:
    """Who waits to follow, counted no further than a thousand."""
    async with feed.db.read(fresh=True) as tx:
        return await relations.count_requests(tx, account.id)


async def edit(feed: Feed, account: Account, wish: EditAccount, pictures: Pictures) -> Account:
    """Change one's account. Raises Invalid, BadMedia.

    Whoever waited to follow does so once the account isn't locked any more.
    """
    source = wish.source
    if source.privacy == "direct":
        raise Invalid(fields={"source.privacy": "is public, unlisted or private"})
    changes = Changes(
        display_name=None if wish.display_name is None else " ".join(tidy(wish.display_name).split()),
        note=None if wish.note is None else tidy(wish.note),
        avatar=None if pictures.avatar is None else await _keep(feed, account, "avatar", pictures.avatar),
        header=None if pictures.header is None else await _keep(feed, account, "header", pictures.header),
        fields=_fields(wish.fields_attributes),
        locked=wish.locked,
        bot=wish.bot,
        discoverable=wish.discoverable,
        default_visibility=source.privacy,
        default_sensitive=source.sensitive,
        default_language=source.language,
    )
    async with feed.db.transaction() as tx:
        before = await accounts.change_account(tx, account.id, changes)
    await feed.accounts.invalidate([account.id])
    if before.locked and wish.locked is False:
        await authorize_all(feed, account)
    old = ((before.avatar, changes.avatar), (before.header, changes.header))
    await feed.blobs.delete(*(was for was, now in old if was and now is not None))
    return await find_account(feed, account.id)


def _fields(given: list[EditField] | dict[str, EditField] | None) -> list[Field] | None:
    """The table of a profile, without its empty rows. Raises Invalid."""
    if given is None:
        return None
    if isinstance(given, dict):
        given = [row for _, row in sorted(given.items(), key=lambda item: (len(item[0]), item[0]))]
    rows = [Field(" ".join(tidy(row.name).split()), tidy(row.value)) for row in given]
    rows = [row for row in rows if row.name or row.value]
    if len(rows) > MOST_FIELDS or not all(row.name for row in rows):
        raise Invalid(fields={"fields_attributes": f"at most {MOST_FIELDS} rows, each with a name"})
    return rows


async def _keep(feed: Feed, account: Account, kind: Literal["avatar", "header"], data: bytes) -> str:
    """Keep a picture, cut and scaled. Its key, which is never used again, so that browsers may cache it for good."""
    if not data:
        return ""
    picture = await (square if kind == "avatar" else wide)(data, max_pixels=feed.settings.image_pixels)
    key = f"public/feed/{kind}s/{account.id}/{secrets.token_hex(8)}.{picture.extension}"
    await feed.blobs.put(key, picture.data)
    return key


# --- reading --------------------------------------------------------------------------------------------------------


async def look_up(feed: Feed, name: str) -> Account:
    """The account that is called `name`, `@name`, or `name@` our own host. Raises AccountNotFound."""
    username, _, host = name.strip().removeprefix("@").partition("@")
    if host and host.lower() not in own_hosts(feed):
        raise AccountNotFound
    async with feed.db.read() as tx:
        account_id = await accounts.find_account_id(tx, username)
    if account_id is None:
        raise AccountNotFound
    return await find_account(feed, account_id)


def own_hosts(feed: Feed) -> Collection[str]:
    """What may stand behind the second @ of one of ours: with the port and without."""
    address = urlsplit(feed.url)
    return {address.netloc.lower(), address.hostname or ""}


async def read_many(feed: Feed, ids: Sequence[int]) -> list[Account]:
    """Those of the accounts that exist, in the same order."""
    found = await feed.accounts.get_many(ids)
    return [found[each] for each in dict.fromkeys(ids) if each in found]


class ProfilePage(msgspec.Struct, frozen=True):
    posts: list[Post]
    #: Of all posts that the page is made of, also those that the reader may not see: the next page is beyond these.
    ids: list[int]


async def read_posts(
    feed: Feed,
    account_id: int,
    reader_id: int | None,
    page: Range,
    *,
    only_media: bool = False,
    replies: bool = True,
    reposts: bool = True,
    pinned: bool = False,
    tag: str | None = None,
) -> ProfilePage:
    """A page of what an account wrote, as far as the reader may see it. Raises AccountNotFound.

    To others, direct posts and private ones that mention them are shown in their notifications only.
    """
    await find_account(feed, account_id)
    shown: list[Visibility] = ["public", "unlisted"]
    async with feed.db.read(fresh=reader_id == account_id) as tx:
        if reader_id == account_id:
            shown += ["private", "direct"]
        elif reader_id is not None and await relations.list_followed(tx, reader_id, [account_id]):
            shown.append("private")
        profile = Profile(
            visibilities=shown, only_media=only_media, replies=replies, reposts=reposts, pinned=pinned, tag=tag
        )
        ids = await accounts.list_profile_ids(tx, account_id, profile, page)
    return ProfilePage(await visible(feed, ids, reader_id), ids)


# --- finding people -------------------------------------------------------------------------------------------------


async def directory(
    feed: Feed, reader_id: int | None, order: Literal["active", "new"], offset: int, limit: int
) -> list[Account]:
    """Accounts that want to be found: the newest, or those that wrote one of the last public posts."""
    if offset > MOST_OFFSET:
        return []
    async with feed.db.read() as tx:
        if order == "new":
            ids = await accounts.list_newest_ids(tx, offset, limit)
        else:
            ids = await accounts.list_active_ids(tx, ACTIVE_POSTS, offset, limit)
    hidden = await relations_of(feed, reader_id)
    return [each for each in await read_many(feed, ids) if each.discoverable and not hides(each.id, hidden)]


class Suggestion(msgspec.Struct, frozen=True):
    """Somebody to follow, and why: followed by those whom one follows, or active of late."""

    source: Literal["friends_of_friends", "most_interactions"]
    account: Account


async def suggestions(feed: Feed, account: Account, limit: int) -> list[Suggestion]:
    """Whom one might follow: first whom most of those follow whom one follows, then who is active."""
    async with feed.db.read() as tx:
        known = await timelines.list_followee_ids(tx, account.id)
        # The newest accounts among those one follows stand for all: whoever follows thousands isn't short of people.
        friends = sorted(known, reverse=True)[:FRIENDS]
        near = await relations.list_followed_by_many(tx, friends, FRIENDS_EACH, CONSIDERED) if friends else []
        active = await accounts.list_active_ids(tx, ACTIVE_POSTS, 0, CONSIDERED)
        asked = await relations.list_related_ids(tx, account.id, "requested", Range(limit=CONSIDERED))
    hidden = await relations_of(feed, account.id)
    out = {*known, *asked, account.id}
    near_ids = frozenset(near)
    people = [
        each
        for each in await read_many(feed, [*near, *active])
        if each.id not in out and each.discoverable and not hides(each.id, hidden)
    ]
    return [
        Suggestion("friends_of_friends" if each.id in near_ids else "most_interactions", each)
        for each in people[:limit]
    ]
